"""Signing in by a wallet over HTTP, and what somebody may try who is not its holder."""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from conftest import CHAIN_ID, earn, run
from live_api import CREDIT, PUBLIC_URL, SIGN_IN, LiveApi, code_of, live_api
from signing_person import ALICE_KEY, BOB_KEY, Person, cookie_of, sign

from api.calling.sessions import COOKIE
from api.identity.challenges import SIGN_IN_STATEMENT
from api.identity.siwe import moment_text, parse_message, render_message

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def sessions(api: LiveApi) -> int:
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute("select count(*) from creditd.sign_in").fetchone()
    assert row is not None
    return int(row[0])


# Signing in --------------------------------------------------------------------------------------


def test_the_text_says_where_who_and_until_when(alice: Person) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    response = alice.visit("POST", "/v1/sign-in/challenge", json=alice.wallet, headers=headers)
    given = response.json()
    message = parse_message(given["message"])
    assert (message.domain, message.uri) == ("credits.example", f"{PUBLIC_URL}/v1/sign-in")
    assert (message.address, message.chain_id) == (alice.raw_address, CHAIN_ID)
    assert message.statement == SIGN_IN_STATEMENT
    assert message.nonce == given["nonce"]
    assert len(message.nonce) * 5.9 > 96  # bits
    assert response.headers["cache-control"] == "no-store"
    expires_at = datetime.fromisoformat(given["expires_at"])
    assert moment_text(expires_at) == message.expiration_time
    assert timedelta(minutes=9) < expires_at - datetime.now(UTC) <= timedelta(minutes=10)


def test_whoever_signs_in_sees_what_the_wallet_earned(api: LiveApi, alice: Person) -> None:
    earn(api.database_url, alice.raw_address, 7 * CREDIT)
    account = alice.sign_in()
    assert alice.balance(account).json()["available"] == "7"
    for what in ("entries", "earnings"):
        listed = alice.send("GET", f"/v1/accounts/{account}/{what}")
        assert len(listed.json()["data"]) == 1
        assert listed.headers["cache-control"] == "no-store"
    who = alice.send("GET", "/v1/sign-in").json()
    assert who["account"] == account
    assert who["wallet"] == alice.wallet
    assert datetime.fromisoformat(who["expires_at"]) > datetime.now(UTC) + timedelta(hours=11)


def test_the_cookie_is_for_this_host_and_for_no_script(alice: Person) -> None:
    text = alice.hand_in(alice.ask()).headers["set-cookie"]
    assert re.fullmatch(
        rf"{COOKIE}=[A-Za-z0-9_-]{{43}}; Max-Age=60\d{{4}}; Path=/; Secure; HttpOnly; SameSite=Lax",
        text,
    )
    assert COOKIE.startswith("__Host-")


def test_signing_in_again_leads_to_the_same_account(alice: Person, bob: Person) -> None:
    assert alice.sign_in() == alice.sign_in() != bob.sign_in()


def test_a_session_is_a_fresh_one_and_ends_the_one_before(api: LiveApi, alice: Person) -> None:
    """A session that an attacker put into the browser is not the one that is signed in."""
    planted = "A" * 43
    response = alice.hand_in(alice.ask(), Cookie=f"{COOKIE}={planted}")
    first = cookie_of(response)
    assert first != planted
    alice.cookie = planted
    assert alice.send("GET", "/v1/sign-in").status_code == 401
    second = cookie_of(alice.hand_in(alice.ask(), Cookie=f"{COOKIE}={first}"))
    assert second not in {first, planted}
    alice.cookie = first
    assert alice.send("GET", "/v1/sign-in").status_code == 401
    alice.cookie = second
    assert alice.send("GET", "/v1/sign-in").status_code == 200
    with psycopg.connect(api.database_url) as connection:
        dump = connection.execute("select s::text from creditd.sign_in s").fetchall()
    assert not [row for row in dump if second in row[0]]


def test_whoever_signs_out_is_out_at_once(alice: Person) -> None:
    account = alice.sign_in()
    assert alice.balance(account).status_code == 200
    response = alice.send("DELETE", "/v1/sign-in")
    assert response.json() == {"ended": 1}
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert code_of(alice.balance(account)) == "session-over"


def test_all_sessions_of_an_account_can_be_ended(api: LiveApi, alice: Person, bob: Person) -> None:
    elsewhere = Person(api, ALICE_KEY)
    for person in (alice, elsewhere, bob):
        person.sign_in()
    assert alice.send("DELETE", "/v1/sign-in/all").json() == {"ended": 2}
    assert elsewhere.send("GET", "/v1/sign-in").status_code == 401
    assert bob.send("GET", "/v1/sign-in").status_code == 200


def test_where_no_origin_is_configured_no_wallet_signs_in(database_url: str) -> None:
    with live_api(database_url, sign_in=None) as api:
        person = Person(api)
        response = person.visit("POST", "/v1/sign-in/challenge", json=person.wallet)
        assert (response.status_code, code_of(response)) == (501, "sign-in-not-offered")
        response = person.hand_in("text", "0x")
        assert (response.status_code, code_of(response)) == (501, "sign-in-not-offered")
        person.cookie = "A" * 43
        assert code_of(person.send("GET", "/v1/sign-in")) == "unauthenticated"


# Texts that were not given out -------------------------------------------------------------------


def test_a_text_is_good_for_one_session(api: LiveApi, alice: Person) -> None:
    text = alice.ask()
    assert alice.hand_in(text).status_code == 201
    again = alice.hand_in(text)
    assert (again.status_code, code_of(again)) == (422, "challenge-unknown")
    assert "set-cookie" not in again.headers
    assert sessions(api) == 1


def test_a_text_that_is_handed_in_twice_at_once_gives_one_session(
    api: LiveApi, alice: Person
) -> None:
    text = alice.ask()
    signature = sign(text, alice.key)
    start = threading.Barrier(4)

    def hand_in() -> int:
        with LiveApi(api.url, api.database_url) as other:
            person = Person(other)
            start.wait()
            return person.hand_in(text, signature).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(future.result() for future in [pool.submit(hand_in) for _ in range(4)])
    assert statuses == [201, 422, 422, 422]
    assert sessions(api) == 1


def changed(**parts: object) -> Callable[[str], str]:
    return lambda text: render_message(replace(parse_message(text), **parts))  # type: ignore[arg-type]


def timed(name: str, offset: timedelta) -> Callable[[str], str]:
    """Put a time of the text that far from now."""

    def change(text: str) -> str:
        moment = moment_text(datetime.now(UTC) + offset)
        return changed(**{name: moment})(text)

    return change


TEXTS: dict[str, Callable[[str], str]] = {
    "another domain": changed(domain="evil.example"),
    "another port": changed(domain="credits.example:444"),
    "a scheme": changed(scheme="https"),
    "another uri": changed(uri="https://evil.example/v1/sign-in"),
    "the uri of linking": changed(uri=f"{PUBLIC_URL}/v1/wallets"),
    "another address": changed(address=b"\x11" * 20),
    "another chain": changed(chain_id=1),
    "another statement": changed(statement="Sign in to your credits"),
    "no statement": changed(statement=None),
    "another nonce": changed(nonce="a" * 22),
    "issued later": timed("issued_at", timedelta(hours=1)),
    "issued a second before": timed("issued_at", timedelta(seconds=-7)),
    "good for longer": timed("expiration_time", timedelta(days=1)),
    "good for ever": changed(expiration_time=None),
    "over": timed("expiration_time", timedelta(seconds=-1)),
    "not yet good": timed("not_before", timedelta(hours=1)),
    "good since": timed("not_before", timedelta(hours=-1)),
    "a request id": changed(request_id="1"),
    "resources": changed(resources=("https://evil.example",)),
    "no resources": changed(resources=()),
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_a_text_that_was_changed_is_no_text_of_ours(
    alice: Person, change: Callable[[str], str]
) -> None:
    given = alice.ask()
    text = change(given)
    assert text != given
    response = alice.hand_in(text)  # truly signed, so that nothing but the text is wrong
    assert (response.status_code, code_of(response)) == (422, "challenge-unknown")
    assert alice.hand_in(given).status_code == 201


BENT: dict[str, Callable[[str], str]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "a line feed at the end": lambda text: text + "\n",
    "an extra line": lambda text: text.replace("Version", "Extra: 1\nVersion"),
    "a look-alike": lambda text: text.replace("credits.example", "\u0441redits.example", 1),
    "an address in small letters": lambda text: re.sub(
        "0x[0-9A-Fa-f]{40}", lambda found: found[0].lower(), text
    ),
    "nothing": lambda _: "",
    "too long": lambda text: text + "\nRequest ID: " + "a" * 5_000,
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
def test_what_is_no_message_is_refused_as_it_is_read(
    alice: Person, bend: Callable[[str], str]
) -> None:
    text = bend(alice.ask())
    response = alice.hand_in(text)
    assert (response.status_code, code_of(response)) == (400, "invalid-request")
    assert response.json()["errors"][0]["field"] == "message"


def test_every_changed_byte_is_noticed(alice: Person) -> None:
    given = alice.ask()
    for place in range(0, len(given), 7):
        letter = "x" if given[place] != "x" else "y"
        text = given[:place] + letter + given[place + 1 :]
        assert alice.hand_in(text).status_code in {400, 422}
    assert alice.hand_in(given).status_code == 201


def test_a_text_is_over_by_the_books_clock(api: LiveApi, alice: Person) -> None:
    text = alice.ask()
    run(api.database_url, "update creditd.challenge set expires_at = clock_timestamp()")
    assert code_of(alice.hand_in(text)) == "challenge-unknown"


def test_a_text_of_another_origin_of_ours_is_refused(database_url: str) -> None:
    """What was given out before the operator changed the origin is no longer ours."""
    with live_api(database_url) as api:
        text = Person(api).ask()
    moved = replace(SIGN_IN, public_url="https://new.example")
    with live_api(database_url, sign_in=moved) as api:
        person = Person(api)
        assert code_of(person.hand_in(text)) == "challenge-unknown"
        assert person.hand_in(person.ask()).status_code == 201


def test_wallets_of_chains_that_are_not_followed_are_refused(alice: Person) -> None:
    wallet = {**alice.wallet, "chain_id": 1}
    response = alice.visit("POST", "/v1/sign-in/challenge", json=wallet)
    assert (response.status_code, code_of(response)) == (422, "chain-not-followed")


# Signatures that are not the wallet's ------------------------------------------------------------


def other_s(signature: str) -> str:
    raw = bytes.fromhex(signature[2:])
    s = ORDER - int.from_bytes(raw[32:64])
    return f"0x{(raw[:32] + s.to_bytes(32) + bytes([55 - raw[64]])).hex()}"


SIGNATURES: dict[str, Callable[[str, str], str]] = {
    "another's": lambda text, _: sign(text, BOB_KEY),
    "of another text": lambda text, key: sign(text + " ", key),
    "the other s": lambda text, key: other_s(sign(text, key)),
    "zeros": lambda _, __: "0x" + "00" * 65,
    "empty": lambda _, __: "0x",
    "cut short": lambda text, key: sign(text, key)[:-2],
    "longer": lambda text, key: sign(text, key) + "00",
}


@pytest.mark.parametrize("forge", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_that_is_not_the_wallets_is_refused(
    api: LiveApi, alice: Person, forge: Callable[[str, str], str]
) -> None:
    text = alice.ask()
    response = alice.hand_in(text, forge(text, alice.key))
    assert (response.status_code, code_of(response)) == (403, "signature-refused")
    assert "set-cookie" not in response.headers
    assert sessions(api) == 0


def test_a_text_is_tried_a_few_times_only(alice: Person) -> None:
    text = alice.ask()
    statuses = [alice.hand_in(text, "0x00").status_code for _ in range(6)]
    assert statuses == [403] * 5 + [422]
    assert alice.hand_in(text).status_code == 422


def test_a_text_for_one_wallet_is_none_for_another(alice: Person, bob: Person) -> None:
    text = alice.ask()
    assert code_of(bob.hand_in(text)) == "signature-refused"


# Contract wallets --------------------------------------------------------------------------------


def contract_api(database_url: str, answer: bool | None) -> Any:  # noqa: ANN401
    async def ask(_chain: int, _address: bytes, _hash: bytes, _signature: bytes) -> bool | None:
        await asyncio.sleep(0)
        return answer

    return live_api(database_url, sign_in=replace(SIGN_IN, ask_contract=ask))


def test_a_contracts_word_signs_in(database_url: str) -> None:
    with contract_api(database_url, answer=True) as api:
        person = Person(api)
        assert person.hand_in(person.ask(), "0x1234").status_code == 201


def test_a_chain_that_does_not_answer_lets_nobody_pass(database_url: str) -> None:
    with contract_api(database_url, answer=None) as api:
        person = Person(api)
        text = person.ask()
        response = person.hand_in(text, "0x1234")
        assert (response.status_code, code_of(response)) == (503, "chain-unreachable")
        assert int(response.headers["retry-after"]) > 0
        assert sessions(api) == 0
        # A key's signature needs no chain, and the text is not used up.
        assert person.hand_in(text).status_code == 201


def test_more_texts_than_a_process_gives_out_are_refused(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.calling.signing.CHALLENGES_AT_ONCE", 2)
    monkeypatch.setattr("api.calling.signing.CHALLENGES_PER_SECOND", 0.001)
    responses = [alice.visit("POST", "/v1/sign-in/challenge", json=alice.wallet) for _ in range(4)]
    assert [response.status_code for response in responses] == [201, 201, 503, 503]
    assert code_of(responses[-1]) == "too-many-challenges"
    assert int(responses[-1].headers["retry-after"]) > 0
