"""A database that is there and says nothing: told within a stated time, and over by itself."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import psutil
from conftest import earn
from crashing_postgres import CrashingPostgres
from live_api import CREDIT, LiveApi, live_api

from ledger.connecting import ANSWER_SECONDS, CONNECT_TIMEOUT_SECONDS
from ledger.migrate import migrate

WALLET = bytes.fromhex("11" * 20)
# An answer is awaited, and then perhaps another session. The rest is for a machine that is busy.
TOLD_SECONDS = ANSWER_SECONDS + CONNECT_TIMEOUT_SECONDS + 3
RECOVERED_SECONDS = 10


@contextmanager
def silent(postgres: CrashingPostgres) -> Iterator[None]:
    """Stop all processes of the server: the kernel goes on taking what is sent to them."""
    first_line = (postgres.data_dir / "postmaster.pid").read_text().partition("\n")[0]
    postmaster = psutil.Process(int(first_line))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


def timed(ask: Callable[[], httpx2.Response]) -> tuple[float, httpx2.Response]:
    began = time.monotonic()
    answer = ask()
    return time.monotonic() - began, answer


def asked(api: LiveApi, account: str) -> list[Callable[[], httpx2.Response]]:
    def post(path: str, body: object) -> Callable[[], httpx2.Response]:
        headers = {"Authorization": f"Bearer {api.default_key}", "Idempotency-Key": path}
        return lambda: httpx2.post(api.url + path, json=body, headers=headers, timeout=60)

    def get(path: str) -> Callable[[], httpx2.Response]:
        headers = {"Authorization": f"Bearer {api.default_key}"}
        return lambda: httpx2.get(api.url + path, headers=headers, timeout=60)

    priced = {"account": account, "operation": "report.render"}
    return [
        post("/v1/charges", priced),
        post("/v1/reservations", {**priced, "expires_in": 60}),
        post("/v1/charges/chg_0000000000007_1/refund", {}),
        get(f"/v1/accounts/{account}/entries"),
        get("/readyz"),
    ]


def test_silence_is_told_in_time_and_passes_by_itself() -> None:
    with CrashingPostgres.run() as postgres:
        migrate(postgres.url)
        with live_api(postgres.url) as api, ThreadPoolExecutor(8) as pool:
            earn(postgres.url, WALLET, 20 * CREDIT)
            account = api.open_wallet(WALLET)
            assert api.charge(account, "ping").status_code == 201
            for ask in asked(api, account)[1:]:
                ask()
            with silent(postgres):
                waiting = [pool.submit(timed, ask) for ask in asked(api, account)]
                assert api.get("/healthz").status_code == 200
                for each in waiting:
                    seconds, answer = each.result()
                    assert seconds < TOLD_SECONDS
                    assert answer.status_code == 503
                    assert answer.json()["type"] == "/problems/ledger-unavailable"
                    assert int(answer.headers["retry-after"]) > 0
            until = time.monotonic() + RECOVERED_SECONDS
            while asked(api, account)[0]().status_code != 201:
                assert time.monotonic() < until
            assert api.get("/readyz").status_code == 200
            # Whether the charge was taken while nobody could tell: its key tells, and once is all.
            spent = api.get(f"/v1/accounts/{account}/balance").json()["spent"]
            assert spent == "7"
