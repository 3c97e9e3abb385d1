"""Many sessions at once, and who waits for whom."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import psycopg
from conftest import ASKED, CHAIN_ID
from town import ALICE, Town

from ledger.ids import AccountRef
from ledger.operator_acts import OperatorActs
from ledger.spending import Spending

CONNECTIONS = 8
# A race is run with another order of accounts each time: their numbers are random.
ROUNDS = 2


@contextmanager
def nobody_waiting_in_a_circle(database_url: str) -> Iterator[None]:
    """What has deadlocked would be tried again, and hidden: whoever waits, waits in order."""
    yield
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "select deadlocks from pg_stat_database where datname = current_database()"
        ).fetchall()
    assert found == [(0,)]


@asynccontextmanager
async def operators(database_url: str) -> AsyncIterator[list[OperatorActs]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(OperatorActs.open(database_url))
            for _ in range(CONNECTIONS)
        ]


@asynccontextmanager
async def spendings(database_url: str) -> AsyncIterator[list[Spending]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Spending.open(database_url, lanes=1))
            for _ in range(CONNECTIONS)
        ]


async def link(
    acts: OperatorActs, account: AccountRef, address: bytes = ALICE, chain_id: int | None = CHAIN_ID
) -> object:
    return await acts.link(account, chain_id=chain_id, address=address, signed=ASKED)


async def unlink(
    acts: OperatorActs, account: AccountRef, address: bytes = ALICE, chain_id: int | None = CHAIN_ID
) -> object:
    return await acts.unlink(account, chain_id=chain_id, address=address, signed=ASKED)


def total(town: Town, accounts: Sequence[AccountRef]) -> int:
    return sum(town.has(account)[0] for account in accounts)


async def somebody_waits(database_url: str, sessions: int) -> None:
    """Return once so many sessions wait for a lock. Nothing tells of it but looking."""
    async with asyncio.timeout(20):
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
            while True:
                cursor = await looking.execute(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
                if await cursor.fetchone() == (sessions,):
                    return
