import asyncio
from concurrent.futures import ThreadPoolExecutor

from conftest import earn, run
from live_api import CREDIT, WALLET, LiveApi, available, problem

from ledger.ids import AccountRef, format_account
from ledger.outcomes import AccountOpened
from ledger.sharing import Sharing


def test_a_charge_takes_the_price_and_tells_what_is_left(api: LiveApi, account: str) -> None:
    response = api.charge(account, "report.render", 4)
    assert response.status_code == 201
    charge = response.json()
    assert charge == {
        "id": charge["id"],
        "account": account,
        "operation": "report.render",
        "model": None,
        "units": 4,
        "price_version": 1,
        "cost": "13",
        "available": "7",
        "at": charge["at"],
    }
    assert charge["at"].endswith("Z")
    assert response.headers["credits-cost"] == "13"
    assert response.headers["credits-balance"] == "7"
    assert "idempotent-replayed" not in response.headers
    assert available(api, account) == "7"
    found = api.get(response.headers["location"])
    assert found.json() == {**charge, "refunded": "0", "reservation": None}


def test_units_are_one_unless_they_are_given(api: LiveApi, account: str) -> None:
    response = api.post("/v1/charges", {"account": account, "operation": "chat.completion"})
    assert (response.json()["units"], response.json()["cost"]) == (1, "0.002")


def test_an_operation_may_cost_nothing(api: LiveApi, account: str) -> None:
    assert api.charge(account, "ping").json()["cost"] == "0"


def test_a_retried_charge_is_taken_once_and_answered_as_before(api: LiveApi, account: str) -> None:
    first = api.charge(account, "report.render", 1, key="order-7")
    api.charge(account, "report.render", 2)
    again = api.charge(account, "report.render", 1, key="order-7")
    quoted = api.charge(account, "report.render", 1, key='"order-7"')
    assert again.status_code == first.status_code
    assert again.json() == quoted.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["credits-balance"] == first.headers["credits-balance"] == "13"
    assert available(api, account) == "4"


def test_retries_at_the_same_time_are_taken_once(api: LiveApi, account: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: api.charge(account, "report.render", 1, key="same"), range(16))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert available(api, account) == "13"


def test_charges_at_the_same_time_never_overspend(api: LiveApi, account: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.charge(account, "report.render", 1), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [402] * 6
    assert available(api, account) == "6"


def test_a_key_names_one_request_only(api: LiveApi, account: str) -> None:
    charge = api.charge(account, "report.render", 1, key="k").json()
    problem(api.charge(account, "report.render", 2, key="k"), 422, "idempotency-key-reused")
    problem(api.charge(account, "ping", 1, key="k"), 422, "idempotency-key-reused")
    refund = api.post(f"/v1/charges/{charge['id']}/refund", {}, key="k")
    problem(refund, 422, "idempotency-key-reused")


def test_a_402_tells_what_is_missing_and_leaves_the_key_free(api: LiveApi, account: str) -> None:
    response = api.charge(account, "report.render", 10, key="k")
    body = problem(response, 402, "insufficient-credits")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["credits-balance"] == "20"
    assert response.headers["credits-cost"] == "25"
    assert "retry-after" not in response.headers
    asked = {"account": account, "operation": "report.render", "units": 10, "price_version": 1}
    sums = {"required": "25", "available": "20", "missing": "5", "pending": "0", "debt": "0"}
    assert body.items() >= (asked | sums).items()
    assert body["remedies"] == [
        {"kind": "earn", "detail": "Mine or stake with a wallet of this account."}
    ]
    earn(api.database_url, WALLET, 5 * CREDIT)
    assert api.charge(account, "report.render", 10, key="k").status_code == 201
    assert available(api, account) == "0"


def test_a_402_says_to_wait_where_pending_credits_cover_it(api: LiveApi, account: str) -> None:
    run(
        api.database_url,
        "insert into creditd.event (chain_id, tx_hash, ordinal, rule_id, block_number, block_hash,"
        " block_time, log_index, wallet, amount, credits) select chain_id, '\\x01', ordinal,"
        " rule_id, block_number + 1, block_hash, block_time, log_index, wallet, amount, 6000000"
        " from creditd.event",
    )
    covered = api.charge(account, "report.render", 10)
    body = problem(covered, 402, "insufficient-credits")
    assert (body["pending"], body["missing"]) == ("6", "5")
    assert int(covered.headers["retry-after"]) > 0
    assert isinstance(body["remedies"], list)
    assert [remedy["kind"] for remedy in body["remedies"]] == ["wait", "earn"]
    assert "retry-after" not in api.charge(account, "report.render", 11).headers


def test_a_charge_may_insist_on_a_price(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render", "price_version": 1}
    assert api.post("/v1/charges", asked).status_code == 201
    response = api.post("/v1/charges", {**asked, "price_version": 2})
    assert problem(response, 409, "price-changed")["price_version"] == 1
    assert available(api, account) == "13"


def test_an_operation_without_a_price_is_told_with_those_that_have_one(
    api: LiveApi, account: str
) -> None:
    body = problem(api.charge(account, "report.rendr"), 422, "unknown-operation")
    assert body["operations"] == ["chat.completion", "ping", "report.render"]


def test_a_charge_beyond_the_books_is_refused(api: LiveApi, account: str) -> None:
    run(api.database_url, "update creditd.price set per_unit = 4000000000000000000")
    problem(api.charge(account, "chat.completion", 1_000_000_000), 422, "too-expensive")


WRONG_FIELDS = (
    ("units", "1"),
    ("units", 1.5),
    ("units", True),
    ("units", 0),
    ("units", -1),
    ("units", 10**30),
    ("units", None),
    ("account", "acct_none"),
    ("account", 7),
    ("operation", ""),
    ("operation", "a b"),
    ("price_version", 0),
    ("colour", "red"),
)


def test_a_wrong_field_is_refused_by_its_name(api: LiveApi, account: str) -> None:
    for field, value in WRONG_FIELDS:
        asked = {"account": account, "operation": "report.render", field: value}
        body = problem(api.post("/v1/charges", asked), 400, "invalid-request")
        assert isinstance(body["errors"], list)
        assert [error["field"] for error in body["errors"]] == [field]
    assert available(api, account) == "20"


def test_a_frozen_account_is_not_charged(api: LiveApi, account: str) -> None:
    run(api.database_url, "update creditd.account set status = 'frozen'")
    problem(api.charge(account, "report.render"), 403, "account-frozen")
    assert api.get(f"/v1/accounts/{account}/balance").json()["frozen"] is True


def test_a_402_tells_what_the_budget_of_a_member_leaves(api: LiveApi) -> None:
    member = _member_with_a_budget(api.database_url, 6 * CREDIT)
    response = api.charge(member, "report.render", key="k")
    body = problem(response, 402, "over-budget")
    asked = {"required": "7", "left": "6", "price_version": 1}
    assert body.items() >= asked.items()
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["credits-cost"] == "7"
    assert "retry-after" not in response.headers
    assert 'operation="report.render",outcome="over_budget"} 1.0' in api.get("/metrics").text


def _member_with_a_budget(database_url: str, amount: int) -> str:
    async def made() -> AccountRef:
        async with Sharing.open(database_url) as sharing:
            works = await sharing.open_organisation(app_id=1, name="works")
            assert isinstance(works, AccountOpened)
            anna = await sharing.add_member(app_id=1, organisation=works.account, name="anna")
            assert isinstance(anna, AccountOpened)
            await sharing.set_budget(app_id=1, member=anna.account, period="month", amount=amount)
            return anna.account

    return format_account(asyncio.run(made()))


def test_an_account_of_another_app_looks_like_none(api: LiveApi, account: str) -> None:
    stranger = api.api_key(app="stranger")
    asked = {"account": account, "operation": "report.render"}
    problem(api.post("/v1/charges", asked, api_key=stranger), 404, "no-such-account")
    problem(
        api.post("/v1/charges", {**asked, "account": "acct_" + "0" * 12 + "7"}),
        404,
        "no-such-account",
    )
    charge = api.charge(account, "report.render").json()["id"]
    hidden = api.request("GET", f"/v1/charges/{charge}", api_key=stranger)
    problem(hidden, 404, "no-such-charge")
    problem(api.post(f"/v1/charges/{charge}/refund", {}, api_key=stranger), 404, "no-such-charge")


def test_a_charge_is_given_back_in_parts_and_never_more(api: LiveApi, account: str) -> None:
    charge = api.charge(account, "report.render", 4).json()["id"]
    path = f"/v1/charges/{charge}/refund"
    part = api.post(path, {"amount": "1.5"}, key="part")
    assert part.status_code == 200
    assert part.json()["id"].startswith("rfd_")
    amounts = {name: part.json()[name] for name in ("charge", "amount", "repaid", "available")}
    assert amounts == {"charge": charge, "amount": "1.5", "repaid": "0", "available": "8.5"}
    assert part.headers["credits-balance"] == "8.5"
    again = api.post(path, {"amount": "1.5"}, key="part")
    assert again.json() == part.json()
    assert again.headers["idempotent-replayed"] == "true"
    body = problem(api.post(path, {"amount": "11.500001"}), 422, "more-than-taken")
    assert body["refundable"] == "11.5"
    assert api.get(f"/v1/charges/{charge}").json()["refunded"] == "1.5"
    assert api.post(path, {}).json()["amount"] == "11.5"
    assert problem(api.post(path, {}), 422, "more-than-taken")["refundable"] == "0"
    assert available(api, account) == "20"


def test_a_refund_of_everything_needs_no_body(api: LiveApi, account: str) -> None:
    charge = api.charge(account, "report.render").json()["id"]
    response = api.request("POST", f"/v1/charges/{charge}/refund", headers={"Idempotency-Key": "k"})
    assert response.json()["amount"] == "7"


def test_a_refund_of_no_amount_is_refused(api: LiveApi, account: str) -> None:
    charge = api.charge(account, "report.render").json()["id"]
    for amount in ("0", "-1", "1e3", "0.0000001", "", "5,0", "9" * 39, 5):
        response = api.post(f"/v1/charges/{charge}/refund", {"amount": amount})
        problem(response, 400, "invalid-request")
    assert available(api, account) == "13"


def test_a_charge_nobody_made_is_not_found(api: LiveApi) -> None:
    for name in ("chg_", "x", "rfd_0000000000001_1", "chg_" + "z" * 13 + "_1"):
        problem(api.get(f"/v1/charges/{name}"), 404, "no-such-charge")
        problem(api.post(f"/v1/charges/{name}/refund", {}), 404, "no-such-charge")
