"""What every request meets before its endpoint: who calls, what came, and the bounds of both."""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from app_endpoints import FOR_APPS, path_of
from conftest import earn, run
from live_api import CREDIT, LiveApi, code_of, exchange, live_api, waits_for_lock
from sqlalchemy import make_url

from api.connections import BODY_SECONDS
from api.identity.keys import new_api_key
from api.problems.table import TYPES

WALLET = bytes.fromhex("11" * 20)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """API keys are remembered for a moment only, by an API that is made after this."""
    monkeypatch.setattr("api.identity.callers.API_KEY_CACHE_SECONDS", 0.5)


@pytest.fixture
def of_one_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    """One API key is remembered at a time, by an API that is made after this."""
    monkeypatch.setattr("api.identity.callers.API_KEYS_REMEMBERED_MAX", 1)


# Who calls ---------------------------------------------------------------------------------------


def test_nobody_without_a_good_api_key_gets_past_401(api: LiveApi) -> None:
    good = api.default_key
    another_end = "y" if good.endswith("x") else "x"
    wrong = (
        None,
        "",
        "Bearer",
        good,
        f"Basic {good}",
        f"Bearer {good[:-1]}{another_end}",
        f"Bearer {good}x",
        f"Bearer {new_api_key().text}",
    )
    for endpoint in FOR_APPS:
        for authorization in wrong:
            headers = {} if authorization is None else {"Authorization": authorization}
            response = api.client.request(endpoint.methods[0], path_of(endpoint), headers=headers)
            assert response.status_code == 401
            lacks_cookie = endpoint.for_sessions and authorization is None
            assert code_of(response) == ("session-over" if lacks_cookie else "unauthenticated")
            assert response.headers["www-authenticate"] == 'Bearer realm="creditd"'
    twice = [("Authorization", f"Bearer {good}")] * 2
    assert api.client.get("/v1/operations", headers=twice).status_code == 401


def test_the_scope_is_asked_for_before_anything_else(api: LiveApi) -> None:
    scopes = {scope for endpoint in FOR_APPS for scope in endpoint.scopes}
    for endpoint in FOR_APPS:
        if not endpoint.scopes:
            continue
        others = api.api_key(sorted(scopes - set(endpoint.scopes)))
        response = api.request(endpoint.methods[0], path_of(endpoint), api_key=others, content=b"{")
        assert response.status_code == 403
        assert code_of(response) == "missing-scope"
        assert response.json()["scope"] == " or ".join(endpoint.scopes)


def test_an_api_key_ends_when_it_expires(api: LiveApi) -> None:
    now = datetime.now(UTC)
    expired = api.api_key(expires_at=now - timedelta(seconds=1))
    assert api.request("GET", "/v1/operations", api_key=expired).status_code == 401
    soon = api.api_key(expires_at=now + timedelta(seconds=3))
    assert api.request("GET", "/v1/operations", api_key=soon).status_code == 200
    while datetime.now(UTC) < now + timedelta(seconds=3):
        time.sleep(0.1)
    response = api.request("GET", "/v1/operations", api_key=soon)
    assert "expired" in response.json()["detail"]


@pytest.mark.usefixtures("forgetful")
def test_a_revoked_api_key_lives_on_for_a_bounded_moment(api: LiveApi) -> None:
    key = api.api_key()
    assert api.request("GET", "/v1/operations", api_key=key).status_code == 200
    revoked_at = time.monotonic()
    run(api.database_url, "update creditd.api_key set revoked_at = clock_timestamp()")
    while api.request("GET", "/v1/operations", api_key=key).status_code == 200:
        assert time.monotonic() < revoked_at + 3
        time.sleep(0.05)
    response = api.request("GET", "/v1/operations", api_key=key)
    assert "revoked" in response.json()["detail"]


@pytest.mark.usefixtures("of_one_mind")
def test_the_least_used_api_key_is_forgotten_first(api: LiveApi) -> None:
    first, second = api.api_key(), api.api_key()
    for _ in range(2):
        for key in (first, second):
            assert api.request("GET", "/v1/operations", api_key=key).status_code == 200


# What came ---------------------------------------------------------------------------------------


def test_every_write_needs_an_idempotency_key(api: LiveApi) -> None:
    for endpoint in FOR_APPS:
        if not endpoint.needs_key:
            continue
        missing = api.request(endpoint.methods[0], path_of(endpoint), json={})
        assert (missing.status_code, code_of(missing)) == (400, "idempotency-key-missing")
        for wrong in ("", "x" * 256, '"x', "\x7f"):
            headers = {"Idempotency-Key": wrong}
            response = api.client.request(
                endpoint.methods[0],
                path_of(endpoint),
                json={},
                headers={**headers, "Authorization": f"Bearer {api.default_key}"},
            )
            assert response.status_code == 400
            assert "Idempotency-Key" in response.text or "malformed-http" in response.text


def test_a_body_is_json_and_says_so(api: LiveApi) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json; charset=utf-8"}
    response = api.request("POST", "/v1/accounts", content=b"{", headers=headers)
    assert (response.status_code, code_of(response)) == (400, "malformed-json")
    response = api.request("POST", "/v1/accounts", content=b'{"name": "a"}', headers=headers)
    assert response.status_code == 201
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        headers = {"Idempotency-Key": "k", "Content-Type": media_type}
        response = api.request("POST", "/v1/accounts", content=b'{"name": "a"}', headers=headers)
        assert (response.status_code, code_of(response)) == (415, "unsupported-media-type")


def test_a_body_has_a_bound(api: LiveApi) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    fits = b'{"name": "a"}' + b" " * (65_536 - 13)
    response = api.request("POST", "/v1/accounts", content=fits, headers=headers)
    assert response.status_code == 201
    for size in (65_537, 500_000, 1_048_576):
        response = api.request("POST", "/v1/accounts", content=b" " * size, headers=headers)
        assert (response.status_code, code_of(response)) == (413, "body-too-large")
        assert response.headers["connection"] == "close"


def test_a_body_is_not_read_for_ever(api: LiveApi) -> None:
    head = (
        b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
        b"Authorization: Bearer " + api.default_key.encode() + b"\r\n"
    )
    declared = exchange(api, head + b"Content-Length: 99999999999\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    began = time.monotonic()
    exchange(api, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 100)
    assert time.monotonic() < began + BODY_SECONDS / 2
    assert 'creditd_http_requests_total{endpoint="open-account",status="413"} 2.0' in (
        api.get("/metrics").text
    )


def test_a_body_that_does_not_come_is_given_up(
    api: LiveApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.connections.BODY_SECONDS", 0.2)
    head = (
        b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 9\r\n"
        b"Authorization: Bearer " + api.default_key.encode() + b"\r\n\r\n{"
    )
    assert exchange(api, head).startswith(b"HTTP/1.1 408")


def test_unknown_paths_and_methods_are_problems_too(api: LiveApi) -> None:
    for path in ("/", "/v1", "/v1/charges/", "/v1/charges/a/b", "/v2/charges", "/problems/none"):
        response = api.get(path)
        assert (response.status_code, code_of(response)) == (404, "not-found")
    response = api.request("DELETE", "/v1/charges")
    assert (response.status_code, code_of(response)) == (405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    response = api.request("PUT", "/v1/operations")
    assert response.headers["allow"] == "GET, HEAD"


def test_head_answers_as_get_does_without_the_body(api: LiveApi) -> None:
    get = api.client.get("/healthz")
    head = api.client.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_a_request_id_is_echoed_if_it_is_plain_and_made_if_not(api: LiveApi) -> None:
    ours = api.client.get("/healthz", headers={"X-Request-Id": "trace-1.a:b"})
    assert ours.headers["x-request-id"] == "trace-1.a:b"
    for wrong in ("", "a b", "x" * 129, '"'):
        made = api.client.get("/nowhere", headers={"X-Request-Id": wrong})
        assert made.headers["x-request-id"].startswith("req_")
        assert made.json()["request_id"] == made.headers["x-request-id"]


def test_each_problem_type_leads_to_its_page(api: LiveApi) -> None:
    for row in TYPES:
        page = api.get(row.path)
        assert page.status_code == 200
        assert f"<h1>{row.title}</h1>" in page.text


# Connections -------------------------------------------------------------------------------------


def test_a_head_has_a_bound(api: LiveApi) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    fits = exchange(api, start + b"Connection: close\r\nA: " + b"a" * 16_000 + b"\r\n\r\n")
    assert fits.startswith(b"HTTP/1.1 200")
    whole = exchange(api, start + b"A: " + b"a" * 16_384 + b"\r\n\r\n")
    assert whole.startswith(b"HTTP/1.1 431")
    assert b"/problems/headers-too-large" in whole
    endless = exchange(api, start, b"A: " + b"a" * 16_384)
    assert endless.startswith(b"HTTP/1.1 431")
    many = exchange(api, start + b"A: a\r\n" * 2_800)
    assert many.startswith(b"HTTP/1.1 431")


def test_what_is_not_http_is_told_so(api: LiveApi) -> None:
    answer = exchange(api, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"/problems/malformed-http" in answer


def test_a_connection_that_asks_nothing_is_closed(
    api: LiveApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.connections.HEAD_SECONDS", 0.2)
    assert exchange(api) == b""
    assert exchange(api, b"GET /healthz HTTP/1.1\r\nHost:") == b""
    # A head that trickles in after a first answer has no more time than the first one.
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert exchange(api, first, b"GET /healthz").startswith(b"HTTP/1.1 200")


def test_connections_have_a_bound(api: LiveApi, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.get("/healthz").status_code == 200
    monkeypatch.setattr("api.connections.CONNECTIONS_MAX", 1)
    refused = exchange(api)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"Retry-After" in refused
    assert api.get("/healthz").status_code == 200


def test_a_request_sent_ahead_never_answers_for_the_one_before(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.connections.BODY_SECONDS", 0.2)
    monkeypatch.setattr("api.connections.HEAD_SECONDS", 0.2)
    monkeypatch.setattr("ledger.connecting.LOCK_WAIT_SECONDS", 60)
    with live_api(database_url) as api, psycopg.connect(database_url) as other:
        earn(database_url, WALLET, 20 * CREDIT)
        account = api.open_wallet(WALLET)
        other.execute("select from creditd.account for update")
        body = f'{{"account": "{account}", "operation": "ping"}}'.encode()
        head = (
            b"POST /v1/charges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + api.default_key.encode() + b"\r\n"
            b"Idempotency-Key: k\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        for ahead in (head, b"GET / HTTP/1.1\r\nA: " + b"a" * 17_000, b"\x16\x03\x01"):
            assert exchange(api, head + body + ahead) == b""


def test_requests_sent_ahead_are_answered_in_order(api: LiveApi) -> None:
    ask = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = exchange(api, ask % b"/nowhere" + ask % b"/readyz" + last)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"404", b"200", b"200"]


# When the ledger fails ---------------------------------------------------------------------------


def test_an_outage_of_the_database_is_told_and_passes(api: LiveApi, server_url: str) -> None:
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    assert api.charge(account, "ping").status_code == 201
    name = make_url(api.database_url).database
    run(server_url, f"alter database {name} allow_connections false")
    run(
        server_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname='{name}'"
    )
    assert api.get("/healthz").status_code == 200
    for response in (
        api.get("/readyz"),
        api.get("/status"),
        api.charge(account, "report.render", key="k"),
        api.get(f"/v1/accounts/{account}/balance"),
    ):
        assert (response.status_code, code_of(response)) == (503, "ledger-unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert "creditd_ledger_up 0.0" in api.get("/metrics").text
    run(server_url, f"alter database {name} allow_connections true")
    assert api.get("/readyz").status_code == 200
    assert api.charge(account, "report.render", key="k").json()["available"] == "13"


def test_more_charges_than_the_queue_holds_are_sent_away(database_url: str) -> None:
    with live_api(database_url, queue_max=1) as api, ThreadPoolExecutor(3) as pool:
        earn(database_url, WALLET, 20 * CREDIT)
        account = api.open_wallet(WALLET)
        with psycopg.connect(database_url) as other:
            other.execute("select from creditd.account for update")
            answers = [pool.submit(api.charge, account, "report.render")]
            while not waits_for_lock(database_url):
                time.sleep(0.01)
            # One is on its way and one may wait: one of these two is too many.
            answers += [pool.submit(api.charge, account, "report.render") for _ in range(2)]
            refused = next(as_completed(answers, timeout=10)).result()
            assert (refused.status_code, code_of(refused)) == (503, "ledger-busy")
            assert refused.headers["retry-after"] == "1"
        assert sorted(answer.result().status_code for answer in answers) == [201, 201, 503]


def test_a_defect_is_answered_without_its_details(api: LiveApi) -> None:
    run(api.database_url, "drop function creditd.open_account")
    response = api.post("/v1/accounts", {"name": "alice"})
    assert (response.status_code, code_of(response)) == (500, "internal-error")
    assert "open_account" not in response.text
