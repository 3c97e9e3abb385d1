"""What comes late waits as it would have; what waits already is neither missing nor late."""

from dataclasses import replace

import pytest
from books import Books
from conftest import CHAIN_ID, fake_hash
from followed_chain import Earned, FollowedChain
from waiting import BOB, books_balance, grow, large, told, waiting

from ledger.errors import NotLate
from ledger.late import Late
from ledger.watching import SeenBlock, SeenEvent

# Where the logs are in their blocks.
LOG_INDEXES = {
    name: 50 + place for place, name in enumerate(("missed", "another", "over", "waits", "new"))
} | {"seen": 0}


async def admitted(
    database_url: str, chain: FollowedChain, block: SeenBlock, *missed: tuple[str, int]
) -> int:
    """Events of a block that were missed come in late: their names, and how long they wait."""
    events = [
        SeenEvent(
            block_number=block.number,
            tx_hash=fake_hash("tx", name),
            ordinal=0,
            role=0,
            log_index=LOG_INDEXES[name],
            rule_id=chain.rule_id,
            wallet=BOB,
            amount=1,
            credits=9,
            blocks_more=more,
        )
        for place, (name, more) in enumerate(missed)
    ]
    async with Late.open(database_url, CHAIN_ID) as late:
        now = await late.place()
        assert now is not None
        return await late.admit(now.epoch, {block.number: block}, events)


def test_what_comes_late_waits_for_the_same_block_or_is_granted_at_once(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large("seen", 9))
        await grow(chain, 5)
        await chain.confirm(chain.blocks[4])
        assert await admitted(database_url, chain, chain.blocks[1], ("over", 3)) == 1
        assert books.account(BOB).available == 9
        assert await admitted(database_url, chain, chain.blocks[2], ("waits", 3)) == 1
        assert books.account(BOB).available == 9
        assert waiting(books) == {fake_hash("tx", "seen"): 9, fake_hash("tx", "waits"): 5}
        await books_balance(database_url)
        await chain.confirm()
        assert books.account(BOB).available == 18
        assert waiting(books) == {fake_hash("tx", "seen"): 9}

    told(database_url, story)


@pytest.mark.parametrize("more", [0, 1, 30])
def test_what_waits_already_is_not_missing_and_keeps_what_it_waits_for(
    database_url: str, more: int
) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        block = await chain.grow(Earned(BOB, 9, "seen", blocks_more=9))
        await grow(chain, 5)
        await chain.confirm(chain.blocks[4])
        async with Late.open(database_url, CHAIN_ID) as late:
            (recorded,) = await late.recorded(0, 4)
            assert (recorded.cause[0], recorded.granted) == (fake_hash("tx", "seen"), 0)
        assert await admitted(database_url, chain, block, ("seen", more)) == 0
        assert waiting(books) == {fake_hash("tx", "seen"): 9}
        assert books.account(BOB).available == 0
        beside = ("seen", more), ("missed", 0)
        assert await admitted(database_url, chain, block, *beside) == 1
        assert waiting(books) == {fake_hash("tx", "seen"): 9}
        assert books.account(BOB).available == 9
        beside = ("missed", more), ("another", 0)  # the one was granted: it waits for nothing
        assert await admitted(database_url, chain, block, *beside) == 1
        assert waiting(books) == {fake_hash("tx", "seen"): 9}
        assert books.account(BOB).available == 18
        other = replace(block, hash=fake_hash("other"))
        books.rows("delete from creditd.block where number = 0 returning 1")
        with pytest.raises(NotLate, match="the books have another block 0"):
            await admitted(database_url, chain, other, ("new", more))
        books.rows(
            "insert into creditd.block values (%s, 0, %s, %s, to_timestamp(%s)) returning 1",
            *(CHAIN_ID, block.hash, block.parent, block.time),
        )

    told(database_url, story)


def test_what_is_pending_above_the_last_final_block_does_not_come_in_late(
    database_url: str,
) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await grow(chain, 2)
        await chain.confirm()
        await chain.grow(Earned(BOB, 9, "seen", blocks_more=9))
        with pytest.raises(NotLate, match="in block 2, which is not confirmed yet"):
            await admitted(database_url, chain, chain.blocks[1], ("seen", 0))
        assert waiting(books) == {fake_hash("tx", "seen"): 11}

    told(database_url, story)
