import pytest
from conftest import CHAIN_ID, earn
from live_api import CREDIT, LiveApi

from api.calling.addresses import format_address

WALLET = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")


def wallet(address: str, chain_id: int = CHAIN_ID) -> dict[str, object]:
    return {"wallet": {"chain_id": chain_id, "address": address}}


def test_an_account_is_opened_once_under_the_apps_own_name(api: LiveApi) -> None:
    first = api.post("/v1/accounts", {"name": "alice"})
    again = api.post("/v1/accounts", {"name": "alice"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["id"].startswith("acct_")
    assert api.get(first.headers["location"]).json()["available"] == "0"
    stranger = api.api_key(app="stranger")
    theirs = api.post("/v1/accounts", {"name": "alice"}, api_key=stranger)
    assert theirs.json() != first.json()


def test_a_wallet_is_one_account_however_it_is_written(api: LiveApi) -> None:
    earn(api.database_url, WALLET, CREDIT)
    text = format_address(WALLET)
    answers = [
        api.post("/v1/accounts", wallet(written))
        for written in (text, text.lower(), "0x" + text[2:].upper())
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    elsewhere = api.post("/v1/accounts", wallet(text, chain_id=1))
    assert elsewhere.status_code == 201
    assert elsewhere.json() != answers[0].json()


def test_a_mistyped_wallet_is_told_with_the_right_checksum(api: LiveApi) -> None:
    text = format_address(WALLET)
    response = api.post("/v1/accounts", wallet(text.replace("aA", "aa")))
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["field"] == "wallet.address"
    assert text in error["message"]


@pytest.mark.parametrize(
    ("scope", "body", "missing"),
    [
        ("accounts:write", wallet("0x" + "11" * 20), "accounts:attest"),
        ("accounts:attest", {"name": "alice"}, "accounts:write"),
    ],
)
def test_each_way_to_open_an_account_has_its_scope(
    api: LiveApi, scope: str, body: object, missing: str
) -> None:
    response = api.post("/v1/accounts", body, api_key=api.api_key([scope]))
    assert response.status_code == 403
    assert response.json()["scope"] == missing


def test_a_balance_shows_what_was_granted_and_spent(api: LiveApi) -> None:
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    api.charge(account, "report.render")
    response = api.get(f"/v1/accounts/{account}/balance")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["credits-balance"] == "13"
    assert response.json() == {
        "account": account,
        "available": "13",
        "held": "0",
        "pending": "0",
        "pending_ready_at": None,
        "debt": "0",
        "granted": "20",
        "spent": "7",
        "version": 2,
        "frozen": False,
    }


def test_entries_say_what_was_done_and_where_credits_come_from(api: LiveApi) -> None:
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    charge = api.charge(account, "report.render").json()
    api.post(f"/v1/charges/{charge['id']}/refund", {"amount": "2"})
    page = api.get(f"/v1/accounts/{account}/entries").json()
    assert page["next_cursor"] is None
    refund, taken, grant = page["data"]
    assert [entry["kind"] for entry in page["data"]] == ["refund", "charge", "grant"]
    assert [entry["seq"] for entry in page["data"]] == [3, 2, 1]
    assert [entry["available_after"] for entry in page["data"]] == ["15", "13", "20"]
    assert (taken["operation"], taken["units"], taken["amount"]) == ("report.render", 1, "7")
    assert refund["refers_to"] == taken["seq"]
    earning = api.get(f"/v1/accounts/{account}/earnings").json()["data"][0]
    assert grant["grant"] == {
        name: earning[name]
        for name in ("source", "chain_id", "tx_hash", "ordinal", "period_end", "reward")
    }


def test_earnings_name_their_event_on_the_chain(api: LiveApi) -> None:
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    (earning,) = api.get(f"/v1/accounts/{account}/earnings").json()["data"]
    assert earning["state"] == "confirmed"
    assert (earning["credits"], earning["amount"]) == ("20", str(20 * CREDIT))
    assert earning["wallet"] == format_address(WALLET)
    assert (earning["chain_id"], earning["chain"]) == (CHAIN_ID, f"chain-{CHAIN_ID}")
    assert (earning["confirmations"], earning["confirmations_needed"]) == (0, 1)
    assert earning["block_time"] == "2023-11-14T22:13:20Z"


def test_lists_are_paged_without_gaps_or_repeats(api: LiveApi) -> None:
    for _ in range(5):
        earn(api.database_url, WALLET, CREDIT)
    account = api.open_wallet(WALLET)
    for name, place in (("entries", "seq"), ("earnings", "block_number")):
        whole = api.get(f"/v1/accounts/{account}/{name}").json()["data"]
        seen: list[object] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.get(f"/v1/accounts/{account}/{name}", limit="2", **cursor).json()
            seen += [row[place] for row in page["data"]]
            if page["next_cursor"] is None:
                break
            assert len(page["data"]) == 2
            cursor = {"cursor": page["next_cursor"]}
        assert seen == [row[place] for row in whole]
        assert seen == sorted(seen, reverse=True)  # type: ignore[type-var]  # they are numbers
        assert len(seen) == 5


def test_a_page_that_cannot_be_is_refused(api: LiveApi) -> None:
    account = api.post("/v1/accounts", {"name": "alice"}).json()["id"]
    for name, value in (("limit", "0"), ("limit", "201"), ("cursor", "x"), ("page", "2")):
        response = api.get(f"/v1/accounts/{account}/entries", **{name: value})
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == name


def test_an_account_nobody_opened_is_not_found(api: LiveApi) -> None:
    for name in ("acct_0000000000007", "acct_x", "me", "acct_" + "0" * 26):
        for what in ("balance", "entries", "earnings"):
            response = api.get(f"/v1/accounts/{name}/{what}")
            assert response.status_code == 404
            assert response.json()["type"] == "/problems/no-such-account"


def test_operations_show_their_prices(api: LiveApi) -> None:
    operations = api.get("/v1/operations").json()["data"]
    assert [operation["operation"] for operation in operations] == [
        "chat.completion",
        "ping",
        "report.render",
    ]
    render = operations[-1]
    (price,) = render["prices"]
    assert (price["base"], price["per_unit"], price["unit"]) == ("5", "2", "page")
    assert (price["model"], price["version"], price["tiers"], price["ends_at"]) == (
        *(None, 1, []),
        None,
    )
    assert render["later"] == []
    assert api.get("/v1/operations/report.render").json() == render
    problem = api.get("/v1/operations/report.rander")
    assert (problem.status_code, problem.json()["type"]) == (422, "/problems/unknown-operation")
    first = api.get("/v1/operations", limit="2").json()
    rest = api.get("/v1/operations", cursor=first["next_cursor"]).json()
    assert first["data"] + rest["data"] == operations
    assert rest["next_cursor"] is None
