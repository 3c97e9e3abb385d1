"""One API process from its start to its end."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
from api_process import process
from command_line import SHUT, started, write_config
from conftest import earn
from live_api import CREDIT, LiveApi, enter_prices, waits_for_lock

from api.serve import CannotListen, listening
from ledger.errors import LedgerUnavailable, SchemaMismatch

WALLET = bytes.fromhex("11" * 20)
STOP_SECONDS_MAX = 3  # what is promised to whoever stops the process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_though_connections_are_open(
    database_url: str, number: signal.Signals
) -> None:
    with process(database_url) as (running, api):
        assert api.get("/readyz").status_code == 200
        began = time.monotonic()
        running.send_signal(number)
        assert running.wait(timeout=10) == 0
        assert time.monotonic() - began < STOP_SECONDS_MAX
        with pytest.raises(httpx2.ConnectError):
            api.get("/healthz")


def look_until_refused(url: str, until: float) -> None:
    """Look again and again; who has just connected when it ends is hung up on."""
    while time.monotonic() < until:
        try:
            assert httpx2.get(f"{url}/readyz").status_code == 503
        except (httpx2.RemoteProtocolError, httpx2.ReadError):
            continue


def test_who_looks_while_the_program_ends_is_told_to_go_elsewhere(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})
    with started(
        "serve", "--config", config, log_path=tmp_path / "log", database_url=database_url
    ) as program:
        url = program.wait_for("listening")["url"]
        ready = httpx2.get(f"{url}/readyz")
        assert (ready.status_code, ready.headers.get("connection")) == (200, None)
        program.process.terminate()
        until = time.monotonic() + STOP_SECONDS_MAX
        # By a new connection each time, as proxies look.
        while (answer := httpx2.get(f"{url}/readyz")).status_code == 200:
            assert time.monotonic() < until
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/draining")
        assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
        assert httpx2.get(f"{url}/healthz").status_code == 200
        with pytest.raises(httpx2.ConnectError):
            look_until_refused(url, until)
        assert program.end().code == 0


def test_streams_end_when_a_process_is_told_to_stop(database_url: str) -> None:
    with process(database_url) as (running, api):
        earn(api.database_url, WALLET, CREDIT)
        account = api.open_wallet(WALLET)
        with api.followed(account) as response:
            pieces = response.iter_bytes()
            received = b""
            while b"event: balance" not in received:
                received += next(pieces)
            running.terminate()
            began = time.monotonic()
            for _ in pieces:
                pass
            # Who comes again at once is let in, and sent away to come again.
            with api.followed(account) as again:
                assert again.status_code == 200
                assert list(again.iter_bytes()) == []
        assert running.wait(timeout=10) == 0
        assert time.monotonic() - began < STOP_SECONDS_MAX


@contextmanager
def charge_on_its_way(
    api: LiveApi, pool: ThreadPoolExecutor
) -> Iterator[tuple[psycopg.Connection, Future[httpx2.Response]]]:
    """A charge that waits in the database for the lock that the connection holds."""
    asyncio.run(enter_prices(api.database_url))
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    with psycopg.connect(api.database_url) as other:
        other.execute("select from creditd.account for update")
        answer = pool.submit(api.charge, account, "report.render", key="k")
        while not waits_for_lock(api.database_url):
            time.sleep(0.01)
        yield other, answer


def test_a_charge_on_its_way_is_answered_before_the_process_ends(database_url: str) -> None:
    with (
        process(database_url) as (running, api),
        ThreadPoolExecutor(1) as pool,
        charge_on_its_way(api, pool) as (other, answer),
    ):
        running.terminate()
        time.sleep(0.5)
        assert running.poll() is None
        other.rollback()
        assert answer.result().status_code == 201
        assert running.wait(timeout=10) == 0


def test_a_charge_that_hangs_does_not_keep_the_process(database_url: str) -> None:
    with (
        process(database_url) as (running, api),
        ThreadPoolExecutor(1) as pool,
        charge_on_its_way(api, pool) as (_, answer),
    ):
        began = time.monotonic()
        running.terminate()
        assert answer.result().status_code == 503
        assert answer.result().json()["type"] == "/problems/stopping"
        assert running.wait(timeout=10) == 0
        assert time.monotonic() - began < STOP_SECONDS_MAX


def test_a_process_without_books_does_not_start(empty_database_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="creditd migrate"):
        asyncio.run(serve_once(empty_database_url, 0))


def test_a_process_without_a_database_does_not_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(LedgerUnavailable):
        asyncio.run(serve_once(f"postgresql://postgres@127.0.0.1:{port}/none", 0))


def test_a_port_that_is_taken_is_told(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port}"):
            asyncio.run(serve_once(database_url, port))


async def serve_once(database_url: str, port: int) -> None:
    async with listening(database_url, host="127.0.0.1", port=port):
        pass
