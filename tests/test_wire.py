"""A wire tells whoever waits what became of the session, in the ledger's own errors."""

import asyncio

import psycopg
import pytest

from ledger.errors import LedgerUnavailable
from ledger.wire import Answer, Wire

COUNT = "select count(*) from public.slow"
END_WHOEVER_WAITS = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'"
)


async def end_whoever_waits(database_url: str) -> None:
    """End the one session that waits for a lock, as soon as it does."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(END_WHOEVER_WAITS)
            if (await cursor.fetchone()) == (1,):
                return
            await asyncio.sleep(0.005)


async def asked(wire: Wire) -> Answer:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    wire.send([], answered.set_result)
    return await answered


def with_the_table_locked(database_url: str) -> psycopg.Connection:
    connection = psycopg.connect(database_url)
    connection.execute("create table public.slow ()")
    connection.execute("grant select on public.slow to public")
    connection.commit()
    connection.execute("lock table public.slow")
    return connection


def test_a_session_that_ends_while_it_opens_is_a_ledger_that_is_not_there(
    database_url: str,
) -> None:
    async def main() -> None:
        wire = Wire(database_url, "creditd_reader", COUNT, [])
        ending = asyncio.create_task(end_whoever_waits(database_url))
        with pytest.raises(LedgerUnavailable):
            await wire.open()
        await ending
        assert not wire.is_open

    with with_the_table_locked(database_url):
        asyncio.run(main())


def test_a_session_that_ends_while_it_answers_is_opened_anew(database_url: str) -> None:
    async def main() -> None:
        locked = with_the_table_locked(database_url)
        locked.commit()
        wire = Wire(database_url, "creditd_reader", COUNT, [])
        await wire.open()
        with locked:
            locked.execute("lock table public.slow")
            ending = asyncio.create_task(end_whoever_waits(database_url))
            answer = await asked(wire)
            await ending
        assert isinstance(answer, psycopg.OperationalError)
        assert not wire.is_open
        await wire.open()
        assert not isinstance(await asked(wire), Exception)
        wire.close()

    asyncio.run(main())
