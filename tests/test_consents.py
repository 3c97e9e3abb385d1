"""Consents: which apps act for an account because its owner says so, and what withdrawing ends."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx2
import pytest
from conftest import earn
from live_api import CREDIT, LiveApi, code_of, live_api
from owning import owner

from ledger.audit import audit, render
from ledger.balances import REMEMBERED_SECONDS
from ledger.consents import Consents, May
from ledger.ids import AccountRef, parse_account
from ledger.outcomes import (
    AccountClosed,
    ConsentEnded,
    ConsentGiven,
    ConsentOutcome,
    EndOutcome,
    NoConsentNeeded,
    NoSuchAccount,
    NoSuchApp,
    NoSuchConsent,
)

WALLET = bytes.fromhex("11" * 20)
NOBODY = "acct_0000000000007"


@pytest.fixture
def api(database_url: str) -> Iterator[LiveApi]:
    with live_api(database_url) as served:
        earn(database_url, WALLET, 100 * CREDIT)
        yield served


@pytest.fixture
def printer(api: LiveApi) -> str:
    """The API key of an app that opened nothing."""
    return api.api_key(app="printer")


def give(
    api: LiveApi, account: str, app: str = "printer", may: May = "spend", by: str = "ada"
) -> ConsentOutcome:
    async def main() -> ConsentOutcome:
        async with Consents.open(api.database_url) as consents:
            return await consents.give(parse_account(account), app=app, may=may, by=by)

    return asyncio.run(main())


def withdraw(api: LiveApi, account: str, number: int) -> EndOutcome:
    async def main() -> EndOutcome:
        async with Consents.open(api.database_url, "creditd_operator") as consents:
            return await consents.withdraw(parse_account(account), number, by="ada")

    return asyncio.run(main())


def charge(api: LiveApi, account: str, api_key: str, key: str) -> httpx2.Response:
    body = {"account": account, "operation": "report.render"}
    return api.post("/v1/charges", body, key=key, api_key=api_key)


def balance(api: LiveApi, account: str, api_key: str) -> httpx2.Response:
    return api.request("GET", f"/v1/accounts/{account}/balance", api_key=api_key)


def sound(api: LiveApi) -> None:
    report = asyncio.run(audit(api.database_url))
    assert report.balanced, render(report)


def test_an_app_acts_for_an_account_while_its_owner_lets_it(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    assert charge(api, account, printer, "a").status_code == 404
    assert balance(api, account, printer).status_code == 404
    given = give(api, account)
    assert given == ConsentGiven(2, replayed=False)
    assert give(api, account) == ConsentGiven(2, replayed=True)
    assert charge(api, account, printer, "a").status_code == 201
    assert balance(api, account, printer).json()["available"] == "93"
    listed = api.request("GET", "/v1/consents", api_key=printer).json()["data"]
    assert [(row["account"], row["may"]) for row in listed] == [(account, "spend")]
    assert withdraw(api, account, 2) == ConsentEnded(replayed=False)
    assert withdraw(api, account, 2) == ConsentEnded(replayed=True)
    assert withdraw(api, account, 9) == NoSuchConsent()
    for again in ("a", "b"):
        refused = charge(api, account, printer, again)
        assert (refused.status_code, code_of(refused)) == (404, "no-such-account")
    # Another process withdrew it: this one hears of it.
    withdrawn = time.monotonic()
    while balance(api, account, printer).status_code == 200:
        assert time.monotonic() < withdrawn + REMEMBERED_SECONDS + 1
    assert api.request("GET", "/v1/consents", api_key=printer).json()["data"] == []
    assert api.charge(account, "report.render").status_code == 201
    sound(api)


def test_who_may_only_read_takes_nothing_and_changes_nothing(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    assert give(api, account, may="read") == ConsentGiven(2, replayed=False)
    assert balance(api, account, printer).json()["available"] == "100"
    assert charge(api, account, printer, "a").status_code == 404
    body = {"account": account, "operation": "report.render", "expires_in": 60}
    assert api.post("/v1/reservations", body, api_key=printer).status_code == 404
    alert = api.put(f"/v1/accounts/{account}/alert", {"below": "1"}, api_key=printer)
    assert alert.status_code == 404
    # More is another consent, less too.
    assert give(api, account) == ConsentGiven(3, replayed=False)
    assert charge(api, account, printer, "a").status_code == 201
    assert give(api, account, may="read") == ConsentGiven(4, replayed=False)
    assert charge(api, account, printer, "b").status_code == 404
    assert balance(api, account, printer).status_code == 200


def test_what_is_reserved_and_taken_is_ended_after_a_withdrawal(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    give(api, account)
    asked = {
        "account": account,
        "operation": "report.render",
        "expires_in": 600,
        "over_max": "5",
    }
    first, second, third = (
        api.post("/v1/reservations", asked, api_key=printer).json()["id"] for _ in range(3)
    )
    taken = charge(api, account, printer, "a").json()["id"]
    withdraw(api, account, 2)

    def end(name: str, how: str, body: object) -> httpx2.Response:
        return api.post(f"/v1/reservations/{name}/{how}", body, api_key=printer)

    more = end(first, "settle", {"amount": "8"})
    assert (more.status_code, code_of(more), more.json()["most"]) == (422, "over-bound", "7")
    longer = end(first, "extend", {"until": "2020-01-01T00:00:00Z"})
    assert (longer.status_code, code_of(longer)) == (404, "no-such-reservation")
    assert end(first, "settle", {"amount": "7"}).status_code in {200, 201}
    assert end(second, "release", {}).status_code in {200, 201}
    assert end(third, "settle", {"amount": "2"}).status_code in {200, 201}
    refund = api.post(f"/v1/charges/{taken}/refund", {}, api_key=printer)
    assert refund.status_code in {200, 201}
    assert api.get(f"/v1/accounts/{account}/balance").json()["available"] == "91"
    assert api.get(f"/v1/accounts/{account}/balance").json()["held"] == "0"
    stranger = api.api_key(app="stranger")
    for path in (f"/v1/reservations/{third}/release", f"/v1/charges/{taken}/refund"):
        assert api.post(path, {}, api_key=stranger).status_code == 404
    sound(api)


def test_after_a_withdrawal_no_charge_goes_through(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    give(api, account)
    ended, begun = Event(), Event()

    def charge_on(worker: int) -> list[tuple[bool, int]]:
        told = []
        for number in range(400):
            after = ended.is_set()
            body = {"account": account, "operation": "ping"}
            answer = api.client.post(
                "/v1/charges",
                json=body,
                headers={
                    "Authorization": f"Bearer {printer}",
                    "Idempotency-Key": f"{worker} {number}",
                },
            )
            told.append((after, answer.status_code))
            if number == 5:
                begun.set()
            if after and len([each for each in told if each[0]]) > 5:
                break
        return told

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(charge_on, worker) for worker in range(4)]
        begun.wait()
        assert withdraw(api, account, 2) == ConsentEnded(replayed=False)
        ended.set()
        told = [each for work in working for each in work.result()]
    assert (False, 201) in told
    assert {status for after, status in told if after} == {404}
    sound(api)


def test_an_apps_word_does_not_bring_back_what_the_owner_withdrew(api: LiveApi) -> None:
    account = api.open_wallet(WALLET)
    assert api.open_wallet(WALLET) == account
    assert withdraw(api, account, 1) == ConsentEnded(replayed=False)
    wallet = {"chain_id": 31337, "address": f"0x{WALLET.hex()}"}
    again = api.post("/v1/accounts", {"wallet": wallet})
    assert (again.status_code, code_of(again)) == (403, "consent-withdrawn")
    assert api.charge(account, "ping").status_code == 404
    # Another app's word is another thing.
    printer = api.api_key(app="printer")
    assert api.post("/v1/accounts", {"wallet": wallet}, api_key=printer).status_code == 200
    give(api, account, app="shop", may="read")
    assert api.post("/v1/accounts", {"wallet": wallet}).status_code == 200
    assert api.charge(account, "ping").status_code == 404
    give(api, account, app="shop")
    assert api.charge(account, "ping").status_code == 201


def test_what_needs_no_consent_has_none(api: LiveApi, printer: str) -> None:
    own = str(api.post("/v1/accounts", {"name": "alice"}).json()["id"])
    pool = str(api.post("/v1/organisations", {"name": "works"}).json()["id"])
    members = f"/v1/organisations/{pool}/members"
    anna = str(api.post(members, {"name": "anna"}).json()["id"])
    for account, app in ((own, "shop"), (pool, "shop"), (pool, "printer"), (anna, "shop")):
        assert give(api, account, app=app) == NoConsentNeeded()
    assert isinstance(give(api, own), ConsentGiven)
    assert isinstance(give(api, anna), ConsentGiven)
    assert charge(api, anna, printer, "a").status_code == 402
    # A member's word opens no organisation.
    assert api.request("GET", members, api_key=printer).status_code == 404
    assert give(api, own, app="nobody") == NoSuchApp()
    assert give(api, NOBODY) == NoSuchAccount()
    api.delete(f"{members}/{anna}")
    assert give(api, anna, app="printer", may="read") == AccountClosed()


def test_the_owner_gives_lists_and_withdraws(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    mine = owner(api, account)
    path = f"/v1/accounts/{account}/consents"
    first = api.request("POST", path, json={"app": "printer"}, api_key=mine)
    again = api.request("POST", path, json={"app": "printer"}, api_key=mine)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["given_by"].startswith("the owner, by API key ")
    assert charge(api, account, printer, "a").status_code == 201
    page = api.request("GET", path, params={"limit": "1"}, api_key=mine).json()
    rest = api.request("GET", path, params={"cursor": page["next_cursor"]}, api_key=mine).json()
    assert [(row["id"], row["app"]) for row in page["data"] + rest["data"]] == [
        (2, "printer"),
        (1, "shop"),
    ]
    gone = api.delete(f"{path}/2", api_key=mine)
    assert (gone.status_code, gone.json()["withdrawn_by"]) == (200, first.json()["given_by"])
    assert api.delete(f"{path}/2", api_key=mine).headers["idempotent-replayed"] == "true"
    assert charge(api, account, printer, "b").status_code == 404
    for number in ("9", "0", "x", "9" * 30, "-1"):
        refused = api.delete(f"{path}/{number}", api_key=mine)
        assert (refused.status_code, code_of(refused)) == (404, "no-such-consent")
    unknown = api.request("POST", path, json={"app": "nobody"}, api_key=mine)
    assert (unknown.status_code, code_of(unknown)) == (422, "no-such-app")
    elsewhere = f"/v1/accounts/{NOBODY}/consents"
    refused = api.request("POST", elsewhere, json={"app": "printer"}, api_key=mine)
    assert (refused.status_code, code_of(refused)) == (404, "no-such-account")
    assert api.request("GET", "/v1/consents", api_key=mine).status_code == 403


def test_an_app_consents_to_nothing_for_its_users(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    path = f"/v1/accounts/{account}/consents"
    for method, where, body in (
        ("POST", path, {"app": "printer"}),
        ("GET", path, None),
        ("DELETE", f"{path}/1", None),
    ):
        refused = api.request(method, where, json=body)
        assert (refused.status_code, code_of(refused)) == (403, "for-owners-only")
    assert charge(api, account, printer, "a").status_code == 404


def test_the_accounts_an_app_was_let_into_are_listed_page_by_page(
    api: LiveApi, printer: str
) -> None:
    accounts = {api.open_wallet(bytes([number]) * 20) for number in range(1, 6)}
    for account in accounts:
        give(api, account)
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.request(
            "GET", "/v1/consents", params={"limit": "2", **cursor}, api_key=printer
        ).json()
        found += [row["account"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert (len(found), set(found)) == (5, accounts)
    for wrong in ("x", "Y29uc2VudHMgeA"):
        answer = api.request("GET", "/v1/consents", params={"cursor": wrong}, api_key=printer)
        assert answer.status_code == 400


def test_consents_given_at_once_are_one(api: LiveApi, printer: str) -> None:
    account = api.open_wallet(WALLET)
    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(lambda _: give(api, account), range(8)))
    assert sorted(map(repr, given)) == sorted(
        map(repr, [ConsentGiven(2, replayed=False), *[ConsentGiven(2, replayed=True)] * 7])
    )
    assert charge(api, account, printer, "a").status_code == 201


def test_a_consent_is_an_accounts_own(api: LiveApi, printer: str) -> None:
    mine, other = api.open_wallet(WALLET), api.open_wallet(b"\x22" * 20)
    give(api, mine)
    assert charge(api, other, printer, "a").status_code == 404
    root = AccountRef(parse_account(mine).root_id, parse_account(other).account_id)
    assert root.root_id != root.account_id
    assert withdraw(api, other, 2) == NoSuchConsent()
    assert charge(api, mine, printer, "a").status_code == 201
