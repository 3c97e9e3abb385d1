"""Pending blocks that the chain leaves: they go, and what they said is pending no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakechain import Event, Tx, staked
from scene import ALICE, BOB, CREDIT, DEPTH, TOKEN, VAULT, Scene, scene

from daemon.configuration.config import Finalized
from daemon.watching.follower import Follower


@asynccontextmanager
async def two_pending(database_url: str) -> AsyncIterator[tuple[Scene, Follower, Tx, Tx]]:
    """Block 1 is empty, 2 and 3 have a stake each; all three are pending."""
    async with scene(database_url) as here:
        first, second = here.stake(ALICE, 5), here.stake(BOB, 7)
        here.chain.mine()
        here.chain.mine(first)
        here.chain.mine(second)
        yield here, await here.follow(), first, second


def test_a_pending_event_that_is_left_behind_is_forgotten(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, first, _):
            here.chain.fork_from(2)
            here.chain.mine_empty(1 + DEPTH)
            await follower.turn()
            assert here.books.pending() == {}
            assert here.books.confirmed() == {(first.hash, 0): 5 * CREDIT}
            assert here.books.account(BOB).granted == 0
            assert here.books.block_hashes()[3] == here.chain.block(3).hash
            standing = here.books.standing()
            assert (standing.reorgs, standing.last_reorg_depth) == (1, 1)

    asyncio.run(main())


def test_a_reorg_of_the_same_height_is_seen_at_once(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, first, _):
            here.chain.fork_from(1)
            here.chain.mine(first)
            here.chain.mine()
            await follower.turn()
            assert set(here.books.pending()) == {(first.hash, 0)}
            assert here.books.standing().indexed == 3

    asyncio.run(main())


def test_a_shorter_chain_is_only_believed_where_it_shows_another_block(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, first, second):
            before = here.books.contents()
            here.chain.fork_from(1)  # a node that has dropped blocks, or one that lags: who knows
            await follower.turn()
            assert here.books.contents() == before
            here.chain.mine(second)  # lower still than what was read, but another block 2
            await follower.turn()
            assert here.books.standing().indexed == 2
            assert set(here.books.pending()) == {(second.hash, 0)}
            here.chain.mine(first)
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.account(ALICE).available == 5 * CREDIT
            assert here.books.account(BOB).available == 7 * CREDIT

    asyncio.run(main())


def test_a_transaction_mined_again_elsewhere_is_the_same_event(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, first, second):
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 1), second)  # in another block, at another place
            here.chain.mine()
            here.chain.mine(here.stake(ALICE, 2), here.stake(BOB, 3), first)
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            granted = here.books.confirmed()
            assert granted[first.hash, 0] == 5 * CREDIT
            assert granted[second.hash, 0] == 7 * CREDIT
            assert len(granted) == 5
            assert here.books.account(ALICE).available == 7 * CREDIT
            assert here.books.account(BOB).available == 11 * CREDIT

    asyncio.run(main())


def test_a_transaction_mined_again_may_say_something_else(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, first, _):
            here.chain.fork_from(1)
            here.chain.mine(
                Tx(first.hash, (staked(VAULT, BOB, TOKEN), staked(VAULT, ALICE, 2 * TOKEN)))
            )
            here.chain.mine_empty(1 + DEPTH)
            await follower.turn()
            assert here.books.confirmed() == {(first.hash, 0): CREDIT, (first.hash, 1): 2 * CREDIT}
            assert here.books.account(ALICE).available == 2 * CREDIT
            assert here.books.account(BOB).available == CREDIT

    asyncio.run(main())


def test_a_log_set_aside_goes_and_comes_with_its_block(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            near = here.chain.tx(Event(VAULT, staked(VAULT, ALICE, 1).topics, b""))
            here.chain.mine(near)
            follower = await here.follow()
            here.chain.fork_from(0)
            here.chain.mine_empty(2)
            await follower.turn()
            assert here.books.set_aside() == []
            here.chain.mine(near)
            await follower.turn()
            assert [number for number, _, _ in here.books.set_aside()] == [3]

    asyncio.run(main())


def test_pending_blocks_change_sides_and_back_without_a_trace(database_url: str) -> None:
    async def main() -> None:
        async with two_pending(database_url) as (here, follower, *_):
            one = here.chain.branch
            before = here.books.story()["events"]
            other = here.chain.fork_from(0)
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(2)
            for branch in (other, one, other, one):
                here.chain.switch_to(branch)
                await follower.turn()
            assert here.books.story()["events"] == before
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.account(ALICE).available == 5 * CREDIT
            assert here.books.account(BOB).available == 7 * CREDIT

    asyncio.run(main())


def test_a_reorg_of_many_blocks_that_nothing_has_made_final_is_followed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            kept, gone, came = (here.stake(ALICE, tokens) for tokens in (1, 2, 4))
            here.chain.mine(kept)
            here.chain.finalize(1)
            here.chain.mine(gone)
            here.chain.mine_empty(70)
            follower = await here.follow(confirmation=Finalized(), span_max=10)
            here.chain.fork_from(1)
            here.chain.mine_empty(80)
            here.chain.mine(came)
            await follower.turn()
            assert here.books.standing().indexed == 82
            assert here.books.standing().last_reorg_depth == 71
            assert set(here.books.confirmed()) == {(kept.hash, 0)}
            assert set(here.books.pending()) == {(came.hash, 0)}

    asyncio.run(main())
