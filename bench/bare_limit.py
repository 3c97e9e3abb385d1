"""The bare limit: batches that write the rows of charges and check nothing.

Once from prebuilt batches, which is what the server can do at most, and once for independent
callers through the ledger's own kind of lane, which is what any ledger could do for them.
"""

import asyncio
import os
import random
import struct
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final

import psycopg
from filled_books import COST
from measuring import Meter, Sample
from psycopg.pq import ExecStatus

from ledger.connecting import session_options
from ledger.ids import AccountRef, MovementRef
from ledger.lanes import BATCH_MAX, Digests, Int8s, Lane, Waiting
from ledger.outcomes import Charge, Charged
from ledger.session import Session
from ledger.spending import LANES, QUEUE_MAX, SESSIONS_PER_LANE, Spending

AVAILABLE: Final = 10**15  # what a bare account has before its first charge: no rule looks at it
ROWS_BUILT_PER_SECOND: Final = 100_000  # before the clock starts; a faster server is done sooner
SPREAD: Final = 1 << 40  # each client numbers its entries in a range of its own

_STATEMENT: Final = "select bare.write_batch(%b, %b, %b, %b, %b, %b, %b, %b, %b, %b)"
_PREPARED: Final = b"bare_batch"
_PREPARE: Final = b"select bare.write_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

_HEADER: Final = struct.Struct(">iiIii")
_BIGINT, _UUID = 20, 2950


def prepare(url: str) -> None:
    """Make the bare tables beside the books, each account with the row it has there."""
    text = (Path(__file__).parent / "bare_limit.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)
        connection.execute("grant usage on schema bare to creditd_api")
        connection.execute(
            "grant select, insert, update on all tables in schema bare to creditd_api"
        )
        connection.execute("vacuum analyze bare.account")


@dataclass(slots=True)
class Numbers:
    """Where the entries of each account stand."""

    first: int
    seqs: dict[AccountRef, int] = field(default_factory=lambda: defaultdict(int))

    def batch(
        self, accounts: Sequence[AccountRef], keys: Sequence[bytes], requests: Sequence[bytes]
    ) -> tuple[bytes, ...]:
        """Return the parameters that write one entry for each of `accounts`."""
        rows = []
        for account, key, request in zip(accounts, keys, requests, strict=True):
            self.seqs[account] += 1
            rows.append((account, self.first + self.seqs[account], key, request))
        touched = sorted({row[0] for row in rows})  # all clients in one order: no circle of locks
        seqs = [self.first + self.seqs[account] for account in touched]
        return (
            _int8s([row[0].root_id for row in rows]),
            _int8s([row[0].account_id for row in rows]),
            _int8s([row[1] for row in rows]),
            _int8s([AVAILABLE - row[1] % SPREAD for row in rows]),
            _digests([row[2] for row in rows]),
            _digests([row[3] for row in rows]),
            _int8s([account.root_id for account in touched]),
            _int8s([account.account_id for account in touched]),
            _int8s(seqs),
            _int8s([AVAILABLE - seq % SPREAD for seq in seqs]),
        )


_ranges: Final[Iterator[int]] = iter(range(SPREAD, 2**62, SPREAD))


def prebuilt(url: str, accounts: Sequence[AccountRef], clients: int, seconds: float) -> Sample:
    """Send prebuilt batches from `clients` threads, one connection each.

    A thread costs some microseconds a batch and waits for the server without Python's lock.
    """
    count = int(seconds * ROWS_BUILT_PER_SECOND / BATCH_MAX / clients) + 1
    # Clients that share accounts would wait for each other, as lanes never do.
    shares = [accounts[number::clients] or accounts for number in range(clients)]
    batches = [_batches(share, count) for share in shares]
    start = threading.Barrier(clients + 1)
    with ThreadPoolExecutor(clients) as pool:
        sending = [pool.submit(_send, url, some, start, seconds) for some in batches]
        start.wait()
        meter = Meter(url)
        start.wait()
        done = sum(future.result() for future in sending)
        return meter.sample(done * BATCH_MAX)


def _batches(accounts: Sequence[AccountRef], count: int) -> list[tuple[bytes, ...]]:
    numbers = Numbers(next(_ranges))
    request = os.urandom(16)
    return [
        numbers.batch(
            random.choices(accounts, k=BATCH_MAX),
            [os.urandom(16) for _ in range(BATCH_MAX)],
            [request] * BATCH_MAX,
        )
        for _ in range(count)
    ]


def _send(
    url: str, batches: Sequence[tuple[bytes, ...]], start: threading.Barrier, seconds: float
) -> int:
    options = session_options("creditd_api")
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        wire = connection.pgconn
        wire.prepare(_PREPARED, _PREPARE)
        start.wait()
        start.wait()
        until = perf_counter() + seconds
        for done, batch in enumerate(batches):
            if perf_counter() >= until:
                return done
            result = wire.exec_prepared(_PREPARED, batch, [1] * len(batch))
            if result.status != ExecStatus.TUPLES_OK:
                raise SystemExit(f"a bare batch failed: {result.error_message!r}")
        return len(batches)


class BareLane(Lane):
    """The ledger's lane, with a statement that writes the rows and decides nothing."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        super().__init__(sessions, QUEUE_MAX)
        self._numbers = Numbers(next(_ranges))

    async def _send(self, session: Session, batch: Sequence[Waiting]) -> None:
        parameters = self._numbers.batch(
            [waiting.account for waiting in batch],
            [waiting.key for waiting in batch],
            [waiting.request for waiting in batch],
        )
        wire = [
            (Digests if place in {4, 5} else Int8s)(value) for place, value in enumerate(parameters)
        ]
        await session.rows(_STATEMENT, wire, binary=True)
        at = datetime.now(UTC)
        for waiting in batch:
            charge = Charge(
                movement=MovementRef(waiting.account, 1),
                operation=waiting.operation,
                units=waiting.units,
                price_version=1,
                cost=COST,
                available=AVAILABLE,
                at=at,
            )
            waiting.answer.set_result(Charged(charge, replayed=False))


@asynccontextmanager
async def bare_spending(url: str) -> AsyncIterator[Spending]:
    """Open what the ledger opens for its callers, with bare lanes in it."""
    lanes = [
        BareLane([Session(url, "creditd_api") for _ in range(SESSIONS_PER_LANE)])
        for _ in range(LANES)
    ]
    side = Session(url, "creditd_api")
    tasks = [asyncio.create_task(lane.run()) for lane in lanes]
    try:
        yield Spending(lanes, side)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in (side, *(session for lane in lanes for session in lane.sessions)):
            await session.close()


def _array(type_oid: int, size: int, code: str, elements: Sequence[object]) -> bytes:
    flat: list[object] = [size] * (2 * len(elements))
    flat[1::2] = elements
    header = _HEADER.pack(1, 0, type_oid, len(elements), 1)
    return header + struct.pack(">" + f"i{code}" * len(elements), *flat)


def _int8s(elements: Sequence[int]) -> bytes:
    return _array(_BIGINT, 8, "q", elements)


def _digests(elements: Sequence[bytes]) -> bytes:
    return _array(_UUID, 16, "16s", elements)
