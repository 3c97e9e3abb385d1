"""The watcher's program: a job per chain, those that end what is past its time, and deliveries."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from daemon.chain.unfit import Unfit
from daemon.configuration.config import Config
from daemon.jobs.alarms import ALARM_SECONDS, AlarmTeller
from daemon.jobs.waking import waking
from daemon.jobs.webhooks import delivering
from daemon.rereading.auditor import AUDIT_SECONDS, Auditor
from daemon.watching.follower import Follower
from ledger.alarms import Alarms
from ledger.errors import LedgerError
from ledger.late import Late

EXPIRY_SECONDS: Final = 30  # expiry is exact when spending; this only tidies up idle accounts
EXPIRY_ACCOUNTS_MAX: Final = 500  # each holds its lock until the job's one transaction commits
# Whoever needs credits that a reservation held ends it then; this gives back what nobody asks for.
RESERVATION_SECONDS: Final = 10
RESERVATIONS_MAX: Final = 200  # their accounts, too, stay locked until the one transaction commits

log = structlog.get_logger()


async def watch(config: Config, database_url: str, stop: asyncio.Event) -> None:
    """Follow every configured chain until `stop` is set.

    Raises what cannot pass by itself: a node on another chain (WrongChain), a source that says
    otherwise than the books (RuleConflict), a finalized tag or a contract that is not there
    (Unfit), another release's books.
    """
    name = f"{socket.gethostname()}:{os.getpid()}"
    fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scheduler = AsyncIOScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for receiver in config.webhooks:
        for caution in receiver.cautions:
            log.warning("less careful than could be", receiver=receiver.name, caution=caution)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(delivering(config.webhooks, database_url))
        followers = []
        for chain in config.chains:
            for caution in chain.cautions:
                log.warning("less careful than could be", chain=chain.name, caution=caution)
            follower = Follower(chain, database_url, name)
            await follower.open()
            stack.push_async_callback(follower.close)
            wake = _add(scheduler, follower, fatal)
            _add_expiries(scheduler, follower)
            if chain.wake_url is not None:
                await stack.enter_async_context(waking(chain.wake_url, wake))
            late = await stack.enter_async_context(Late.open(database_url, chain.chain_id))
            auditor = Auditor(follower, late)
            scheduler.add_job(auditor.turn, IntervalTrigger(seconds=AUDIT_SECONDS))
            followers.append(follower)
        alarms = await stack.enter_async_context(Alarms.open(database_url))
        teller = AlarmTeller(alarms, followers)
        scheduler.add_job(teller.turn, IntervalTrigger(seconds=ALARM_SECONDS))
        scheduler.start()
        stack.callback(scheduler.shutdown, wait=False)
        log.info("watching", chains=[chain.name for chain in config.chains])
        fatal.add_done_callback(lambda _: stop.set())
        await stop.wait()
        scheduler.remove_all_jobs()
    if fatal.done():
        fatal.result()


def _add(
    scheduler: AsyncIOScheduler, follower: Follower, fatal: asyncio.Future[None]
) -> Callable[[], None]:
    """Let a chain be looked at as often as it is polled; what is returned lets it be at once."""
    turning = woken = False

    async def turn() -> None:
        nonlocal turning, woken
        turning = has_more = True
        try:
            while has_more:  # in between, jobs that wait for this chain's session have it
                woken = False
                has_more = await follower.turn() or woken
        except (LedgerError, Unfit) as error:
            if not fatal.done():
                fatal.set_exception(error)
        finally:
            turning = False

    polling = scheduler.add_job(
        turn,
        IntervalTrigger(seconds=follower.chain.poll_ms / 1000),
        next_run_time=datetime.now(UTC),
    )

    def wake() -> None:
        nonlocal woken
        woken = True
        if not turning:
            polling.modify(next_run_time=datetime.now(UTC))

    return wake


def _add_expiries(scheduler: AsyncIOScheduler, follower: Follower) -> None:
    async def expire() -> None:
        try:
            await follower.expire(EXPIRY_ACCOUNTS_MAX)
        except LedgerError as error:  # the next turn meets it too, and decides
            log.warning("expiry postponed", chain=follower.chain.name, trouble=str(error))

    async def expire_reservations() -> None:
        try:
            await follower.expire_reservations(RESERVATIONS_MAX)
        except LedgerError as error:
            log.warning("expiry postponed", chain=follower.chain.name, trouble=str(error))

    scheduler.add_job(expire, IntervalTrigger(seconds=EXPIRY_SECONDS))
    scheduler.add_job(expire_reservations, IntervalTrigger(seconds=RESERVATION_SECONDS))
