"""What is looked up is looked up by its whole key, though nobody has analyzed the tables yet."""

import asyncio
from typing import LiteralString

import psycopg
from conftest import fake_hash
from followed_chain import Earned, FollowedChain

BLOCKS = 400
EVENTS = 100
# Each event looks up its block, and the step some more.
LOOKS_MAX = 2 * EVENTS

_FLUSH: LiteralString = "select pg_stat_force_next_flush()"
_READ: LiteralString = (
    "select (coalesce(idx_tup_fetch, 0) + seq_tup_read)::int from pg_stat_user_tables"
    " where relid = 'creditd.block'::regclass"
)


async def blocks_read(chain: FollowedChain, books: psycopg.Connection) -> int:
    """Return how many rows of blocks have been read, once the watcher's session has told of it."""
    await chain.watching._session.rows(_FLUSH, ())
    row = books.execute(_READ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_event_looks_up_its_own_block_and_no_others_of_the_chain(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain:
            with psycopg.connect(database_url, autocommit=True) as books:
                books.execute("alter table creditd.block set (autovacuum_enabled = false)")
                for _ in range(BLOCKS):
                    await chain.grow()
                before = await blocks_read(chain, books)
                wallets = [fake_hash("wallet", number)[:20] for number in range(EVENTS)]
                await chain.grow(*(Earned(wallet, 1, f"tx-{wallet.hex()}") for wallet in wallets))
                assert await blocks_read(chain, books) - before <= LOOKS_MAX

    asyncio.run(main())
