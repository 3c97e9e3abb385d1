"""Charges in bulk over HTTP: each item as if it had come alone, in its place."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conftest import earn
from live_api import CREDIT, WALLET, LiveApi, available, live_api, problem

from api.app import BODY_BYTES_MAX
from api.calling.idempotency import KEY_LENGTH_MAX
from api.metering.wire import BULK_MAX
from api.shapes import PRICE_VERSION_MAX, UNITS_MAX

BULK = "/v1/charges/bulk"

Item = dict[str, Any]


def in_bulk(api: LiveApi, *charges: object, api_key: str | None = None) -> list[Item]:
    response = api.request("POST", BULK, json={"charges": charges}, api_key=api_key)
    assert response.status_code == 200, response.text
    items: list[Item] = response.json()["charges"]
    assert len(items) == len(charges)
    assert all(
        item["problem"]["request_id"] == response.headers["x-request-id"]
        for item in items
        if "problem" in item
    )
    return items


def came_of(items: list[Item]) -> list[object]:
    """Say of each item what it cost, or why it was refused."""
    return [
        item["charge"]["cost"] if "charge" in item else item["problem"]["type"].rpartition("/")[2]
        for item in items
    ]


def test_each_item_is_decided_by_itself_and_answered_in_its_place(
    api: LiveApi, account: str
) -> None:
    good = {"account": account, "operation": "report.render"}
    items = in_bulk(
        api,
        {**good, "key": "a"},
        {**good, "key": "b", "units": 1_000},
        {**good, "key": "c", "operation": "report.rendr"},
        {**good, "key": "d", "units": 0},
        {**good, "key": "e", "account": "acct_" + "0" * 12 + "7"},
        {**good, "key": "f", "account": "acct_no"},
        {**good, "key": "g", "price_version": 7},
        {**good, "key": "h", "unit": 1},
        good,
        {**good, "key": ""},
        {**good, "key": "é"},
        {**good, "key": "i\n"},
        "no charge",
        {**good, "key": "j", "units": 2},
    )
    assert came_of(items) == [
        "7",
        "insufficient-credits",
        "unknown-operation",
        "invalid-request",
        "no-such-account",
        "invalid-request",
        "price-changed",
        *["invalid-request"] * 6,
        "9",
    ]
    assert available(api, account) == "4"
    assert [item["replayed"] for item in (items[0], items[-1])] == [False, False]
    assert items[3]["problem"]["errors"][0]["field"] == "units"
    assert items[8]["problem"]["errors"] == [{"field": "key", "message": "is missing"}]


def test_an_item_is_refused_in_the_words_of_a_charge_alone(api: LiveApi, account: str) -> None:
    asked: list[Item] = [
        {"account": account, "operation": "report.render", "units": 1_000},
        {"account": account, "operation": "nothing"},
        {"account": account, "operation": "report.render", "units": -1},
        {"account": "x", "operation": "report.render"},
    ]
    items = in_bulk(api, *[{**each, "key": f"k{n}"} for n, each in enumerate(asked)])
    for item, each in zip(items, asked, strict=True):
        alone = api.post("/v1/charges", each)
        assert item["problem"]["status"] == alone.status_code
        assert {**item["problem"], "request_id": ""} == {**alone.json(), "request_id": ""}


def test_a_key_is_the_same_alone_and_in_bulk(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render"}
    first = api.charge(account, "report.render", key="alone").json()
    again, new = in_bulk(api, {**asked, "key": "alone"}, {**asked, "key": "bulk"})
    assert again == {"charge": first, "replayed": True}
    response = api.charge(account, "report.render", key="bulk")
    assert response.headers["idempotent-replayed"] == "true"
    assert response.json() == new["charge"]
    assert in_bulk(api, {**asked, "key": "bulk"}) == [{"charge": new["charge"], "replayed": True}]
    assert available(api, account) == "6"


def test_the_second_item_under_a_key_is_a_replay_of_the_first(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render", "key": "k"}
    first, second, other = in_bulk(api, asked, asked, {**asked, "units": 2})
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["charge"] == second["charge"]
    assert came_of([other]) == ["idempotency-key-reused"]
    assert available(api, account) == "13"


def test_items_of_one_account_never_overspend_it(api: LiveApi, account: str) -> None:
    def call(number: int) -> list[Item]:
        return in_bulk(
            api,
            *(
                {
                    "account": account,
                    "operation": "chat.completion",
                    "units": 100,
                    "key": f"{number}-{each}",
                }
                for each in range(BULK_MAX)
            ),
        )

    with ThreadPoolExecutor(4) as pool:
        items = [item for some in pool.map(call, range(4)) for item in some]
    assert Counter(came_of(items)) == {"0.2": 100, "insufficient-credits": 300}
    assert available(api, account) == "0"


def test_a_call_has_bounds(api: LiveApi, account: str) -> None:
    item = {
        "account": "acct_" + "0" * 26,
        "operation": "o" * 100,
        "units": UNITS_MAX,
        "price_version": PRICE_VERSION_MAX,
        "key": "k" * KEY_LENGTH_MAX,
    }
    assert len(json.dumps({"charges": [item] * BULK_MAX}, indent=1)) < BODY_BYTES_MAX
    assert set(came_of(in_bulk(api, *[item] * BULK_MAX))) == {"no-such-account"}
    for count in (0, BULK_MAX + 1):
        response = api.request("POST", BULK, json={"charges": [item] * count})
        body = problem(response, 400, "invalid-request")
        assert body["errors"][0]["field"] == "charges"  # type: ignore[index]  # JSON
    assert available(api, account) == "20"


def test_an_app_reaches_no_more_in_bulk_than_alone(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render", "key": "k"}
    stranger = api.api_key(app="stranger")
    assert came_of(in_bulk(api, asked, api_key=stranger)) == ["no-such-account"]
    reader = api.api_key(["balance:read"])
    problem(
        api.request("POST", BULK, json={"charges": [asked]}, api_key=reader), 403, "missing-scope"
    )
    assert available(api, account) == "20"


def test_what_the_queue_does_not_hold_is_told_item_by_item(database_url: str) -> None:
    with live_api(database_url, queue_max=4) as api:
        earn(database_url, WALLET, 20 * CREDIT)
        account = api.open_wallet(WALLET)
        asked = {"account": account, "operation": "ping"}
        items = in_bulk(api, *({**asked, "key": f"k{n}"} for n in range(6)))
        assert came_of(items) == ["0"] * 4 + ["ledger-busy"] * 2
        assert items[-1]["problem"]["status"] == 503
