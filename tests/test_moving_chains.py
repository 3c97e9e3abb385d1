"""Nodes whose answers are not of one moment or one fork: nothing is granted that does not stay."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fakechain import Branch
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene

from daemon.chain.reading import BlockRef, Tip, read_tip
from daemon.configuration.config import Finalized
from daemon.watching.ahead import BLOCKS_PER_PART_AT_FIRST

REQUESTS_MAX = 12  # of a turn that has something to do: every moment of it is tried


def test_a_chain_that_moves_while_it_is_read_is_read_again(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(DEPTH)
            follower = await here.follow()
            total = 0
            for moment in range(REQUESTS_MAX):
                old, height = here.chain.branch, here.chain.head.number
                other = here.chain.fork_from(height - 1)
                here.chain.mine(here.stake(ALICE, 1 + moment))
                here.chain.mine_empty(DEPTH + 2)
                here.chain.switch_to(old)
                here.chain.mine(here.stake(BOB, 100))  # will be left
                switch_at(here, moment, other)
                await follower.turn()
                assert here.books.standing().state != "halted"
                here.chain.switch_to(other)
                here.faults.before_request = None
                await follower.turn()
                total += 1 + moment
                assert here.books.block_hashes()[height] == here.chain.block(height).hash
                assert here.books.account(ALICE).available == total * CREDIT
                assert here.books.account(BOB).granted == 0

    asyncio.run(main())


def test_a_chain_that_comes_back_to_a_confirmed_block_while_it_is_looked_for_does_not_halt_for_it(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH + 3)
            follower = await here.follow()
            stays, head = here.chain.branch, here.chain.head.number
            leaves = here.chain.fork_from(1)
            here.chain.mine_empty(head)
            for moment in range(REQUESTS_MAX):
                here.chain.switch_to(leaves)
                switch_at(here, moment, stays)
                await follower.turn()
                # What a person could accept is another block than the one that is confirmed.
                assert (
                    here.books.rows("select from creditd.chain where other_hash = confirmed_hash")
                    == []
                )
                here.faults.before_request = None
                here.chain.switch_to(stays)
                await follower.turn()
                assert here.books.standing().state == "following"

    asyncio.run(main())


def switch_at(here: Scene, moment: int, other: Branch) -> None:
    """Let another branch be the canonical one from the next turn's request number `moment` on."""
    asked = 0

    def before_request(_: list[str]) -> None:
        nonlocal asked
        if asked == moment:
            here.chain.switch_to(other)
        asked += 1

    here.faults.before_request = before_request


def test_two_backends_on_two_forks_answer_in_turn_and_nothing_wrong_is_granted(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow()
            trunk = here.chain.branch
            forks = []
            for wallet in (ALICE, BOB):
                forks.append(here.chain.fork_from(2))
                here.chain.mine(here.stake(wallet, 2))
                here.chain.mine_empty(DEPTH - 2)
            here.chain.switch_to(trunk)
            asked = 0

            def before_request(_: list[str]) -> None:
                nonlocal asked
                here.chain.switch_to(forks[asked % 2])
                asked += 1

            here.faults.before_request = before_request
            for _ in range(6):
                await follower.turn()
            assert here.books.live_grants() == CREDIT
            here.faults.before_request = None
            here.chain.switch_to(forks[1])
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.account(ALICE).available == CREDIT
            assert here.books.account(BOB).available == 2 * CREDIT

    asyncio.run(main())


def test_blocks_on_top_are_counted_on_the_fork_that_is_read(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            span = 5
            follower = await here.follow(span_max=span)
            here.chain.mine_empty(40)
            longer = here.chain.branch
            shorter = here.chain.fork_from(0)
            here.chain.mine_empty(BLOCKS_PER_PART_AT_FIRST)

            def before_request(methods: list[str]) -> None:
                # The head comes from one backend, the blocks from another.
                here.chain.switch_to(longer if "eth_chainId" in methods else shorter)

            here.faults.before_request = before_request
            await follower.turn()
            indexed = here.books.standing().indexed
            assert indexed == BLOCKS_PER_PART_AT_FIRST
            # Far behind the head, what a step reads is confirmed beside the next one.
            assert here.books.standing().confirmed == indexed - span < indexed - DEPTH

    asyncio.run(main())


def test_blocks_ahead_that_the_node_has_left_are_not_granted_by_what_is_final_now(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parting = BLOCKS_PER_PART_AT_FIRST // 2

    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(parting)
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(BLOCKS_PER_PART_AT_FIRST)
            with monkeypatch.context() as patch:
                patch.setattr("daemon.watching.follower.STEPS_PER_TURN_MAX", 1)
                follower = await here.follow(span_max=parting // 2)
            # Blocks on both sides of the parting are ahead now.
            height = here.chain.head.number
            here.chain.fork_from(parting)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(height - here.chain.head.number)
            await follower.turn()
            assert here.books.account(BOB).granted == 0
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


@pytest.mark.parametrize("span_max", [1, 10])
def test_a_final_block_of_another_fork_than_the_heads_confirms_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, span_max: int
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await here.follow(confirmation=Finalized(), span_max=span_max)
            here.chain.mine()
            here.chain.mine(here.stake(BOB, 100))  # where the head is, on a fork that will lose
            here.chain.mine_empty(3)
            lost = here.chain.branch
            wins = here.chain.fork_from(1)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(3)
            final = here.chain.block(4)
            here.chain.switch_to(lost)
            await follower.turn()

            async def read(*of: Any, **how: Any) -> Tip:  # noqa: ANN401 - as `read_tip` is asked
                # A backend answers that is not on the head's fork.
                return replace(await read_tip(*of, **how), finalized=BlockRef(4, final.hash))

            with monkeypatch.context() as patch:
                patch.setattr("daemon.watching.view.read_tip", read)
                for _ in range(2):
                    await follower.turn()
                    assert here.books.standing().state == "halted"
                    assert "final" in (here.books.standing().reason or "")
                    here.chain.mine()
                assert here.books.standing().indexed == 5
                assert here.books.live_grants() == 0
            here.chain.switch_to(wins)
            here.chain.mine_empty(4)
            here.chain.finalize(4)
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == CREDIT
            assert here.books.account(BOB).granted == 0

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["halt", "reverse"])
def test_a_block_missing_from_the_search_for_a_fork_is_no_deeper_fork(
    database_url: str, mode: str
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(60)
            follower = await here.follow(
                on_deep_reorg="reverse" if mode == "reverse" else "halt", span_max=100
            )
            here.chain.fork_from(60)
            here.chain.mine_empty(2)
            here.faults.lost_blocks = set(range(10, 60))
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.standing().reorgs == 0
            here.faults.lost_blocks.clear()
            await follower.turn()
            assert here.books.standing().last_reorg_depth == 1
            assert here.books.standing().indexed == 62

    asyncio.run(main())


def test_a_finalized_tag_that_is_gone_for_a_while_is_waited_for(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await here.follow(confirmation=Finalized())
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.finalize(1)
            here.faults.finalized_tag = False  # such as a node says while it starts
            await follower.turn()
            assert here.books.live_grants() == 0
            here.faults.finalized_tag = True
            await follower.turn()
            assert here.books.live_grants() == CREDIT

    asyncio.run(main())


def test_a_block_read_before_it_was_final_is_read_again_once_it_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            monkeypatch.setattr("daemon.watching.follower.STEPS_PER_TURN_MAX", 1)
            here.chain.mine_empty(2)
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(3)
            here.chain.finalize(1)
            follower = await here.follow(confirmation=Finalized(), span_max=1)
            while here.books.standing().confirmed < 1:
                await follower.turn()
            assert here.books.standing().indexed == 2  # the rest is read ahead
            monkeypatch.undo()
            here.chain.fork_from(2)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(6)
            here.chain.finalize(6)
            await follower.turn()
            assert here.books.account(BOB).granted == 0
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())
