"""Charges where it is hard: from crumbs of lots, in books of any size, beside an old snapshot."""

from collections.abc import Sequence
from contextlib import closing
from time import perf_counter
from typing import Final

import psycopg
from books_of_size import lengthen
from callers import charges
from filled_books import COST, audited, fill, make, wallet
from measuring import Sample, Work, checkpoint, fresh_database, say

from ledger.ids import AccountRef

LOTS_EACH: Final = 10_000
# Charges a second that the lots are made for: each charge uses one up, and the last must be left.
LOTS_PER_SECOND: Final = 30_000
MANY_ACCOUNTS: Final = 100_000
SETTLED: Final = 0.1  # two windows whose WAL differs by less are a steady state
WINDOWS_MAX: Final = 16
SNAPSHOT_SECONDS: Final = 60
SNAPSHOT_WINDOW_SECONDS: Final = 5
SNAPSHOT_WINDOWS_AFTER: Final = 2


def books_of_lots(url: str, seconds: float, rounds: int) -> Sequence[AccountRef]:
    """Make accounts of LOTS_EACH lots, so sized that every charge crosses into the next lot."""
    number = 1 + int(seconds * rounds * LOTS_PER_SECOND / LOTS_EACH)
    say(f"making {number} accounts of {LOTS_EACH:,} lots")
    began = perf_counter()
    # Half a charge first: from then on each takes the second half of one and the first of another.
    sizes = [COST // 2, *[COST] * (LOTS_EACH - 1)]
    accounts = make(url, [(wallet(place), size) for size in sizes for place in range(number)])
    say(f"made in {perf_counter() - began:.0f} s")
    return accounts


def size_name(entries: int, *, fresh: bool) -> str:
    """Return what charging books of a size is called."""
    return f"charges, {entries:,} entries{', after a checkpoint' if fresh else ''}"


def at_sizes(url: str, entries: int, seconds: float) -> tuple[list[Work], str]:
    """Make books of few and of many entries; return what to measure, and where the many are."""
    works = []
    books = ""
    for total in (MANY_ACCOUNTS, entries):
        books = fresh_database(url, f"size_{total}")
        accounts = fill(books, MANY_ACCOUNTS)
        lengthen(books, total // MANY_ACCOUNTS - 1)
        works += [
            Work(
                size_name(total, fresh=True),
                "charges/s",
                lambda books=books, accounts=accounts: _fresh(books, accounts, seconds),  # type: ignore[misc]
            ),
            Work(
                size_name(total, fresh=False),
                "charges/s",
                lambda books=books, accounts=accounts: _steady(books, accounts, seconds),  # type: ignore[misc]
            ),
        ]
    return works, books


def _fresh(url: str, accounts: Sequence[AccountRef], seconds: float) -> Sample:
    checkpoint(url)
    return charges(url, accounts, seconds)


def _steady(url: str, accounts: Sequence[AccountRef], seconds: float) -> Sample:
    """Charge window after window until the WAL of a charge settles; return the last window."""
    before = charges(url, accounts, seconds)
    for _ in range(WINDOWS_MAX):
        after = charges(url, accounts, seconds)
        was, now = before.more["wal_bytes"], after.more["wal_bytes"]
        if abs(now - was) <= SETTLED * was:
            return after
        before = after
    say(f"the WAL of a charge has not settled in {WINDOWS_MAX} windows")
    return before


def beside_an_old_snapshot(url: str, accounts: Sequence[AccountRef]) -> list[dict[str, float]]:
    """Charge one account beside an idle REPEATABLE READ transaction: its rate over time.

    The first window is before it. The books end whoever idles in a transaction after a minute: the
    last windows are without it again.
    """
    hot = accounts[:1]
    series = [_window(url, hot)]
    with closing(psycopg.connect(url)) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from creditd.chain")
        began = perf_counter()
        while perf_counter() < began + SNAPSHOT_SECONDS:
            series.append({"open_seconds": round(perf_counter() - began), **_window(url, hot)})
        try:
            connection.rollback()
        except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout):
            say("the server has ended the idle transaction by itself")
    series += [_window(url, hot) for _ in range(SNAPSHOT_WINDOWS_AFTER)]
    audited(url)
    return series


def _window(url: str, hot: Sequence[AccountRef]) -> dict[str, float]:
    sample = charges(url, hot, SNAPSHOT_WINDOW_SECONDS)
    say(f"beside an old snapshot: {sample.value:,.0f} charges/s")
    return {
        "charges_per_second": round(sample.value),
        "client_us": round(sample.client_us, 1),
        "postgres_us": round(sample.postgres_us, 1),
        "p99_ms": round(sample.more["p99_ms"], 2),
    }
