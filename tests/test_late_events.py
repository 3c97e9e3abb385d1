"""What was missed comes in late: proven, once, by the path all grants take."""

import asyncio

import pytest
from fakechain import FakeChain
from missed import block_of, event_of, omit, place_of, read
from scene import (
    ALICE,
    BOB,
    CREDIT,
    DEPTH,
    scene,
)

from ledger.errors import Deposed, NotLate
from ledger.late import Late
from ledger.watching import SeenEvent


@pytest.fixture
def omitting(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    return omit(monkeypatch)


def test_an_event_that_was_missed_is_granted_once(database_url: str, omitting: set[bytes]) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            await read(here)
            assert here.books.account(BOB).granted == 0
            block = here.chain.block(1)
            event = event_of(block, 1)
            epoch = (await place_of(late)).epoch
            assert await late.admit(epoch, block_of(block), [event]) == 1
            assert await late.admit(epoch, block_of(block), [event]) == 0
            assert here.books.account(BOB).available == 3 * CREDIT
            assert here.books.entry_kinds(BOB) == [("grant", 3 * CREDIT)]

    asyncio.run(main())


def test_what_contradicts_the_books_does_not_come_in(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            follower = await read(here)
            here.chain.mine()
            await follower.turn()
            block, place = here.chain.block(1), await place_of(late)
            before = here.books.contents()
            stranger = FakeChain(chain_id=5)
            for _ in range(2):
                stranger.mine(stranger.tx(), stranger.tx())
            pending = here.chain.block(DEPTH + 1)
            event = event_of(block, 1)
            refused = [
                (block_of(stranger.block(1)), event_of(stranger.block(1), 1), "another block 1"),
                (block_of(stranger.block(2)), event_of(stranger.block(2), 1), "another block 2"),
                (block_of(block, time=5), event, "another block 1"),
                (
                    block_of(pending),
                    SeenEvent(pending.number, b"\x07" * 32, 0, 0, 0, 1, BOB, 1, 1),
                    "not confirmed yet",
                ),
                (block_of(block), event_of(block, 1, rule_id=77), "none that source"),
            ]
            for blocks, each, words in refused:
                with pytest.raises(NotLate, match=words):
                    await late.admit(place.epoch, blocks, [each])
            with pytest.raises(Deposed):
                await late.admit(place.epoch + 1, block_of(block), [event])
            here.books.rows("update creditd.rule set from_block = 2 returning 1")
            with pytest.raises(NotLate, match="none that source stakes"):
                await late.admit(place.epoch, block_of(block), [event])
            here.books.rows("update creditd.rule set from_block = 0, to_block = 0 returning 1")
            with pytest.raises(NotLate, match="none that source stakes"):
                await late.admit(place.epoch, block_of(block), [event])
            here.books.rows("update creditd.rule set to_block = null returning 1")
            assert here.books.contents() == before

    asyncio.run(main())


def test_nothing_comes_in_late_while_the_chain_is_halted(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            follower = await read(here)
            block, event = here.chain.block(1), event_of(here.chain.block(1), 1)
            here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 3)
            await follower.turn()
            with pytest.raises(NotLate, match="halted, and so are late grants"):
                await late.admit((await place_of(late)).epoch, block_of(block), [event])

    asyncio.run(main())


def test_blocks_older_than_those_remembered_come_in_unless_an_event_contradicts(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            here.chain.mine(here.stake(ALICE, 10), here.stake(BOB, 3))
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(60)
            await here.follow(blocks_remembered=20)
            epoch = (await place_of(late)).epoch
            other = FakeChain(chain_id=5)
            other.mine(other.tx(), other.tx())
            with pytest.raises(NotLate, match="another block 1"):
                await late.admit(epoch, block_of(other.block(1)), [event_of(other.block(1), 1)])
            for number, tx in ((1, 1), (2, 0)):
                block = here.chain.block(number)
                assert await late.admit(epoch, block_of(block), [event_of(block, tx)]) == 1
            assert here.books.account(BOB).available == 6 * CREDIT

    asyncio.run(main())


def test_late_grants_are_taken_back_with_their_block(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow(on_deep_reorg="reverse")
            block, one = here.chain.block(1), here.chain.branch
            await late.admit((await place_of(late)).epoch, block_of(block), [event_of(block)])
            here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 3)
            await follower.turn()
            assert here.books.account(BOB).available == 0
            here.chain.switch_to(one)
            here.chain.mine_empty(5)
            await follower.turn()  # without it again
            epoch = (await place_of(late)).epoch
            assert await late.admit(epoch, block_of(block), [event_of(block)]) == 1
            assert here.books.account(BOB).available == 3 * CREDIT
            assert [kind for kind, _ in here.books.entry_kinds(BOB)] == [
                *("grant", "reversal", "grant")
            ]

    asyncio.run(main())


def test_the_watcher_goes_on_beside_it(database_url: str, omitting: set[bytes]) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(BOB)
            follower = await here.follow()
            for _ in range(20):
                here.chain.mine(here.stake(ALICE, 1), here.stake(BOB, 3))
            here.chain.mine_empty(DEPTH)
            await follower.turn()

            async def grow() -> None:
                for _ in range(10):
                    here.chain.mine(here.stake(ALICE, 1))
                    await follower.turn()

            async def admit() -> None:
                for number in range(1, 21):
                    block = here.chain.block(number)
                    epoch = (await place_of(late)).epoch
                    await late.admit(epoch, block_of(block), [event_of(block, 1)])

            await asyncio.gather(grow(), admit())
            assert here.books.standing().epoch == 1
            assert here.books.account(BOB).available == 60 * CREDIT
            assert here.books.account(ALICE).available == (30 - DEPTH) * CREDIT

    asyncio.run(main())
