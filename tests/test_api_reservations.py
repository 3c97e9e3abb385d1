"""Reservations over HTTP: held once, ended once, answered alike however often they are asked."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from conftest import run
from live_api import LiveApi, problem


def reserve(
    api: LiveApi,
    account: str,
    units: int = 4,
    *,
    key: str | None = None,
    terms: Mapping[str, object] | None = None,
) -> httpx2.Response:
    """Hold 5 credits and 2 for each page."""
    asked = {"account": account, "operation": "report.render", "units": units, "expires_in": 600}
    return api.post("/v1/reservations", asked | dict(terms or {}), key=key)


def end(
    api: LiveApi, how: str, name: str, body: object = None, *, key: str | None = None
) -> httpx2.Response:
    return api.post(f"/v1/reservations/{name}/{how}", body or {}, key=key)


def balance(api: LiveApi, account: str) -> tuple[str, str]:
    shown = api.get(f"/v1/accounts/{account}/balance").json()
    return shown["available"], shown["held"]


def test_what_is_reserved_is_held_and_settled_for_what_it_cost(api: LiveApi, account: str) -> None:
    response = reserve(api, account)
    assert response.status_code == 201
    made = response.json()
    assert made == {
        "id": made["id"],
        "account": account,
        "operation": "report.render",
        "model": None,
        "units": 4,
        "price_version": 1,
        "amount": "13",
        "available": "7",
        "held": "13",
        "expires_at": made["expires_at"],
        "at": made["at"],
    }
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["at"])
    assert timedelta(seconds=600) <= lasts < timedelta(seconds=601)
    assert response.headers["credits-held"] == "13"
    assert balance(api, account) == ("7", "13")
    ended = end(api, "settle", made["id"], {"amount": "8.5"})
    assert ended.status_code == 200
    assert (ended.json()["how"], ended.json()["taken"]) == ("settled", "8.5")
    assert balance(api, account) == ("11.5", "0")
    refund = api.post(f"/v1/charges/{ended.json()['charge']}/refund", {"amount": "1.5"})
    assert (refund.json()["amount"], refund.json()["available"]) == ("1.5", "13")


def test_a_retry_of_any_step_is_answered_as_before_and_marked(api: LiveApi, account: str) -> None:
    first, again = (reserve(api, account, key="k") for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    problem(reserve(api, account, 5, key="k"), 422, "idempotency-key-reused")
    name = first.json()["id"]
    for settled in (end(api, "settle", name, {"amount": "3"}, key=key) for key in ("s", "s", "t")):
        assert (settled.status_code, settled.json()["taken"]) == (200, "3")
    assert balance(api, account) == ("17", "0")


def test_what_is_released_is_given_back_whole(api: LiveApi, account: str) -> None:
    name = reserve(api, account).json()["id"]
    released = end(api, "release", name).json()
    assert (released["how"], released["taken"], released["charge"]) == ("released", "0", None)
    assert balance(api, account) == ("20", "0")
    ended = problem(end(api, "settle", name, {"amount": "1"}), 409, "reservation-ended")
    assert (ended["how"], ended["taken"], ended["charge"]) == ("released", "0", None)


def test_more_than_is_held_is_taken_only_where_that_was_agreed(api: LiveApi, account: str) -> None:
    plain = reserve(api, account).json()["id"]
    bound = problem(end(api, "settle", plain, {"amount": "14"}), 422, "over-bound")
    assert bound["most"] == "13"
    assert end(api, "release", plain).status_code == 200
    wide = reserve(api, account, terms={"over_max": "10"}).json()["id"]
    exceeded = problem(end(api, "settle", wide, {"amount": "21"}), 402, "reservation-exceeded")
    assert (exceeded["extra"], exceeded["available"]) == ("8", "7")
    assert end(api, "settle", wide, {"amount": "20"}).json()["available"] == "0"


def test_a_reservation_lasts_longer_when_it_is_extended_and_not_for_ever(
    api: LiveApi, account: str
) -> None:
    made = reserve(api, account).json()
    until = datetime.now(UTC) + timedelta(hours=2)
    for _ in range(2):
        extended = end(api, "extend", made["id"], {"until": until.isoformat()})
        assert datetime.fromisoformat(extended.json()["expires_at"]) == until
    sooner = {"until": (until - timedelta(hours=1)).isoformat()}
    assert (
        datetime.fromisoformat(end(api, "extend", made["id"], sooner).json()["expires_at"]) == until
    )
    too_long = {"until": (until + timedelta(days=40)).isoformat()}
    refused = problem(end(api, "extend", made["id"], too_long), 422, "duration-refused")
    assert refused["longest"] == 30 * 86_400


def test_who_cannot_pay_is_told_what_is_missing_and_holds_nothing(
    api: LiveApi, account: str
) -> None:
    body = problem(reserve(api, account, 100), 402, "insufficient-credits")
    assert (body["required"], body["available"], body["missing"]) == ("205", "20", "185")
    assert balance(api, account) == ("20", "0")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 30 * 86_400 + 1}, "expires_in"),
        ({"minimum": "-1"}, "minimum"),
        ({"minimum": "0.0000001"}, "minimum"),
        ({"over_max": "much"}, "over_max"),
        ({"account": "acct_0"}, "account"),
        ({"for": "ever"}, "for"),
    ],
)
def test_a_malformed_reservation_is_refused_by_its_field(
    api: LiveApi, account: str, terms: dict[str, object], field: str
) -> None:
    body = problem(reserve(api, account, terms=terms), 400, "invalid-request")
    errors = body["errors"]
    assert isinstance(errors, list)
    assert errors[0]["field"] == field
    assert balance(api, account) == ("20", "0")


def test_another_apps_reservation_is_none(api: LiveApi, account: str) -> None:
    name = reserve(api, account).json()["id"]
    strangers = api.api_key(app="strangers")
    for how, body in (
        ("settle", {"amount": "1"}),
        ("release", {}),
        ("extend", {"until": "2027-01-01T00:00:00Z"}),
    ):
        path = f"/v1/reservations/{name}/{how}"
        problem(api.post(path, body, api_key=strangers), 404, "no-such-reservation")
        problem(api.post(f"/v1/reservations/rsv_nothing/{how}", body), 404, "no-such-reservation")
    assert balance(api, account) == ("7", "13")


def test_a_hundred_at_once_hold_no_more_than_there_is(api: LiveApi, account: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: reserve(api, account, 1, key=f"k{n}"), range(100)))
    assert sorted({answer.status_code for answer in answers}) == [201, 402]
    assert sum(answer.status_code == 201 for answer in answers) == 2  # of 7 credits each
    assert balance(api, account) == ("6", "14")


def test_a_reservation_is_looked_up_and_what_it_took_is_a_charge(
    api: LiveApi, account: str
) -> None:
    made = reserve(api, account).json()
    path = f"/v1/reservations/{made['id']}"
    shown = api.get(path).json()
    assert (shown["state"], shown["amount"], shown["taken"]) == ("open", "13", None)
    assert {name: shown[name] for name in shown if name in made} == {
        name: made[name] for name in made if name in shown
    }
    ended = end(api, "settle", made["id"], {"amount": "6"}).json()
    shown = api.get(path).json()
    assert (shown["state"], shown["taken"], shown["charge"]) == ("settled", "6", ended["charge"])
    charge = api.get(f"/v1/charges/{ended['charge']}").json()
    assert (charge["cost"], charge["refunded"], charge["available"]) == ("6", "0", "14")
    # How many units it was nobody said: four is what was reserved.
    assert (charge["operation"], charge["units"]) == ("report.render", None)
    assert (shown["units"], shown["used"], ended["units"]) == (4, None, None)
    assert charge["reservation"] == made["id"]
    api.post(f"/v1/charges/{ended['charge']}/refund", {"amount": "2"})
    assert api.get(f"/v1/charges/{ended['charge']}").json()["refunded"] == "2"
    # What was only given back is no charge.
    released = reserve(api, account).json()
    end(api, "release", released["id"])
    shown = api.get(f"/v1/reservations/{released['id']}").json()
    assert (shown["state"], shown["taken"], shown["charge"]) == ("released", "0", None)
    strangers = api.api_key(app="strangers")
    refused = api.request("GET", path, api_key=strangers)
    problem(refused, 404, "no-such-reservation")
    problem(api.get("/v1/reservations/rsv_nothing"), 404, "no-such-reservation")


def test_a_settlement_over_what_is_held_is_one_charge_of_all(api: LiveApi, account: str) -> None:
    made = reserve(api, account, 1, terms={"over_max": "5"}).json()
    ended = end(api, "settle", made["id"], {"amount": "10"}).json()
    charge = api.get(f"/v1/charges/{ended['charge']}").json()
    assert (charge["cost"], charge["available"]) == ("10", "10")


def test_a_reservation_whose_time_is_over_says_so(api: LiveApi, account: str) -> None:
    made = reserve(api, account).json()
    run(api.database_url, "update creditd.reservation set expires_at = created_at")
    shown = api.get(f"/v1/reservations/{made['id']}").json()
    assert (shown["state"], shown["taken"]) == ("expired", None)


def test_what_was_used_is_settled_by_its_units(api: LiveApi, account: str) -> None:
    name = reserve(api, account).json()["id"]
    bound = problem(end(api, "settle", name, {"units": 5}), 422, "over-bound")
    assert bound["most"] == "13"
    for _ in range(2):
        settled = end(api, "settle", name, {"units": 3}, key="s")
        assert settled.status_code == 200
        assert (settled.json()["taken"], settled.json()["units"]) == ("11", 3)
    for other in ({"amount": "11"}, {"units": 2}):
        problem(end(api, "settle", name, other, key="s"), 422, "idempotency-key-reused")
    by_amount = end(api, "settle", name, {"amount": "11"})
    assert by_amount.headers["idempotent-replayed"] == "true"
    assert by_amount.json() == settled.json()
    for late in (end(api, "settle", name, {"units": 2}), end(api, "release", name)):
        assert problem(late, 409, "reservation-ended")["units"] == 3
    assert balance(api, account) == ("9", "0")
    cut_short = reserve(api, account, 2).json()["id"]
    ended = end(api, "settle", cut_short, {"units": 0, "at_least": "1.5"})
    assert (ended.json()["taken"], ended.json()["units"]) == ("1.5", 0)


def test_what_is_settled_by_units_shows_those_that_were_used(api: LiveApi, account: str) -> None:
    name = reserve(api, account, 4).json()["id"]
    ended = end(api, "settle", name, {"units": 3}).json()
    charge = api.get(f"/v1/charges/{ended['charge']}").json()
    assert (charge["units"], charge["cost"], charge["price_version"]) == (3, "11", 1)
    shown = api.get(f"/v1/reservations/{name}").json()
    assert (shown["units"], shown["used"]) == (4, 3)
    entries = api.get(f"/v1/accounts/{account}/entries").json()["data"]
    assert [(row["kind"], row["units"]) for row in entries] == [
        *(("release", None), ("settlement", 3), ("reserve", 4), ("grant", None)),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"amount": "1", "units": 1},
        {"amount": "1", "at_least": "1"},
        {"at_least": "1"},
        {"units": -1},
        {"units": 1.5},
        {"units": None},
        {"units": 1, "at_least": "-1"},
    ],
)
def test_a_settlement_is_by_an_amount_or_by_units(
    api: LiveApi, account: str, asked: dict[str, object]
) -> None:
    name = reserve(api, account).json()["id"]
    problem(end(api, "settle", name, asked), 400, "invalid-request")
    assert balance(api, account) == ("7", "13")
