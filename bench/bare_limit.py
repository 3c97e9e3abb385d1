"""The bare limit: batches that write the rows of charges and check nothing.

Once from prebuilt batches, which is what the server can do at most, and once for independent
callers through the ledger's own lanes, which is what any ledger could do for them.
"""

import os
import random
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

import psycopg
from filled_books import OPERATION
from measuring import Meter, Sample
from psycopg.pq import ExecStatus, Format

from ledger import arrays
from ledger.connecting import session_options
from ledger.ids import AccountRef
from ledger.lanes import BATCH_MAX, CHARGE_BATCH, CHARGE_BATCH_TYPES, Lane
from ledger.session import Session
from ledger.spending import LANES, QUEUE_MAX, SESSIONS_PER_LANE, Spending
from ledger.wire import Wire

ROWS_BUILT_PER_SECOND: Final = 100_000  # before the clock starts; a faster server is done sooner

_STATEMENT: Final = CHARGE_BATCH.replace("creditd.", "bare.")
_PREPARED: Final = b"bare_batch"


def prepare(url: str) -> None:
    """Make the bare tables beside the books, each account with the row it has there."""
    text = (Path(__file__).parent / "bare_limit.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)
        connection.execute("grant usage on schema bare to creditd_api")
        connection.execute(
            "grant select, insert, update on bare.account, bare.entry to creditd_api"
        )
        connection.execute("vacuum analyze bare.account")


@asynccontextmanager
async def bare_spending(url: str) -> AsyncIterator[Spending]:
    """Open what the ledger opens for its callers, deciding nothing."""
    lanes = [
        Lane(
            [
                Wire(url, "creditd_api", _STATEMENT, CHARGE_BATCH_TYPES)
                for _ in range(SESSIONS_PER_LANE)
            ],
            QUEUE_MAX,
        )
        for _ in range(LANES)
    ]
    side = Session(url, "creditd_api")
    try:
        yield Spending(lanes, side)
    finally:
        for lane in lanes:
            await lane.close()
        await side.close()


def prebuilt(url: str, accounts: Sequence[AccountRef], clients: int, seconds: float) -> Sample:
    """Send prebuilt batches from `clients` threads, one connection each.

    A thread costs some microseconds a batch and waits for the server without Python's lock.
    """
    count = int(seconds * ROWS_BUILT_PER_SECOND / BATCH_MAX / clients) + 1
    # Clients that share accounts would wait for each other, as lanes never do.
    shares = [accounts[number::clients] or accounts for number in range(clients)]
    batches = [[_batch(share) for _ in range(count)] for share in shares]
    start = threading.Barrier(clients + 1)
    with ThreadPoolExecutor(clients) as pool:
        sending = [pool.submit(_send, url, some, start, seconds) for some in batches]
        start.wait()
        meter = Meter(url)
        start.wait()
        done = sum(future.result() for future in sending)
        return meter.sample(done * BATCH_MAX)


def _batch(accounts: Sequence[AccountRef]) -> list[bytes]:
    charged = random.choices(accounts, k=BATCH_MAX)
    ones = [1] * BATCH_MAX
    return [
        charged[0].root_id.to_bytes(8),
        arrays.int8s([account.root_id for account in charged]),
        arrays.int8s([account.account_id for account in charged]),
        arrays.int4s(ones),
        arrays.uuids([os.urandom(16) for _ in charged]),
        arrays.uuids([bytes(16) for _ in charged]),
        arrays.texts([OPERATION]),
        arrays.int4s(ones),
        arrays.int8s(ones),
        arrays.int4s(ones),
    ]


def _send(
    url: str, batches: Sequence[list[bytes]], start: threading.Barrier, seconds: float
) -> int:
    options = session_options("creditd_api")
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        wire = connection.pgconn
        wire.prepare(_PREPARED, _STATEMENT.encode(), list(CHARGE_BATCH_TYPES))
        start.wait()
        start.wait()
        until = perf_counter() + seconds
        for done, batch in enumerate(batches):
            if perf_counter() >= until:
                return done
            result = wire.exec_prepared(
                _PREPARED, batch, [Format.BINARY] * len(batch), Format.BINARY
            )
            if result.status != ExecStatus.TUPLES_OK:
                raise SystemExit(f"a bare batch failed: {result.error_message!r}")
        return len(batches)
