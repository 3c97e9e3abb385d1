"""Hostile clients by the hundred: what they do to those who come to charge, which is nothing."""

import socket
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from live_api import LiveApi, exchange

LORISES = 300
GIGABYTE = 1_000_000_000
CHARGE_SECONDS_MAX = 3  # on a machine that is busy; it takes milliseconds


def connect(api: LiveApi) -> socket.socket:
    parts = urlsplit(api.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def charges_well(api: LiveApi, account: str) -> None:
    began = time.monotonic()
    assert api.charge(account, "ping").status_code == 201
    assert time.monotonic() - began < CHARGE_SECONDS_MAX


def body_headers(api: LiveApi, length: int) -> bytes:
    return (
        f"Host: x\r\nAuthorization: Bearer {api.default_key}\r\nIdempotency-Key: k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_heads_and_bodies_that_trickle_in_harm_nobody_else(api: LiveApi, account: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(api)) for _ in range(LORISES)]
        for number, peer in enumerate(slow):
            half = body_headers(api, 1_000) if number % 2 else b"X-A: b\r\n"
            peer.sendall(b"POST /v1/charges HTTP/1.1\r\n" + half)
        for _ in range(5):
            for peer in slow:
                peer.sendall(b"a")
            charges_well(api, account)


def test_a_gigabyte_that_is_announced_is_refused_before_it_comes(
    api: LiveApi, account: str
) -> None:
    began = time.monotonic()
    answer = exchange(api, b"POST /v1/charges HTTP/1.1\r\n" + body_headers(api, GIGABYTE))
    assert answer.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - began < CHARGE_SECONDS_MAX
    charges_well(api, account)


@pytest.mark.parametrize("path", [b"/healthz", b"/v1/operations", b"/nowhere"])
def test_a_gigabyte_that_nobody_asked_for_is_cut_off(
    api: LiveApi, account: str, path: bytes
) -> None:
    piece = b" " * 65_536
    sent = 0
    with connect(api) as peer:
        peer.sendall(b"GET " + path + b" HTTP/1.1\r\n" + body_headers(api, GIGABYTE))
        assert peer.recv(12).startswith(b"HTTP/1.1 ")
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < GIGABYTE:
                peer.sendall(piece)
                sent += len(piece)
    assert sent < 50_000_000
    charges_well(api, account)


def test_brackets_without_end_are_no_json(api: LiveApi, account: str) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for opened in (b"[", b'{"account":', b'{"account":[['):
        for length in (60_000, 100_000):
            content = (opened * (length // len(opened) + 1))[:length]
            answer = api.request("POST", "/v1/charges", headers=headers, content=content)
            assert answer.status_code in {400, 413}, answer.text
    charges_well(api, account)


def test_what_is_not_utf_8_is_refused_as_what_it_is(api: LiveApi, account: str) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for content in (b'{"account": "\xff\xfe"}', b"\xc3\x28", b'{"account": "\xed\xa0\x80"}'):
        answer = api.request("POST", "/v1/charges", headers=headers, content=content)
        assert answer.status_code == 400
    key = b"Authorization: Bearer " + api.default_key.encode() + b"\r\nConnection: close\r\n\r\n"
    for target in (b"/v1/charges/\xff\xfe", b"/v1/charges/%ff%fe", b"/v1/operations?\xff=%ff"):
        told = exchange(api, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + key)
        assert told[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 404"}
    wrong = (
        b"POST /v1/charges HTTP/1.1\r\nHost: x\r\nIdempotency-Key: \xff\r\nContent-Length: 0\r\n"
    )
    assert exchange(api, wrong + key).startswith(b"HTTP/1.1 400")
    charges_well(api, account)


def test_floods_of_headers_are_cut_off(api: LiveApi, account: str) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    for flood in (b"A: b\r\n" * 100_000, b"A" * 1_000_000, b"A: " + b"b" * 1_000_000):
        assert exchange(api, start + flood)[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 400", b""}
    charges_well(api, account)


def test_a_name_that_the_books_cannot_hold_is_no_defect(api: LiveApi) -> None:
    response = api.client.get(
        "/v1/operations/%00", headers={"Authorization": f"Bearer {api.default_key}"}
    )
    assert response.status_code == 422


def test_no_cache_keeps_a_refusal(api: LiveApi, account: str) -> None:
    stranger = api.api_key(app="stranger")
    for path in (f"/v1/accounts/{account}/entries", "/v1/nothing", "/problems/none"):
        refused = api.request("GET", path, api_key=stranger)
        assert (refused.status_code, refused.headers["cache-control"]) == (404, "no-store")
