"""What a hostile peer of the API can cost others: memory, connections, and noise in the log."""

import logging
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from live_api import LiveApi, live_api

from api import connections
from api.connections import PIPELINED_MAX

# The longest answer for the shortest request.
ASK = b"GET /openapi.json HTTP/1.1\r\nHost: api\r\n\r\n"


@pytest.fixture
def api(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveApi]:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.5)
    with live_api(database_url) as served:
        yield served


def connect(api: LiveApi, *, buffer_bytes: int | None = None) -> socket.socket:
    parts = urlsplit(api.url)
    peer = socket.socket()
    peer.settimeout(10)
    if buffer_bytes is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    peer.connect((parts.hostname, parts.port))
    return peer


def becomes_true(fact: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def was_reset(peer: socket.socket) -> bool:
    """Say whether the other side has given the connection up, without reading from it."""
    error = peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        return True
    try:
        peer.send(b"\r\n", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def ask_without_reading(peer: socket.socket) -> None:
    """Ask, a few at a time, for more than both sides' buffers hold."""
    peer.setblocking(False)
    for _ in range(400):
        with suppress(BlockingIOError):
            peer.send(ASK * 4)
        time.sleep(0.002)


def test_a_few_pipelined_requests_are_answered_in_their_order(api: LiveApi) -> None:
    paths = [b"/healthz", b"/nothing", b"/readyz"] * 5
    with connect(api) as peer:
        peer.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: api\r\n\r\n" % path for path in paths))
        received = b""
        while received.count(b"HTTP/1.1 ") < len(paths) or not received.endswith(b"}"):
            received += peer.recv(65_536)
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"] * 5


def test_a_flood_of_pipelined_requests_is_cut_off_before_it_takes_memory(api: LiveApi) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(api, buffer_bytes=4_096)) for _ in range(10)]
        for peer in peers:
            peer.setblocking(False)
            with suppress(OSError):  # it may be cut off while it sends
                peer.send(b"GET /openapi.json HTTP/1.1\r\n\r\n" * 8_000)
        assert becomes_true(lambda: all(was_reset(peer) for peer in peers), 5)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # Ten times 8,000 requests in memory are 160 MB.
    assert grown_kib < 40_000
    assert PIPELINED_MAX < 8_000
    assert api.client.get("/healthz").status_code == 200


def test_a_peer_that_never_reads_its_answers_loses_its_connection(
    api: LiveApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it asks is all taken on: that it does not read must be enough.
    monkeypatch.setattr(connections, "PIPELINED_MAX", 10_000)
    with caplog.at_level(logging.ERROR), connect(api, buffer_bytes=4_096) as peer:
        with suppress(ConnectionError):  # it may be cut off while it asks
            ask_without_reading(peer)
        assert becomes_true(lambda: was_reset(peer), 5)
        assert api.client.get("/healthz").status_code == 200
    assert not caplog.records


def test_a_peer_that_reads_slowly_gets_its_whole_answer(api: LiveApi) -> None:
    with connect(api, buffer_bytes=4_096) as peer:
        peer.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := peer.recv(8_192):
            received += chunk
            time.sleep(0.05)
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert body == api.client.get("/openapi.json").content
