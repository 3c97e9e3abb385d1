"""What a session may do, for which pages, and what is told to whoever has none."""

import re

import pytest
from conftest import run
from live_api import PUBLIC_URL, LiveApi, code_of, live_api
from signing_person import BOB_KEY, OWN_PAGE, Person

from api.calling.calls import Endpoint
from api.calling.sessions import COOKIE, PERSON_SCOPES
from api.endpoints import ENDPOINTS
from ledger.api_key_terms import Rate


def test_a_session_has_the_rate_that_api_keys_have(database_url: str) -> None:
    with live_api(database_url, rate_limit=Rate(3, 3600)) as api:
        person = Person(api)
        account = person.sign_in()
        statuses = [person.balance(account).status_code for _ in range(2)]
        person.sign_in()  # another session is no other bucket
        statuses += [person.balance(account).status_code for _ in range(2)]
        assert statuses == [200, 200, 200, 429]
        other = Person(api, BOB_KEY)
        assert other.balance(other.sign_in()).status_code == 200


def test_a_session_changes_something_for_our_own_pages_alone(alice: Person) -> None:
    alice.sign_in()
    for headers in (
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://credits.example"},
        {"Origin": "https://credits.example:443"},
        {"Origin": f"{PUBLIC_URL}/"},
        {"Origin": f"{PUBLIC_URL}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": PUBLIC_URL, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Referer": f"{PUBLIC_URL}/"},
    ):
        for method, path in (("DELETE", "/v1/sign-in"), ("POST", "/v1/wallets/challenge")):
            response = alice.send(method, path, headers=headers)
            assert (response.status_code, code_of(response)) == (403, "origin-refused"), headers
    assert alice.send("GET", "/v1/sign-in", headers={}).status_code == 200
    own = {"Sec-Fetch-Site": "same-origin"}
    assert alice.send("DELETE", "/v1/sign-in", headers=own).status_code == 200


def test_another_site_cannot_sign_its_visitor_in_as_somebody_else(alice: Person) -> None:
    text = alice.ask()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        response = alice.hand_in(text, **headers)
        assert (response.status_code, code_of(response)) == (403, "origin-refused")
    assert alice.hand_in(text, **OWN_PAGE).status_code == 201


def test_a_form_of_another_site_cannot_sign_in_either(alice: Person) -> None:
    response = alice.visit(
        "POST", "/v1/sign-in", content=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 415


def test_a_session_reaches_no_account_but_its_own(api: LiveApi, alice: Person, bob: Person) -> None:
    theirs = bob.sign_in()
    own = alice.sign_in()
    apps = api.post("/v1/accounts", {"name": "shop's"}).json()["id"]
    for account in (theirs, apps):
        for what in ("balance", "entries", "earnings"):
            assert alice.send("GET", f"/v1/accounts/{account}/{what}").status_code == 404
        assert alice.send("GET", "/v1/wallets", params={"account": account}).status_code == 404
        body = {**bob.wallet, "account": account}
        refused = alice.send("POST", "/v1/wallets/challenge", json=body)
        assert refused.status_code == 404
    assert alice.balance(own).status_code == 200


def test_a_session_may_do_what_people_may_and_nothing_else(alice: Person) -> None:
    account = alice.sign_in()
    for endpoint in ENDPOINTS:
        if not isinstance(endpoint, Endpoint):
            continue
        path = re.sub(r"\{account\}", account, endpoint.path)
        path = re.sub(r"\{\w+\}", "x", path)
        for method in endpoint.methods:
            if endpoint.name == "follow-account":  # what it answers has no end
                with alice.api.client.stream(
                    method, path, headers={"Cookie": f"{COOKIE}={alice.cookie}"}
                ) as response:
                    assert response.status_code == 200
                continue
            status = alice.send(method, path, content=b"{").status_code
            is_theirs = not endpoint.scopes or not PERSON_SCOPES.isdisjoint(endpoint.scopes)
            if endpoint.for_apps or not is_theirs:
                assert status == 403, (method, endpoint.path)
            else:
                assert status != 403, (method, endpoint.path)
        alice.sign_in()


def test_an_api_key_goes_before_a_session(api: LiveApi, alice: Person) -> None:
    account = alice.sign_in()
    bearer = {"Authorization": f"Bearer {api.default_key}"}
    response = alice.send("GET", f"/v1/accounts/{account}/balance", headers=bearer)
    assert code_of(response) == "no-such-account"  # the app does not reach it
    opened = alice.send(
        "POST",
        "/v1/accounts",
        json={"name": "a"},
        headers={**bearer, "Idempotency-Key": "a", "Origin": "https://evil.example"},
    )
    assert opened.status_code == 201
    wrong = {"Authorization": "Bearer ck_x"}
    assert code_of(alice.send("GET", "/v1/sign-in", headers=wrong)) == "unauthenticated"


def test_an_api_key_is_no_session(api: LiveApi) -> None:
    for method, path in (("GET", "/v1/sign-in"), ("DELETE", "/v1/sign-in/all")):
        response = api.request(method, path)
        assert (response.status_code, code_of(response)) == (401, "session-over")


def test_a_cookie_that_is_no_session_tells_nothing(alice: Person) -> None:
    alice.sign_in()
    good = alice.cookie
    alice.send("DELETE", "/v1/sign-in")
    answers = set()
    for cookie in (
        good,
        "A" * 43,
        good[:-1],
        good + "A",
        "",
        "A" * 42 + "!",
        f"{good}; {COOKIE}=x",
    ):
        alice.cookie = cookie
        response = alice.send("GET", "/v1/sign-in")
        body = response.json()
        body.pop("request_id")
        answers.add((response.status_code, tuple(sorted(body.items()))))
    assert len(answers) == 1
    other_names = {"Cookie": f"creditd-session={good}; host-{COOKIE}={good}"}
    assert code_of(alice.visit("GET", "/v1/sign-in", headers=other_names)) == "session-over"


def test_a_session_that_was_ended_elsewhere_lives_on_for_a_bounded_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.calling.sessions.SESSION_CACHE_SECONDS", 0)
    with live_api(database_url) as api:
        person = Person(api)
        person.sign_in()
        assert person.send("GET", "/v1/sign-in").status_code == 200
        run(database_url, "update creditd.sign_in set ended_at = clock_timestamp()")
        assert person.send("GET", "/v1/sign-in").status_code == 401
