"""Confirmed blocks that the chain leaves: it halts, or takes back what it granted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakechain import FakeChain, Tx
from followed_chain import Earned, FollowedChain
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene, stakes
from selling_app import SellingApp

from daemon.watching.follower import Follower


@asynccontextmanager
async def confirmed_stake(
    database_url: str, mode: str
) -> AsyncIterator[tuple[Scene, Follower, Tx]]:
    """Block 2 has a stake of Alice's, which was confirmed and granted."""
    async with scene(database_url) as here:
        tx = here.stake(ALICE, 10)
        here.chain.mine()
        here.chain.mine(tx)
        here.chain.mine_empty(DEPTH)
        reverse = mode == "reverse"
        follower = await here.follow(on_deep_reorg="reverse" if reverse else "halt")
        assert here.books.confirmed() == {(tx.hash, 0): 10 * CREDIT}
        yield here, follower, tx


def test_leaving_a_confirmed_block_halts_the_chain_and_rewrites_nothing(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "halt") as (here, follower, _):
            before = here.books.contents()
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(10)
            for _ in range(3):
                await follower.turn()
                here.chain.mine()
            standing = here.books.standing()
            assert standing.state == "halted"
            assert standing.reason is not None
            assert "left block 2" in standing.reason
            assert "above block 1" in standing.reason
            after = here.books.contents()
            assert {name for name in before if after[name] != before[name]} == {"chain"}

    asyncio.run(main())


def test_a_halted_chain_stays_halted_over_a_restart(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "halt") as (here, follower, _):
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(10)
            await follower.turn()
            await here.end(follower)
            await here.follow()
            assert here.books.standing().state == "halted"
            assert here.books.account(BOB).granted == 0

    asyncio.run(main())


def test_a_halted_chain_goes_on_when_the_old_chain_comes_back(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "halt") as (here, follower, tx):
            old = here.chain.branch
            here.chain.fork_from(1)
            here.chain.mine_empty(10)
            await follower.turn()
            assert here.books.standing().state == "halted"
            here.chain.switch_to(old)
            await follower.turn()
            assert (here.books.standing().state, here.books.standing().reason) == (
                "following",
                None,
            )
            later = here.stake(BOB, 3)
            here.chain.mine(later)
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.confirmed() == {
                (tx.hash, 0): 10 * CREDIT,
                (later.hash, 0): 3 * CREDIT,
            }
            assert here.books.entry_kinds(ALICE) == [("grant", 10 * CREDIT)]

    asyncio.run(main())


def test_a_halted_chain_does_not_go_on_because_the_node_lags(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "halt") as (here, follower, _):
            here.chain.fork_from(1)
            here.chain.mine_empty(10)
            await follower.turn()
            for lag in (10, 11):  # the node knows nothing yet of where the chains part
                here.faults.lag_blocks = lag
                await follower.turn()
                assert here.books.standing().state == "halted"
            here.faults.lag_blocks = 0
            here.faults.lost_blocks = {5}  # the head is there, the block in question is not
            await follower.turn()
            assert here.books.standing().state == "halted"

    asyncio.run(main())


def test_an_operator_who_accepts_the_new_history_has_it_by_a_restart(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "halt") as (here, follower, tx):
            other = here.stake(BOB, 3)
            here.chain.fork_from(1)
            here.chain.mine(other)
            here.chain.mine_empty(10)
            await follower.turn()
            await here.end(follower)
            await here.follow(on_deep_reorg="reverse")
            assert here.books.standing().state == "following"
            assert here.books.confirmed() == {(other.hash, 0): 3 * CREDIT}
            assert here.books.reversed() == {(tx.hash, 0): 10 * CREDIT}
            assert here.books.account(ALICE).available == 0

    asyncio.run(main())


def test_a_chain_that_reverses_takes_back_what_is_left_and_notes_what_is_not(
    database_url: str,
) -> None:
    async def main() -> None:
        async with (
            confirmed_stake(database_url, "reverse") as (here, follower, tx),
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(ALICE)
            await app.sell(account, 4 * CREDIT, "a")
            here.chain.fork_from(1)
            here.chain.mine_empty(5)
            await follower.turn()
            alice = here.books.account(ALICE)
            assert (alice.available, alice.debt) == (0, 4 * CREDIT)
            assert here.books.entry_kinds(ALICE)[-2:] == [
                ("reversal", 6 * CREDIT),
                ("debt", 4 * CREDIT),
            ]
            assert here.books.reversed() == {(tx.hash, 0): 10 * CREDIT}
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            alice = here.books.account(ALICE)
            assert (alice.available, alice.debt) == (2 * CREDIT, 0)
            assert here.books.entry_kinds(ALICE)[-4:] == [
                ("grant", 3 * CREDIT),
                ("repayment", 3 * CREDIT),
                ("grant", 3 * CREDIT),
                ("repayment", CREDIT),
            ]

    asyncio.run(main())


def test_a_reversed_event_that_comes_back_is_granted_again_and_repays_its_debt(
    database_url: str,
) -> None:
    async def main() -> None:
        async with (
            confirmed_stake(database_url, "reverse") as (here, follower, tx),
            SellingApp.open(database_url) as app,
        ):
            await app.sell(await app.account_of(ALICE), 4 * CREDIT, "a")
            one = here.chain.branch
            other = here.chain.fork_from(1)
            here.chain.mine_empty(DEPTH + 2)
            for _ in range(2):
                here.chain.switch_to(other)
                await follower.turn()
                alice = here.books.account(ALICE)
                assert (alice.available, alice.debt) == (0, 4 * CREDIT)
                here.chain.switch_to(one)
                here.chain.mine()
                await follower.turn()
                alice = here.books.account(ALICE)
                assert (alice.available, alice.debt) == (6 * CREDIT, 0)
                assert here.books.confirmed() == {(tx.hash, 0): 10 * CREDIT}
                assert here.books.live_grants() == 10 * CREDIT

    asyncio.run(main())


def test_a_chain_that_flips_for_ever_ends_with_the_grants_of_where_it_stands(
    database_url: str,
) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "reverse") as (here, follower, tx):
            only_there = here.stake(BOB, 7)
            one = here.chain.branch
            other = here.chain.fork_from(1)
            here.chain.mine(only_there, tx)  # in both, but elsewhere
            here.chain.mine_empty(DEPTH)
            expected = {
                one.name: {(tx.hash, 0): 10 * CREDIT},
                other.name: {(tx.hash, 0): 10 * CREDIT, (only_there.hash, 0): 7 * CREDIT},
            }
            for branch in (other, one, other, one, other):
                here.chain.switch_to(branch)
                await follower.turn()
                assert here.books.confirmed() == expected[branch.name]
                assert here.books.live_grants() == sum(expected[branch.name].values())
                assert here.books.account(ALICE).available == 10 * CREDIT
                await here.books_balance()

    asyncio.run(main())


def test_an_event_reversed_while_pending_again_keeps_its_history(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "reverse") as (here, follower, tx):
            here.chain.fork_from(1)
            here.chain.mine_empty(4)
            await follower.turn()
            assert here.books.reversed() == {(tx.hash, 0): 10 * CREDIT}
            here.chain.mine(tx)  # back, pending
            await follower.turn()
            assert here.books.pending() == {(tx.hash, 0): 10 * CREDIT}
            here.chain.fork_from(here.chain.head.number - 1)
            here.chain.mine()  # gone, while pending
            await follower.turn()
            assert here.books.reversed() == {(tx.hash, 0): 10 * CREDIT}
            await here.books_balance()
            here.chain.mine(tx)
            here.chain.fork_from(0)  # gone while pending, by a reorg of confirmed blocks
            here.chain.mine_empty(12)
            await follower.turn()
            await here.books_balance()
            here.chain.mine(tx)
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.confirmed() == {(tx.hash, 0): 10 * CREDIT}
            assert [kind for kind, _ in here.books.entry_kinds(ALICE)] == [
                "grant",
                "reversal",
                "grant",
            ]

    asyncio.run(main())


def test_caps_are_given_back_with_what_is_reversed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow(stakes(per_account_day=12), on_deep_reorg="reverse")
            here.chain.fork_from(0)
            here.chain.mine(here.stake(ALICE, 9), here.stake(ALICE, 9))
            here.chain.mine_empty(DEPTH + 1)
            await follower.turn()
            assert here.books.account(ALICE).available == 12 * CREDIT

    asyncio.run(main())


def test_another_chain_under_the_same_address_is_never_a_reorg(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "reverse") as (here, follower, _):
            before = here.books.contents()
            here.chain.fork_from(-1)  # a new chain, with a genesis of its own
            here.chain.mine(seconds=1)
            for _ in range(2):
                here.chain.mine_empty(4)
                await follower.turn()
                standing = here.books.standing()
                assert standing.state == "halted"
                assert standing.reason is not None
                assert "no remembered block in common" in standing.reason
            after = here.books.contents()
            assert {name for name in before if after[name] != before[name]} == {"chain"}

    asyncio.run(main())


def test_blocks_that_do_not_link_to_ours_take_nothing_back(database_url: str) -> None:
    async def main() -> None:
        async with confirmed_stake(database_url, "reverse") as (here, follower, tx):
            before = here.books.contents()
            stranger = FakeChain(chain_id=5)
            stranger.mine_empty(10)
            ours = list(here.chain.branch.blocks)
            here.chain.branch.blocks[1:] = stranger.branch.blocks[1:]
            await follower.turn()
            assert here.books.contents() == before
            here.chain.branch.blocks[:] = ours
            here.chain.mine()
            await follower.turn()
            assert here.books.confirmed() == {(tx.hash, 0): 10 * CREDIT}

    asyncio.run(main())


def test_a_fork_below_everything_remembered_halts(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(60)
            follower = await here.follow(on_deep_reorg="reverse", blocks_remembered=20)
            assert min(here.books.block_hashes()) == 60 - DEPTH - 20
            here.chain.fork_from(30)
            here.chain.mine_empty(40)
            await follower.turn()
            assert here.books.standing().state == "halted"

    asyncio.run(main())


def test_where_a_long_fork_began_is_found_to_the_block(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            txs = [here.stake(ALICE, 1) for _ in range(60)]
            for tx in txs:
                here.chain.mine(tx)
            here.chain.mine_empty(DEPTH)
            follower = await here.follow(on_deep_reorg="reverse", span_max=100)
            for parting in (57, 56, 41, 40, 24, 1):
                here.chain.fork_from(parting)
                here.chain.mine_empty(70 - parting)
                await follower.turn()
                assert set(here.books.confirmed()) == {(tx.hash, 0) for tx in txs[:parting]}

    asyncio.run(main())


def test_a_halted_chain_grants_nothing_whoever_asks_until_it_goes_on(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain:
            block = await chain.grow(Earned(ALICE, CREDIT, "stake"))
            await chain.watching.halt("somebody is to look")
            final = block.number, block.hash
            assert await chain.confirm(block) == 0
            assert await chain.watching.confirm(final, remember=10, until=lambda: True) == 0
            assert (await chain.watching.position()).granted_number < block.number
            await chain.watching.resume()
            assert await chain.confirm(block) == 1

    asyncio.run(main())
