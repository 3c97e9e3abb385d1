"""Forward-auth: what a proxy asks before it lets a call through, and what it is answered."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest
from conftest import run
from live_api import CREDIT, LiveApi, available, code_of

from api.calling.calls import METHODS
from api.problems.denials import PROBLEM_BYTES_MAX, denial_headers
from ledger.api_key_terms import Cap
from ledger.ids import parse_movement

RENDER = "/v1/authz/report.render"


def ask(
    api: LiveApi,
    account: str | None,
    call: str | None,
    *,
    path: str = RENDER,
    method: str = "GET",
    **params: object,
) -> httpx2.Response:
    headers = {"X-Request-Id": call, "Credits-Account": account}
    return api.request(
        method,
        path,
        params={name: str(value) for name, value in ({"mode": "charge"} | params).items()},
        headers={name: value for name, value in headers.items() if value is not None},
    )


def test_a_call_is_charged_and_the_upstream_is_told_what_paid(api: LiveApi, account: str) -> None:
    answer = ask(api, account, "call-1", units=2)
    assert answer.status_code == 200
    charge = answer.json()["charge"]
    told = {name: answer.headers[name] for name in answer.headers if name.startswith("credits-")}
    assert told == {
        "credits-account": account,
        "credits-cost": "9",
        "credits-balance": "11",
        "credits-version": str(parse_movement("chg", charge).seq),
        "credits-charge": charge,
    }
    record = api.get(f"/v1/charges/{charge}").json()
    assert (record["operation"], record["units"], record["cost"]) == ("report.render", 2, "9")


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_the_same_call_is_let_through_once(api: LiveApi, account: str, mode: str) -> None:
    first = ask(api, account, "call-1", mode=mode)
    again = ask(api, account, "call-1", mode=mode)
    assert (first.status_code, again.status_code) == (200, 409)
    assert code_of(again) == "authorization-replayed"
    assert again.json()["paid_by"] == first.json()["charge" if mode == "charge" else "reservation"]
    other = ask(api, account, "call-1", mode=mode, path="/v1/authz/ping")
    assert (other.status_code, code_of(other)) == (409, "authorization-replayed")
    assert other.json()["paid_by"] is None
    assert available(api, account) == "13"


def test_of_many_who_ask_about_one_call_at_once_one_is_let_through(
    api: LiveApi, account: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(api, account, "call-1").status_code, range(16)))
    assert sorted(answers) == [200, *[409] * 15]
    assert available(api, account) == "13"


def test_a_call_of_a_proxy_is_apart_from_the_charges_of_the_app(api: LiveApi, account: str) -> None:
    assert api.charge(account, "report.render", key="one").status_code == 201
    assert ask(api, account, "one").status_code == 200
    assert api.charge(account, "report.render", key="two", units=1).status_code == 402
    ask(api, account, "two", path="/v1/authz/ping")
    assert available(api, account) == "6"


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_the_version_that_an_answer_names_is_read_back(
    api: LiveApi, account: str, mode: str
) -> None:
    version = ask(api, account, "a", mode=mode).headers["credits-version"]
    shown = api.get(f"/v1/accounts/{account}/balance", version=version)
    assert (shown.status_code, shown.json()["available"]) == (200, "13")


def asked_by(api: LiveApi, account: str, api_key: str, call: str, mode: str) -> httpx2.Response:
    headers = {"Credits-Account": account, "X-Request-Id": call}
    return api.request("GET", RENDER, params={"mode": mode}, headers=headers, api_key=api_key)


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_the_proxys_api_key_pays_within_its_cap_and_is_noted(
    api: LiveApi, account: str, mode: str
) -> None:
    capped = api.api_key(["charge:write"], caps=[Cap("day", 10 * CREDIT)])
    paid = asked_by(api, account, capped, "a", mode)
    assert paid.status_code == 200
    with psycopg.connect(api.database_url) as owner:
        newest = owner.execute("select max(key_id) from creditd.api_key").fetchall()
        kind = {"charge": 2, "reserve": 8}[mode]
        noted = owner.execute("select api_key_id from creditd.entry where kind = %s", (kind,))
        assert noted.fetchall() == newest
    (shown,) = [key for key in api.get("/v1/keys").json()["data"] if key["caps"]]
    assert shown["caps"][0]["used"] == "7"
    if mode == "reserve":
        assert shown["charges"] == 0
        name = paid.headers["credits-reservation"]
        assert api.post(f"/v1/reservations/{name}/settle", {"units": 1}).status_code == 200
        (shown,) = [key for key in api.get("/v1/keys").json()["data"] if key["caps"]]
    assert (shown["charges"], shown["spent"], shown["caps"][0]["used"]) == (1, "7", "7")
    refused = asked_by(api, account, capped, "b", mode)
    assert (refused.status_code, code_of(refused)) == (403, "api-key-cap-reached")
    assert available(api, account) == "13"
    other = api.api_key(["charge:write"])
    assert asked_by(api, account, other, "b", mode).status_code == 200


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_an_api_key_pays_for_its_own_operations_alone(
    api: LiveApi, account: str, mode: str
) -> None:
    narrow = api.api_key(["charge:write"], operations=["ping"])
    refused = asked_by(api, account, narrow, "a", mode)
    assert (refused.status_code, code_of(refused)) == (403, "operation-not-allowed")
    assert available(api, account) == "20"


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_a_model_has_its_own_price_at_a_proxy_too(api: LiveApi, account: str, mode: str) -> None:
    run(
        api.database_url,
        "insert into creditd.price (operation_id, version, base, per_unit, unit, model)"
        " select operation_id, 2, 1000000, 0, 'unit', 'small' from creditd.operation"
        " where name = 'report.render'",
    )
    assert ask(api, account, "a", mode=mode, model="small").headers["credits-cost"] == "1"
    assert ask(api, account, "b", mode=mode, model="other").headers["credits-cost"] == "7"
    assert ask(api, account, "c", mode=mode).headers["credits-cost"] == "7"
    assert available(api, account) == "5"


def test_what_a_caller_sends_to_name_its_call_has_no_effect(api: LiveApi, account: str) -> None:
    for call in ("call-1", "call-2"):
        answer = api.request(
            "GET",
            RENDER,
            params={"mode": "charge"},
            headers={
                "X-Request-Id": call,
                "Credits-Account": account,
                "Idempotency-Key": "mine",
            },
        )
        assert answer.status_code == 200
    assert available(api, account) == "6"


def test_the_header_that_names_the_call_is_the_proxys_choice(api: LiveApi, account: str) -> None:
    for parent in ("00-1-1-01", "00-1-2-01"):
        headers = {"Credits-Account": account, "traceparent": parent, "X-Request-Id": "same"}
        params = {"mode": "charge", "key_header": "Traceparent"}
        assert api.request("GET", RENDER, headers=headers, params=params).status_code == 200
    assert api.request("GET", RENDER, headers=headers, params=params).status_code == 409


def test_any_method_is_answered_alike_and_no_body_is_read(api: LiveApi, account: str) -> None:
    for number, method in enumerate(METHODS):
        answer = ask(
            api, account, f"call-{number}", method=method, path="/v1/authz/ping", mode="charge"
        )
        assert answer.status_code == 200
        assert bool(answer.content) == (method != "HEAD")
    headers = {"Credits-Account": account, "X-Request-Id": "body", "Content-Type": "text/plain"}
    body = api.request(
        "POST", "/v1/authz/ping", params={"mode": "charge"}, headers=headers, content=b"{" * 200_000
    )
    assert body.status_code == 200


def test_a_reservation_is_settled_by_the_upstream(api: LiveApi, account: str) -> None:
    answer = ask(api, account, "call-1", mode="reserve", units=5, expires_in=60)
    assert answer.status_code == 200
    assert "credits-charge" not in answer.headers
    name = answer.headers["credits-reservation"]
    assert answer.json()["expires_at"] is not None
    assert available(api, account) == "5"
    assert api.post(f"/v1/reservations/{name}/settle", {"amount": "4"}).status_code == 200
    assert available(api, account) == "16"


def test_the_minimum_is_taken_of_what_nobody_settles(api: LiveApi, account: str) -> None:
    answer = ask(api, account, "call-1", mode="reserve", expires_in=1, minimum="2")
    assert answer.status_code == 200
    until = time.monotonic() + 10
    settle = f"/v1/reservations/{answer.headers['credits-reservation']}/settle"
    while api.post(settle, {"amount": "999"}).status_code != 409:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert available(api, account) == "18"


@pytest.mark.parametrize("mode", ["charge", "reserve"])
def test_a_denial_has_its_own_status_or_the_one_that_nginx_passes_on(
    api: LiveApi, account: str, mode: str
) -> None:
    own = ask(api, account, "call-1", units=100, mode=mode)
    assert (own.status_code, code_of(own)) == (402, "insufficient-credits")
    assert "credits-problem" not in own.headers
    denied = ask(api, account, "call-1", units=100, mode=mode, deny_status=403)
    assert denied.status_code == 403
    assert denied.headers["credits-status"] == "402"
    assert denied.headers["cache-control"] == "no-store"
    assert denied.headers["credits-cost"] == "205"
    assert json.loads(denied.headers["credits-problem"]) == denied.json()
    assert denied.json()["missing"] == "185"
    # Denied by 402, the call may be sent again under its name.
    assert ask(api, account, "call-1", mode=mode).status_code == 200


def test_every_refusal_of_the_call_is_told_by_the_status_that_nginx_passes_on(
    api: LiveApi, account: str
) -> None:
    def denied(*args: str | None, **more: object) -> tuple[int, str, str]:
        answer = ask(api, *args, deny_status=403, **more)  # type: ignore[arg-type]
        return answer.status_code, answer.headers["credits-status"], code_of(answer)

    assert denied("acct_0000000000007", "a") == (403, "404", "no-such-account")
    assert denied("alice", "a") == (403, "400", "invalid-request")
    assert denied(None, "a") == (403, "400", "invalid-request")
    assert denied(account, "a b") == (403, "400", "invalid-request")
    assert denied(account, "") == (403, "400", "invalid-request")
    assert denied(account, "x" * 129) == (403, "400", "invalid-request")
    assert denied(account, "a", path="/v1/authz/no.such") == (403, "422", "unknown-operation")
    assert denied(account, "a", path="/v1/authz/a%00b") == (403, "400", "invalid-request")
    assert denied(account, "a", path="/v1/authz/a/b:c") == (403, "422", "unknown-operation")
    assert denied(account, "a", minimum="x", mode="reserve") == (403, "400", "invalid-request")
    run(api.database_url, "update creditd.account set status = 'frozen'")
    assert denied(account, "a") == (403, "403", "account-frozen")


def test_who_calls_and_with_which_scope_is_told_as_ever(api: LiveApi, account: str) -> None:
    headers = {"Credits-Account": account, "X-Request-Id": "a"}
    params = {"mode": "charge", "deny_status": "403"}
    nobody = api.request(
        "GET", RENDER, params=params, headers={**headers, "Authorization": "Bearer x"}
    )
    assert (nobody.status_code, code_of(nobody)) == (401, "unauthenticated")
    weak = api.request(
        "GET", RENDER, params=params, headers=headers, api_key=api.api_key(["balance:read"])
    )
    assert (weak.status_code, code_of(weak)) == (403, "missing-scope")
    assert "credits-status" not in weak.headers


def test_a_url_without_a_query_is_refused_to_all(api: LiveApi, account: str) -> None:
    """Where a proxy's URL has no query it may pass on the caller's, who could ask for a mode."""
    headers = {"Credits-Account": account, "X-Request-Id": "a"}
    answer = api.request("GET", RENDER, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "mode")
    twice = api.request("GET", f"{RENDER}?mode=charge&units=5&units=1", headers=headers)
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (400, "units")
    more = api.request("GET", f"{RENDER}?mode=charge&page=2", headers=headers)
    assert (more.status_code, more.json()["errors"][0]["field"]) == (400, "page")


def test_a_header_that_the_proxy_added_to_is_refused(api: LiveApi, account: str) -> None:
    given = [("Authorization", f"Bearer {api.default_key}"), ("X-Request-Id", "a")]
    for name in ("Credits-Account", "X-Request-Id"):
        headers = [*given, ("Credits-Account", account), (name, account)]
        answer = api.client.get(RENDER, params={"mode": "charge"}, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == name
    assert available(api, account) == "20"


def test_a_problem_goes_into_a_header_whatever_it_says() -> None:
    problem = {
        "type": "/problems/x",
        "title": "X",
        "status": 422,
        "detail": "é\n\x7f " * 200,
        "request_id": "r",
        "operations": ["a" * 100] * 30,
    }
    headers = dict(denial_headers(422, json.dumps(problem).encode()))
    text = headers["Credits-Problem"]
    assert headers["Credits-Status"] == "422"
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= PROBLEM_BYTES_MAX
    said = json.loads(text)
    assert said["status"] == 422
    assert problem["detail"].startswith(said["detail"])  # type: ignore[attr-defined]
    short = {**problem, "detail": "d", "operations": ["a"]}
    assert json.loads(dict(denial_headers(422, json.dumps(short).encode()))["Credits-Problem"]) == (
        short
    )
