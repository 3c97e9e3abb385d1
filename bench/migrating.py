"""Migrations beside charges: the longest that any charge waits while one is made."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Final, LiteralString

import psycopg
import uvloop
from callers import WARM_UP_SECONDS, Charging, drive, through
from measuring import Meter, Sample, Work, say

from ledger.ids import AccountRef
from ledger.outcomes import Charged
from ledger.spending import Spending

CALLERS: Final = 8  # enough that some charge is under way at any moment
BESIDE_SECONDS: Final = 3.0  # of charges without a migration: the machine's own longest wait
TABLE_HELD_SECONDS: Final = 2.0  # by another session, while a migration wants the table

# What a migration finds to do, by what it is called.
_CHANGES: Final[dict[str, LiteralString]] = {
    "functions of another text": "update creditd.release set functions = 'of another release'",
    "functions that cannot be replaced": (
        "drop function creditd.expire_idle;"
        " create function creditd.expire_idle(p_limit integer) returns text language sql return ''"
    ),
    "a table more": (
        "drop table creditd.accepted_reorg, creditd.upstream_status, creditd.alarm,"
        " creditd.rereading, creditd.audited, creditd.waiting_event,"
        " creditd.differing_stake cascade;"
        " alter table creditd.chain drop column parted_number, drop column other_hash,"
        " drop column indexed_at,"
        " drop column cursor_alarm_seconds, drop column finality_alarm_seconds,"
        " drop column head_alarm_seconds;"
        " drop table creditd.status_change; alter table creditd.charge_cause drop column unbacked;"
        " alter table creditd.event add constraint event_earns_by_a_rule"
        " foreign key (rule_id) references creditd.rule;"
        " drop table creditd.stake cascade; alter table creditd.chain drop column accruing_number;"
        " alter table creditd.rule drop column divisor cascade, drop column rates_from cascade,"
        " drop column rates_micro cascade, drop column period_seconds cascade,"
        " drop column hold_seconds cascade, drop column accrued_to cascade,"
        " drop column accruing_after cascade, drop column total_said cascade,"
        " drop column asked_after cascade, drop column is_left cascade;"
        " update creditd.schema_version set version_num = '0002'"
    ),
}
_NEEDS_A_TABLE: Final[LiteralString] = (
    "alter table creditd.entry disable trigger entry_is_append_only"
)
A_HELD_TABLE: Final = "a table that another session holds"
NOTHING: Final = "no migration"
KINDS: Final = (*_CHANGES, A_HELD_TABLE)
_MIGRATE: Final = "import sys; from ledger.migrate import migrate; migrate(sys.argv[1])"


def name_of(what: str) -> str:
    """Return what a work is called."""
    return f"longest wait of a charge, {what}"


def works(url: str, accounts: Sequence[AccountRef]) -> list[Work]:
    """Return a work for each kind of migration, and one for charges alone, on filled books."""

    def of(what: str) -> Work:
        return Work(name_of(what), "ms", lambda: uvloop.run(_longest(url, accounts, what)))

    return [of(what) for what in (NOTHING, *KINDS)]


async def _longest(url: str, accounts: Sequence[AccountRef], what: str) -> Sample:
    async with Spending.open(url) as spending:
        charge = through(spending)
        await drive(charge, accounts, WARM_UP_SECONDS, CALLERS)
        meter = Meter(url)
        begun = perf_counter()
        is_over = asyncio.Event()
        waits: list[float] = []
        run = os.urandom(8).hex()
        numbers = itertools.count()

        async def caller() -> None:
            while not is_over.is_set():
                number = next(numbers)
                account = accounts[number % len(accounts)]
                waits.append(await _wait(charge, account, f"{run}-{number}"))

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
            await _meanwhile(url, what)
            is_over.set()
        seconds = perf_counter() - begun
    waits.sort()
    say(
        f"{what}: {len(waits):,} charges in {seconds:.1f} s, longest wait {waits[-1] * 1000:.0f} ms"
    )
    # The migration's own process would pass for the noise of others: without one that is told.
    others = meter.sample(len(waits)).others if what == NOTHING else 0.0
    more = {"p99_ms": waits[len(waits) * 99 // 100] * 1000, "charges": float(len(waits))}
    return Sample(waits[-1] * 1000, 0.0, others=others, more=more)


async def _wait(charge: Charging, account: AccountRef, key: str) -> float:
    began = perf_counter()
    outcome = await charge(account, key)
    if not isinstance(outcome, Charged):
        raise SystemExit(f"a charge did not go through: {outcome}")
    return perf_counter() - began


async def _meanwhile(url: str, what: str) -> None:
    if what == NOTHING:
        await asyncio.sleep(BESIDE_SECONDS)
        return
    if what == A_HELD_TABLE:
        async with await psycopg.AsyncConnection.connect(url) as holder:
            await asyncio.to_thread(_do, url, _NEEDS_A_TABLE)
            await holder.execute("lock table creditd.entry in row exclusive mode")
            migrating = asyncio.create_task(_migrate(url))
            await asyncio.sleep(TABLE_HELD_SECONDS)
            await holder.rollback()
            await migrating
        return
    await asyncio.to_thread(_do, url, _CHANGES[what])
    await _migrate(url)


def _do(url: str, change: LiteralString) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(change)


async def _migrate(url: str) -> None:
    """Migrate in a process of its own, as an operator does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MIGRATE, url), stderr=subprocess.PIPE
    )
    _, told = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the migration failed: {told.decode()}")
