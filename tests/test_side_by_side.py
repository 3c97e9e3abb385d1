"""Reading on and granting go side by side, and whoever leads no more writes neither."""

import asyncio

import psycopg
import pytest
from books import Books
from conftest import CHAIN_ID, fake_hash
from followed_chain import FIRST_BLOCK_TIME, REMEMBER, Earned, FollowedChain

from ledger.array_parameters import bigints, byteas
from ledger.audit import audit
from ledger.errors import Deposed
from ledger.watching import SeenBlock

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
WAIT_SECONDS = 10


def test_blocks_are_appended_while_grants_wait_for_an_account(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain:
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()  # she has an account with entries
            block = await chain.grow(Earned(ALICE, 6, "two"))
            with psycopg.connect(database_url) as holder:
                holder.execute("select from creditd.account for update")
                confirming = asyncio.ensure_future(
                    chain.watching.confirm(
                        (block.number, block.hash), remember=REMEMBER, until=lambda: True
                    )
                )
                await _until_waiting(database_url)
                # What is appended is written, and waits for the grants with nothing but its end.
                growing = asyncio.ensure_future(chain.grow(Earned(BOB, 7, "three")))
                await _until_waiting(database_url, sessions=2)
                holder.rollback()
            assert await asyncio.wait_for(confirming, WAIT_SECONDS) == 1
            await asyncio.wait_for(growing, WAIT_SECONDS)
            with Books.open(database_url) as books:
                standing = books.standing(CHAIN_ID)
                assert (standing.indexed, standing.confirmed) == (2, 1)
                assert books.account(ALICE).available == 11
                assert list(books.pending().values()) == [7]

    asyncio.run(main())


async def _until_waiting(database_url: str, sessions: int = 1) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
        for _ in range(WAIT_SECONDS * 100):
            cursor = await looking.execute("select count(*) from pg_locks where not granted")
            ((waiting,),) = await cursor.fetchall()
            if waiting >= sessions:
                return
            await asyncio.sleep(0.01)
    raise AssertionError(f"{sessions} sessions never waited")


def test_a_step_that_was_under_way_when_another_took_over_leaves_nothing(
    database_url: str,
) -> None:
    """Its blocks are written, and not appended yet, when the other leads."""

    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain:
            await chain.grow()
            mine = SeenBlock(1, fake_hash("mine"), chain.blocks[-1].hash, FIRST_BLOCK_TIME + 1)
            async with chain.watching._transaction() as connection:
                await connection.execute(
                    "select creditd.enter_blocks(%s, %s, %s, %s, %s, %s)",
                    (CHAIN_ID, chain.watching.epoch, *_columns(mine)),
                )
                with psycopg.connect(database_url) as other:
                    other.execute(
                        "update creditd.chain set epoch = epoch + 1 where chain_id = %s",
                        (CHAIN_ID,),
                    )
                with pytest.raises(Deposed):
                    await chain.watching._call("append_blocks", 1, *_columns(mine))
                raise psycopg.Rollback
            with Books.open(database_url) as books:
                assert set(books.block_hashes(CHAIN_ID)) == {-1, 0}

    asyncio.run(main())
    assert asyncio.run(audit(database_url)).balanced


def _columns(block: SeenBlock) -> tuple[object, ...]:
    return (
        bigints([block.number]),
        byteas([block.hash]),
        byteas([block.parent]),
        bigints([block.time]),
    )
