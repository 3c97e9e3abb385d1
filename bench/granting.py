"""Grants in bulk, as a watcher that reads history makes them, and charges beside them."""

import asyncio
import itertools
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter, process_time
from typing import Any, Final

import uvloop
from callers import WARM_UP_SECONDS, Charging, drive, through
from filled_books import CREDITS_EACH, EVENTS_PER_STEP, leading, make, wallet
from measuring import Meter, Sample, Work

from ledger.ids import AccountRef
from ledger.outcomes import Charged
from ledger.spending import Spending

FEW_ACCOUNTS: Final = 2_000
MANY_ACCOUNTS: Final = 100_000
# Beside a backfill an API is asked by many and is not full: its callers do not wait for each other.
PACED_PER_SECOND: Final = 1_000

FEW: Final = f"grants, {FEW_ACCOUNTS:,} accounts"
MANY: Final = f"grants, {MANY_ACCOUNTS:,} new accounts"
IDLE: Final = "charges while nothing else happens, p99"
BESIDE: Final = "charges on accounts that are granted to meanwhile, p99"

_CREDITS: Final = 1_000_000


def works(url: str, events: int, seconds: float) -> list[Work]:
    """Return what to measure on books of their own at `url`, `events` grants at a time."""
    accounts = make(url, [(wallet(number), CREDITS_EACH) for number in range(FEW_ACCOUNTS)])
    newcomers = itertools.count(FEW_ACCOUNTS, MANY_ACCOUNTS)
    # Its process ends with this one: the works need it until then.
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def many() -> Sample:
        return granted(pool, url, next(newcomers), MANY_ACCOUNTS, events)

    return [
        Work(FEW, "grants/s", lambda: granted(pool, url, 0, FEW_ACCOUNTS, events)),
        Work(MANY, "grants/s", many),
        Work(IDLE, "ms", lambda: uvloop.run(_paced(url, accounts, seconds))),
        Work(BESIDE, "ms", lambda: uvloop.run(_beside(pool, url, accounts, events))),
    ]


def granted(pool: ProcessPoolExecutor, url: str, first: int, accounts: int, events: int) -> Sample:
    """Let a process of its own confirm pending events: grants per second."""
    pool.submit(pend, url, first, accounts, events).result()
    meter = Meter(url)
    count, seconds, client_seconds = pool.submit(confirm, url).result()
    sample = meter.sample(count, client_seconds=client_seconds)
    # Its own time leaves out how long it took to lead the chain.
    return Sample(count / seconds, sample.client_us, sample.postgres_us, sample.others, sample.more)


def pend(url: str, first: int, accounts: int, events: int) -> None:
    """Append blocks of pending events, one account's after the other's."""

    async def run() -> None:
        addresses = itertools.cycle([wallet(first + number) for number in range(accounts)])
        async with leading(url) as history:
            for _ in range(0, events, EVENTS_PER_STEP):
                some = itertools.islice(addresses, EVENTS_PER_STEP)
                await history.append([(address, _CREDITS) for address in some])

    uvloop.run(run())


def confirm(url: str) -> tuple[int, float, float]:
    """Confirm what is pending; return how many events, the seconds and the CPU seconds here."""

    async def run() -> tuple[int, float, float]:
        async with leading(url) as history:
            began, cpu = perf_counter(), process_time()
            count = await history.confirm()
            return count, perf_counter() - began, process_time() - cpu

    return uvloop.run(run())


async def _beside(
    pool: ProcessPoolExecutor, url: str, accounts: Sequence[AccountRef], events: int
) -> Sample:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool, pend, url, 0, FEW_ACCOUNTS, events)
    confirming = asyncio.ensure_future(loop.run_in_executor(pool, confirm, url))
    sample = await _paced(url, accounts, until=confirming)
    count, seconds, _ = await confirming
    return Sample(
        sample.value,
        sample.client_us,
        sample.postgres_us,
        sample.others,
        {**sample.more, "grants_per_second": count / seconds},
    )


async def _paced(
    url: str,
    accounts: Sequence[AccountRef],
    seconds: float = 0.0,
    *,
    until: asyncio.Future[Any] | None = None,
) -> Sample:
    """Charge PACED_PER_SECOND times a second: what 99 % of the charges take at most, in ms."""
    async with Spending.open(url) as spending:
        charge = through(spending)
        await drive(charge, accounts, WARM_UP_SECONDS, 1)
        meter = Meter(url)
        begun = perf_counter()
        times: list[float] = []
        run = os.urandom(8).hex()
        async with asyncio.TaskGroup() as group:
            sent = 0
            while not until.done() if until else perf_counter() < begun + seconds:
                due = int((perf_counter() - begun) * PACED_PER_SECOND)
                for number in range(sent, due):
                    account = random.choice(accounts)
                    group.create_task(_timed(charge, account, f"{run}-{number}", times))
                sent = due
                await asyncio.sleep(1 / PACED_PER_SECOND)
        sample = meter.sample(len(times))
    ordered = sorted(time * 1000 for time in times)
    return Sample(
        ordered[len(ordered) * 99 // 100],
        sample.client_us,
        sample.postgres_us,
        sample.others,
        {"p50_ms": ordered[len(ordered) // 2], "per_second": sample.value},
    )


async def _timed(charge: Charging, account: AccountRef, key: str, times: list[float]) -> None:
    began = perf_counter()
    outcome = await charge(account, key)
    if not isinstance(outcome, Charged):
        raise SystemExit(f"a charge did not go through: {outcome}")
    times.append(perf_counter() - began)
