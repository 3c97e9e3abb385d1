"""Replaying the entries in several processes at once.

Each takes a range of roots, and all see one snapshot.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Final, cast

from psycopg import sql

from ledger.errors import LedgerError
from ledger.findings import BREACHES_LISTED_MAX, Breach, CheckResult, Fact
from ledger.looking import View, looking, set_up
from ledger.replay import CHECKS, replay

WORKERS_MAX: Final = 8  # beyond that the database has no core left to read with
# A process takes about 0.7 s to begin: as long as it takes to replay this many.
ENTRIES_PER_WORKER_MIN: Final = 150_000
# Roots are random numbers of 62 bits; those of corrupt books may be anything.
_ROOTS_END: Final = 2**62
_ROOT_MIN, _ROOT_MAX = -(2**63), 2**63 - 1

# Of each of the replay's checks: the entries it saw, what it lists, how many breaches there are.
_Told = list[tuple[int, list[dict[str, Fact]], int]]

_RANGE: Final = sql.SQL(
    "with entry as (select * from creditd.entry where root_id between {first} and {last}),"
    " account as (select * from creditd.account where root_id between {first} and {last}) "
)


@dataclass(frozen=True, slots=True)
class Range:
    """Accounts with roots from `first` to `last`, both included, and how a process sees them."""

    view: View
    first: int
    last: int


def workers_for(entries: int) -> int:
    """Return how many processes are worth their start: one for few entries, else one a core."""
    return max(1, min(os.cpu_count() or 1, WORKERS_MAX, entries // ENTRIES_PER_WORKER_MIN))


async def replay_in_parallel(view: View, workers: int) -> tuple[CheckResult, ...]:
    """Replay all entries of an exported snapshot. The transaction that exported it stays open.

    Raises LedgerError if a process ends before it has said what it found.
    """
    inner = [place * (_ROOTS_END // workers) for place in range(1, workers)]
    firsts, lasts = [_ROOT_MIN, *inner], [*(first - 1 for first in inner), _ROOT_MAX]
    told = await asyncio.gather(
        *(_range_told(Range(view, first, last)) for first, last in zip(firsts, lasts, strict=True))
    )
    return _together(told)


async def _range_told(wanted: Range) -> _Told:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_replay_range, args=(wanted, theirs), daemon=True)
    process.start()
    theirs.close()  # so that ours ends with the process
    try:
        return cast("_Told", await asyncio.to_thread(ours.recv))
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
    told.send(asyncio.run(_replay(wanted)))


async def _replay(wanted: Range) -> _Told:
    view = wanted.view
    async with looking(view.database_url, view.snapshot) as connection:
        await set_up(connection, for_all=True)
        scope = _RANGE.format(first=wanted.first, last=wanted.last)
        results = await replay(connection, scope)
    return [
        (
            result.examined,
            [dict(breach.facts) for breach in result.breaches],
            result.breaches_total,
        )
        for result in results
    ]
