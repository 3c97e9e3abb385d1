"""Replaying the entries in several processes at once.

Each takes a range of roots, and all see one snapshot.
"""

import asyncio
import itertools
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Final, Literal, cast

from psycopg import IsolationLevel, sql

from ledger.connecting import connect
from ledger.errors import LedgerError
from ledger.findings import BREACHES_LISTED_MAX, Breach, CheckResult, Fact
from ledger.replay import CHECKS, replay

Role = Literal["creditd_reader", "creditd_operator"]

WORKERS_MAX: Final = 8  # beyond that the database has no core left to read with
# A process takes about half a second to begin: as long as it takes to replay this many.
ENTRIES_PER_WORKER_MIN: Final = 50_000
# For an audit's statements. What does not fit into the memory of one sort or hash goes to a file.
# The workers already take every core: a statement that takes more of them only adds their meeting.
SETTINGS: Final = sql.SQL(
    "set local search_path = creditd, pg_temp; set local work_mem = '64MB'; set local jit = off;"
    " set local max_parallel_workers_per_gather = 0"
)
_ROOTS: Final = 2**63  # roots are random numbers below half of this, and never negative

# Of each of the replay's checks: the entries it saw, what it lists, how many breaches there are.
_Told = list[tuple[int, list[dict[str, Fact]], int]]

_RANGE: Final = sql.SQL(
    "with entry as (select * from creditd.entry where root_id >= {low} and root_id < {high}),"
    " account as (select * from creditd.account where root_id >= {low} and root_id < {high}) "
)


@dataclass(frozen=True, slots=True)
class Range:
    """Accounts whose roots are at least `low` and below `high`, and how a process sees them."""

    database_url: str
    role: Role
    snapshot: str
    low: int
    high: int


def workers_for(entries: int) -> int:
    """Return how many processes are worth their start: one for few entries, else one a core."""
    return max(1, min(os.cpu_count() or 1, WORKERS_MAX, entries // ENTRIES_PER_WORKER_MIN))


async def replay_in_parallel(
    database_url: str, role: Role, snapshot: str, workers: int, progress: Callable[[int], None]
) -> tuple[CheckResult, ...]:
    """Replay all entries of an exported snapshot. The transaction that exported it stays open.

    Raises LedgerError if a process ends before it has said what it found.
    """
    # Roots are spread evenly below 2**62; the last range takes whatever lies above.
    bounds = [*(place * (_ROOTS // 2 // workers) for place in range(workers)), _ROOTS - 1]
    done: Counter[int] = Counter()

    def count(worker: int, entries: int) -> None:
        done[worker] = entries
        progress(done.total())

    told = await asyncio.gather(
        *(
            _range_told(Range(database_url, role, snapshot, low, high), partial(count, low))
            for low, high in itertools.pairwise(bounds)
        )
    )
    return _together(told)


async def _range_told(wanted: Range, count: Callable[[int], None]) -> _Told:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_replay_range, args=(wanted, theirs), daemon=True)
    process.start()
    theirs.close()  # so that ours ends with the process
    try:
        while isinstance(said := await asyncio.to_thread(ours.recv), int):
            count(said)
    except EOFError as error:
        await asyncio.to_thread(process.join)
        raise LedgerError(
            f"a process that replayed entries ended early, with exit code {process.exitcode}:"
            " nothing is known of the books; audit them again"
        ) from error
    finally:
        ours.close()
        process.terminate()
        await asyncio.to_thread(process.join)
    return cast("_Told", said)


def _together(told: Sequence[_Told]) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(
            name=name,
            promise=promise,
            row_means=row_means,
            examined=sum(examined for examined, _, _ in parts),
            breaches=tuple(
                Breach(MappingProxyType(facts)) for _, listed, _ in parts for facts in listed
            )[:BREACHES_LISTED_MAX],
            breaches_total=sum(total for _, _, total in parts),
        )
        for (name, promise, row_means), *parts in zip(CHECKS, *told, strict=True)
    )


def _replay_range(wanted: Range, told: Connection) -> None:
    told.send(asyncio.run(_replay(wanted, told.send)))


async def _replay(wanted: Range, count: Callable[[int], None]) -> _Told:
    async with await connect(wanted.database_url, wanted.role) as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            await connection.execute(sql.SQL("set transaction snapshot {}").format(wanted.snapshot))
            await connection.execute(SETTINGS)
            scope = _RANGE.format(low=wanted.low, high=wanted.high)
            results = await replay(connection, scope, count)
    return [
        (
            result.examined,
            [dict(breach.facts) for breach in result.breaches],
            result.breaches_total,
        )
        for result in results
    ]
