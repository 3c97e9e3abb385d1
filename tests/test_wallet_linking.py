"""Linking wallets by their signature over HTTP: to the account that the text names, to no other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
from conftest import CHAIN_ID, earn
from live_api import CREDIT, PUBLIC_URL, SIGN_IN, LiveApi, code_of, live_api
from signing_person import ALICE_KEY, Person, sign

from api.identity.siwe import parse_message, render_message

OTHER_CHAIN = 10
CAROL_KEY = "0x" + "ca" * 32


def linked(holder: Person, other: Person) -> Any:  # noqa: ANN401
    """Link another wallet to the holder's account, by that wallet's signature."""
    text = holder.ask_to_link(other)
    return holder.link(text, sign(text, other.key))


def test_what_a_wallet_earned_is_the_accounts_once_it_is_linked(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    earn(api.database_url, bob.raw_address, 5 * CREDIT)
    earn(api.database_url, bob.raw_address, 2 * CREDIT, chain_id=OTHER_CHAIN)
    account = alice.sign_in()
    response = linked(alice, bob)
    assert response.status_code == 201
    assert response.json() == {
        "account": account,
        "address": bob.address,
        "chain_id": None,
        "moved": "7",
        "debt": "0",
    }
    earn(api.database_url, bob.raw_address, CREDIT)
    assert alice.balance(account).json()["available"] == "8"
    assert bob.sign_in() == account  # where its credits are, there it leads
    again = linked(alice, bob)
    assert (again.status_code, again.json()["moved"]) == (200, "0")


def test_the_text_names_the_account(alice: Person, bob: Person) -> None:
    account = alice.sign_in()
    message = parse_message(alice.ask_to_link(bob))
    assert account in (message.statement or "")
    assert message.uri == f"{PUBLIC_URL}/v1/wallets"
    assert message.address == bob.raw_address


def test_a_text_for_one_account_never_links_to_another(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    carol = Person(api, CAROL_KEY)
    alice.sign_in()
    account = bob.sign_in()
    text = alice.ask_to_link(carol)
    signature = sign(text, CAROL_KEY)
    stolen = bob.link(text, signature)
    assert (stolen.status_code, code_of(stolen)) == (422, "challenge-unknown")
    message = parse_message(text)
    bent = render_message(
        replace(message, statement=(message.statement or "").replace(account_of(message), account))
    )
    assert account in bent
    assert bob.link(bent, sign(bent, CAROL_KEY)).status_code == 422
    assert alice.link(text, signature).status_code == 201


def account_of(message: Any) -> str:  # noqa: ANN401
    words = str(message.statement).split()
    return next(word for word in words if word.startswith("acct_")).rstrip(":")


def test_a_text_to_sign_in_by_links_nothing_and_the_other_way_round(
    alice: Person, bob: Person
) -> None:
    alice.sign_in()
    to_sign_in = bob.ask()
    assert code_of(alice.link(to_sign_in, sign(to_sign_in, bob.key))) == "challenge-unknown"
    to_link = alice.ask_to_link(bob)
    assert code_of(bob.hand_in(to_link)) == "challenge-unknown"
    assert bob.hand_in(to_sign_in).status_code == 201
    assert alice.link(to_link, sign(to_link, bob.key)).status_code == 201


def test_only_the_wallets_own_signature_links_it(alice: Person, bob: Person) -> None:
    alice.sign_in()
    text = alice.ask_to_link(bob)
    refused = alice.link(text, sign(text, alice.key))
    assert (refused.status_code, code_of(refused)) == (403, "signature-refused")
    assert alice.link(text, sign(text, bob.key)).status_code == 201
    assert code_of(alice.link(text, sign(text, bob.key))) == "challenge-unknown"


def test_a_text_that_is_handed_in_twice_at_once_links_once(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    alice.sign_in()
    text = alice.ask_to_link(bob)
    signature = sign(text, bob.key)

    def link() -> int:
        with LiveApi(api.url, api.database_url) as other:
            return Person(other, ALICE_KEY, cookie=alice.cookie).link(text, signature).status_code

    with ThreadPoolExecutor(3) as pool:
        statuses = sorted(future.result() for future in [pool.submit(link) for _ in range(3)])
    assert statuses == [201, 422, 422]
    with psycopg.connect(api.database_url) as connection:
        proofs = connection.execute("select message, signature from creditd.wallet_proof")
        assert proofs.fetchall() == [(text, bytes.fromhex(signature[2:]))]


def test_the_wallets_of_an_account_are_listed_and_unlinked(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    account = alice.sign_in()
    earn(api.database_url, bob.raw_address, CREDIT)
    linked(alice, bob)
    rows = alice.send("GET", "/v1/wallets").json()["data"]
    assert {(row["address"], row["chain_id"], row["own"]) for row in rows} == {
        (alice.address, CHAIN_ID, True),
        (bob.address, CHAIN_ID, False),
        (bob.address, None, False),
    }
    pages: list[tuple[str, int | None]] = []
    cursor: str | None = None
    for _ in range(4):
        params = {"limit": "1"} | ({} if cursor is None else {"cursor": cursor})
        page = alice.send("GET", "/v1/wallets", params=params).json()
        pages += [(row["address"], row["chain_id"]) for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [(row["address"], row["chain_id"]) for row in rows]
    gone = alice.send("DELETE", f"/v1/wallets/{bob.address}")
    assert gone.json() == {"account": account, "address": bob.address, "chain_id": None}
    assert [row["own"] for row in alice.send("GET", "/v1/wallets").json()["data"]] == [True]
    earn(api.database_url, bob.raw_address, CREDIT)
    assert alice.balance(account).json()["available"] == "1"
    assert bob.sign_in() != account


def test_whoever_is_unlinked_is_signed_out(api: LiveApi, alice: Person, bob: Person) -> None:
    account = alice.sign_in()
    linked(alice, bob)
    assert bob.sign_in() == account
    assert bob.balance(account).status_code == 200
    assert alice.send("DELETE", f"/v1/wallets/{bob.address}").status_code == 200
    assert code_of(bob.balance(account)) == "session-over"
    stranger = Person(api, CAROL_KEY)
    stranger.sign_in()
    elsewhere = stranger.send("DELETE", f"/v1/wallets/{alice.address}")
    assert elsewhere.status_code == 200  # there was no link of it to end
    assert alice.balance(account).status_code == 200


def test_a_linked_wallet_is_linked_elsewhere_only_after_it_was_unlinked(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    carol = Person(api, CAROL_KEY)
    earn(api.database_url, carol.raw_address, CREDIT)
    alice.sign_in()
    bob.sign_in()
    linked(alice, carol)
    refused = linked(bob, carol)
    assert (refused.status_code, code_of(refused)) == (409, "linked-elsewhere")
    stolen = bob.send("DELETE", f"/v1/wallets/{carol.address}")
    assert (stolen.status_code, code_of(stolen)) == (409, "linked-elsewhere")
    alice.send("DELETE", f"/v1/wallets/{carol.address}")
    assert linked(bob, carol).status_code == 201


def test_links_are_not_chained(api: LiveApi, alice: Person, bob: Person) -> None:
    carol = Person(api, CAROL_KEY)
    bob.sign_in()
    linked(bob, carol)
    alice.sign_in()
    refused = linked(alice, bob)
    assert (refused.status_code, code_of(refused)) == (409, "link-chained")


# Apps --------------------------------------------------------------------------------------------


def test_an_app_links_a_wallet_to_an_account_of_its_own(api: LiveApi, bob: Person) -> None:
    account = api.post("/v1/accounts", {"name": "alice"}).json()["id"]
    asked = {**bob.wallet, "account": account}
    text = api.request("POST", "/v1/wallets/challenge", json=asked).json()["message"]
    assert account in text
    body = {"message": text, "signature": sign(text, bob.key)}
    stranger = api.api_key(app="stranger")
    theirs = api.request("POST", "/v1/wallets", json=body, api_key=stranger)
    assert (theirs.status_code, code_of(theirs)) == (422, "challenge-unknown")
    assert api.request("POST", "/v1/wallets", json=body).status_code == 201
    listed = api.get("/v1/wallets", account=account).json()["data"]
    assert [row["address"] for row in listed] == [bob.address]
    assert bob.sign_in() == account
    path = f"/v1/wallets/{bob.address}?account={account}"
    assert api.request("DELETE", path, api_key=stranger).status_code == 404
    assert api.request("DELETE", path).status_code == 200


def test_an_app_says_whose_wallet_it_is_about(api: LiveApi, bob: Person) -> None:
    for response in (
        api.request("POST", "/v1/wallets/challenge", json=bob.wallet),
        api.get("/v1/wallets"),
        api.request("DELETE", f"/v1/wallets/{bob.address}"),
    ):
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "account"
    account = api.post("/v1/accounts", {"name": "a"}, api_key=api.api_key(app="other")).json()["id"]
    asked = {**bob.wallet, "account": account}
    foreign = api.request("POST", "/v1/wallets/challenge", json=asked)
    assert (foreign.status_code, code_of(foreign)) == (404, "no-such-account")


def test_linking_needs_its_scope(api: LiveApi, bob: Person) -> None:
    reader = api.api_key(["balance:read", "charge:write"])
    for method, path in (
        ("POST", "/v1/wallets/challenge"),
        ("POST", "/v1/wallets"),
        ("DELETE", f"/v1/wallets/{bob.address}"),
    ):
        response = api.request(method, path, api_key=reader)
        assert code_of(response) == "missing-scope"


# Contract wallets --------------------------------------------------------------------------------


def test_a_contract_is_linked_on_its_own_chain_alone(database_url: str) -> None:
    async def ask(_chain: int, _address: bytes, _hash: bytes, _signature: bytes) -> bool:
        return True

    chains = frozenset({CHAIN_ID, OTHER_CHAIN})
    terms = replace(SIGN_IN, ask_contract=ask, chain_ids=chains)
    with live_api(database_url, sign_in=terms) as api:
        alice, contract = Person(api, ALICE_KEY), Person(api, CAROL_KEY)
        for chain_id in (CHAIN_ID, OTHER_CHAIN):
            earn(database_url, contract.raw_address, CREDIT, chain_id=chain_id)
        account = alice.sign_in()
        text = alice.ask_to_link(contract)
        response = alice.link(text, "0x1234")
        assert (response.status_code, response.json()["chain_id"]) == (201, CHAIN_ID)
        assert alice.balance(account).json()["available"] == "1"
        # Whoever the same address is of elsewhere has an account of their own there.
        elsewhere = Person(api, CAROL_KEY, chain_id=OTHER_CHAIN)
        assert elsewhere.hand_in(elsewhere.ask(), "0x1234").json()["account"] != account


def test_a_bad_cursor_or_address_is_told(alice: Person) -> None:
    alice.sign_in()
    for cursor in ("x", "d2FsbGV0cyAweA", "d2FsbGV0cyA"):
        response = alice.send("GET", "/v1/wallets", params={"cursor": cursor})
        assert response.json()["errors"][0]["field"] == "cursor"
    response = alice.send("DELETE", "/v1/wallets/0x12")
    assert response.json()["errors"][0]["field"] == "address"


# Whoever signs in by a linked wallet is the owner: nobody becomes it by linking one of theirs -----


def test_an_app_that_acts_for_an_account_by_consent_links_and_unlinks_none_of_its_wallets(
    api: LiveApi, alice: Person, bob: Person
) -> None:
    mallory = Person(api, CAROL_KEY)
    account = alice.sign_in()
    assert linked(alice, bob).status_code == 201
    consent = {"app": "printer", "may": "spend"}
    printer = api.api_key(app="printer")
    assert alice.send("POST", f"/v1/accounts/{account}/consents", json=consent).status_code == 201
    vouching = api.open_wallet(alice.raw_address)
    assert vouching == account
    for key in (printer, api.default_key):
        asked = {**mallory.wallet, "account": account}
        response = api.request("POST", "/v1/wallets/challenge", json=asked, api_key=key)
        assert (response.status_code, code_of(response)) == (404, "no-such-account")
        path = f"/v1/wallets/{bob.address}?account={account}"
        response = api.request("DELETE", path, api_key=key)
        assert (response.status_code, code_of(response)) == (404, "no-such-account")
    assert mallory.sign_in() != account
    assert bob.sign_in() == account


def test_a_personal_api_key_links_no_wallet(api: LiveApi, alice: Person) -> None:
    mallory = Person(api, CAROL_KEY)
    account = alice.sign_in()
    # Of a time when these had the scope.
    key = api.api_key(["wallets:write"], kind="personal", account=account)
    response = api.request("POST", "/v1/wallets/challenge", json=mallory.wallet, api_key=key)
    assert (response.status_code, code_of(response)) == (403, "missing-scope")
    headers = {"Idempotency-Key": "k"}
    asked = {"scopes": ["wallets:write"]}
    response = alice.send("POST", "/v1/keys", json=asked, headers={**headers, "Origin": PUBLIC_URL})
    assert (response.status_code, code_of(response)) == (400, "invalid-request")
