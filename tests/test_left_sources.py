"""A source that was not followed for a while: the history since then was read without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from followed_chain import Earned, FollowedChain, source

from ledger.errors import RuleConflict
from ledger.watching import RuleEntry, SeenBlock

WALLET = bytes(range(20))


class History:
    """One chain, followed for one source after another."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._blocks: list[SeenBlock] = []

    @asynccontextmanager
    async def following(self, rule: RuleEntry) -> AsyncIterator[FollowedChain]:
        async with FollowedChain.lead(self._database_url, rule=rule) as chain:
            chain.blocks = self._blocks
            yield chain


def test_a_source_is_not_taken_up_again_after_blocks_were_read_without_it(
    database_url: str,
) -> None:
    async def main() -> None:
        history = History(database_url)
        async with history.following(source("stakes")) as chain:
            await chain.grow()
        async with history.following(source("mints", from_block=1)) as chain:
            await chain.grow()
        with pytest.raises(RuleConflict, match=r"followed to block 0, .* read to block 1 since"):
            async with history.following(source("stakes")):
                pass

    asyncio.run(main())


def test_a_source_goes_on_if_nothing_was_read_without_it(database_url: str) -> None:
    async def main() -> None:
        history = History(database_url)
        async with history.following(source("stakes")) as chain:
            await chain.grow()
        async with history.following(source("mints", from_block=1)):
            pass
        async with history.following(source("stakes")) as chain:
            await chain.grow(Earned(WALLET, 5, "tx"))
            assert await chain.confirm() == 1

    asyncio.run(main())


def test_what_a_reorg_takes_from_a_source_that_was_taken_out_is_not_forgotten(
    database_url: str,
) -> None:
    async def main() -> None:
        history = History(database_url)
        async with history.following(source("stakes")) as chain:
            await chain.grow()
            await chain.grow(Earned(WALLET, 5, "tx"))
        async with history.following(source("mints", from_block=2)) as chain:
            await chain.drop(chain.blocks[0])
            await chain.grow(fork="b")  # the transaction is in it, and nobody looks
        with pytest.raises(RuleConflict, match=r"followed to block 0, .* read to block 1 since"):
            async with history.following(source("stakes")):
                pass

    asyncio.run(main())


def test_a_source_that_is_followed_to_a_block_goes_on_to_it_after_a_reorg(
    database_url: str,
) -> None:
    async def main() -> None:
        history = History(database_url)
        rule = replace(source("stakes"), to_block=1)
        async with history.following(rule) as chain:
            for _ in range(3):
                await chain.grow()
            await chain.drop(chain.blocks[0])
            await chain.grow(Earned(WALLET, 5, "tx"), fork="b")
            await chain.grow(fork="b")
        async with history.following(rule) as chain:
            assert await chain.confirm() == 1

    asyncio.run(main())
