"""A node that answers is held to what it shows, wherever it stands."""

import asyncio

import pytest
from fakenode import Status
from scene import ALICE, BOB, CREDIT, DEPTH
from several_nodes import all_is_granted, stakes_and_depth, two_nodes

from daemon.configuration.config import Finalized

NODES = 2
FAR = 50  # blocks: further than what is read ahead at first


def test_a_node_that_stays_ahead_with_blocks_of_its_own_is_held_to_the_heads_of_others(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            here.chain.mine_empty(2)
            true = here.chain.branch
            follower = await here.follow()
            made_up = here.chain.fork_from(here.chain.head.number)
            for ahead in range(3):
                # None of what it confirms is there yet, where the other node is.
                second.branch = true
                here.chain.switch_to(made_up)
                here.chain.mine(here.stake(BOB, 1_000))
                here.chain.mine_empty(DEPTH + 2)
                await follower.turn()
                here.chain.switch_to(true)
                here.chain.mine_empty(1)
                here.chain.switch_to(made_up)
                if ahead:
                    assert here.books.standing().state == "halted"
                    assert "disagree about block" in (here.books.standing().reason or "")
            assert here.books.live_grants() <= 1_000 * CREDIT  # what nobody could contradict

    asyncio.run(main())


@pytest.mark.parametrize("agree", [1, 2])
def test_a_fork_shorter_than_what_is_confirmed_takes_nothing_back_by_itself(
    database_url: str, agree: int
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            stakes_and_depth(here)
            here.chain.mine_empty(2)
            follower = await here.stand_by(here.settings(on_deep_reorg="reverse", agree=agree))
            await follower.turn()
            assert all_is_granted(here)
            second.branch = here.chain.branch
            here.chain.fork_from(0)
            for grown in (2, 8):
                here.chain.mine_empty(grown)
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert all_is_granted(here)

    asyncio.run(main())


def test_a_disagreement_is_not_over_when_finality_passes_the_head_of_who_disagrees(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            here.chain.mine_empty(2)
            here.chain.finalize(2)
            follower = await here.follow(confirmation=Finalized())
            true = here.chain.branch
            second.branch = here.chain.fork_from(2)
            here.chain.mine_empty(3)
            here.chain.switch_to(true)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(2)
            for final, more in ((4, 0), (4, 3), (7, 1)):
                here.chain.mine_empty(more)
                here.chain.finalize(final)
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert "disagree about block" in (here.books.standing().reason or "")
            assert here.books.account(ALICE).available == 0
            second.branch = None
            await follower.turn()
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


def test_a_node_that_failed_beside_the_one_that_is_read_is_forgiven_when_it_answers(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            stakes_and_depth(here)
            follower = await here.follow()
            second.failures.extend([Status(500)] * 20)
            here.chain.mine()
            await follower.turn()
            assert any(follower._upstreams.troubles().values())
            second.failures.clear()
            here.chain.mine()
            await follower.turn()
            assert not any(follower._upstreams.troubles().values())

    asyncio.run(main())


def test_a_node_that_is_behind_and_on_another_fork_contradicts(database_url: str) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            trunk = here.chain.branch
            second.branch = here.chain.fork_from(0)
            here.chain.mine(here.stake(BOB, 2))
            here.chain.switch_to(trunk)
            stakes_and_depth(here)
            follower = await here.follow()
            assert here.books.standing().state == "halted"
            assert "block 1" in (here.books.standing().reason or "")
            second.branch = trunk
            await follower.turn()
            assert all_is_granted(here)

    asyncio.run(main())
