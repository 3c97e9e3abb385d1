"""Independent callers: each has one charge under way, under a key of its own, and then the next."""

import asyncio
import itertools
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final

import uvloop
from bare_limit import bare_spending
from filled_books import OPERATION
from measuring import Meter, Sample
from references import alone

from ledger.ids import AccountRef
from ledger.outcomes import Charged, ChargeOutcome
from ledger.spending import Spending

IN_FLIGHT: Final = 256
WARM_UP_SECONDS: Final = 0.3  # connections are opened, statements prepared and planned

Charging = Callable[[AccountRef, str], Awaitable[ChargeOutcome]]


def charges(url: str, accounts: Sequence[AccountRef], seconds: float) -> Sample:
    """Charge the ledger from IN_FLIGHT callers: charges per second, and their times."""

    async def run() -> Sample:
        async with Spending.open(url) as spending:
            return (await metered(url, through(spending), accounts, seconds, IN_FLIGHT))[0]

    return uvloop.run(run())


def bare_charges(url: str, accounts: Sequence[AccountRef], seconds: float) -> Sample:
    """Let the same callers charge through lanes that write the rows and decide nothing."""

    async def run() -> Sample:
        async with bare_spending(url) as bare:
            return (await metered(url, through(bare), accounts, seconds, IN_FLIGHT))[0]

    return uvloop.run(run())


def lone_charge(url: str, accounts: Sequence[AccountRef], seconds: float) -> Sample:
    """Charge from one caller: the median time of a charge in ms."""

    async def run() -> Sample:
        async with Spending.open(url) as spending:
            sample, times = await metered(url, through(spending), accounts, seconds, 1)
            return alone(sample, [time * 1000 for time in times])

    return uvloop.run(run())


def through(spending: Spending) -> Charging:
    """Return the ledger's own way to charge, as the callers use it."""

    async def charge(account: AccountRef, key: str) -> ChargeOutcome:
        return await spending.charge(
            app_id=1, account=account, key=key, operation=OPERATION, units=1
        )

    return charge


async def metered(
    url: str, charge: Charging, accounts: Sequence[AccountRef], seconds: float, in_flight: int
) -> tuple[Sample, list[float]]:
    """Warm up, then charge for `seconds`: the sample, and each charge's time in seconds."""
    await drive(charge, accounts, WARM_UP_SECONDS, in_flight)
    meter = Meter(url)
    times = sorted(await drive(charge, accounts, seconds, in_flight))
    sample = meter.sample(
        len(times),
        p50_ms=times[len(times) // 2] * 1000,
        p99_ms=times[len(times) * 99 // 100] * 1000,
    )
    return sample, times


async def drive(
    charge: Charging, accounts: Sequence[AccountRef], seconds: float, in_flight: int
) -> list[float]:
    """Charge random ones of `accounts` for `seconds` and return each charge's time in seconds."""
    run = os.urandom(8).hex()
    numbers = itertools.count()
    times: list[float] = []
    until = perf_counter() + seconds

    async def caller() -> None:
        while (before := perf_counter()) < until:
            account = accounts[int(random.random() * len(accounts))]
            outcome = await charge(account, f"{run}-{next(numbers)}")
            if not isinstance(outcome, Charged):
                raise SystemExit(f"a charge did not go through: {outcome}")
            times.append(perf_counter() - before)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(caller())
    return times
