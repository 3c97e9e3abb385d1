"""A chain read through several nodes: one that fails is stood in for, none is believed alone."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from fakenode import Status
from scene import ALICE, BOB, CREDIT, DEPTH
from several_nodes import all_is_granted, stakes_and_depth, two_nodes

from daemon.chain.reading import BlockRef
from daemon.chain.rpc import Node
from daemon.chain.upstreams import REST_SECONDS_MAX, REST_SECONDS_MIN, Upstreams
from daemon.configuration.config import Finalized
from daemon.watching.view import View
from ledger.watching import Position

NODES = 2
FAR = 50  # blocks: further than what is read ahead at first


def test_another_node_is_read_in_the_turn_in_which_the_first_falls_silent(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            follower = await here.follow()
            stakes_and_depth(here)
            here.faults.failures.extend([Status(503)] * 100)
            await follower.turn()
            assert all_is_granted(here)
            assert second.calls["eth_getBlockReceipts"] > 0

    asyncio.run(main())


def test_a_node_that_is_down_at_the_start_is_done_without(database_url: str) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, _):
            stakes_and_depth(here)
            here.faults.failures.extend([Status(503)] * 100)
            await here.follow()
            assert all_is_granted(here)

    asyncio.run(main())


def test_what_one_node_withholds_another_shows_and_no_grant_stops(database_url: str) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            follower = await here.follow()
            stakes_and_depth(here)
            here.faults.omit_log_in.add(1)
            await follower.turn()
            assert all_is_granted(here)
            assert here.books.standing().state == "following"
            second.omit_log_in.add(DEPTH + 3)
            here.faults.omit_log_in.add(DEPTH + 3)
            here.chain.mine(here.stake(ALICE, 4))
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert f"block {DEPTH + 3}" in (here.books.standing().reason or "")
            second.omit_log_in.clear()
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == 5 * CREDIT

    asyncio.run(main())


def test_a_node_that_lags_behind_the_books_is_passed_over(database_url: str) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, _):
            stakes_and_depth(here)
            follower = await here.follow()
            here.faults.lag_blocks = 3
            here.chain.mine(here.stake(ALICE, 4))
            here.chain.mine(here.stake(BOB, 4))
            await follower.turn()
            assert here.books.standing().indexed == here.chain.head.number
            assert here.books.standing().reason is None

    asyncio.run(main())


def test_what_one_node_has_shown_is_not_confirmed_by_the_finality_of_another(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            steps = pytest.MonkeyPatch()
            steps.setattr("daemon.watching.follower.STEPS_PER_TURN_MAX", 1)
            now = 0.0
            monkeypatch.setattr("daemon.chain.upstreams.monotonic", lambda: now)
            here.chain.mine_empty(2)
            second.branch = here.chain.branch  # the second node stays on this fork
            here.chain.mine(here.stake(BOB, 100))
            here.chain.mine_empty(3)
            here.chain.fork_from(2)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(6)
            here.chain.finalize(1)
            here.faults.failures.extend([Status(503)] * 1_000)
            follower = await here.follow(confirmation=Finalized(), span_max=1)
            while here.books.standing().confirmed < 1:
                await follower.turn()
            assert here.books.standing().indexed == 2  # the rest is read ahead, from the second
            here.faults.failures.clear()
            second.failures.extend([Status(503)] * 1_000)
            here.chain.finalize(6)
            now += REST_SECONDS_MAX
            steps.undo()
            await follower.turn()
            assert here.books.account(BOB).granted == 0
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


def test_another_node_is_asked_where_the_head_of_the_first_stands_still(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, _):
            follower = await here.follow()
            here.faults.lag_blocks = here.chain.head.number + 1
            here.faults.branch = here.chain.branch
            here.chain.fork_from(0)
            here.chain.mine(here.stake(ALICE, 1))
            await follower.turn()
            assert here.books.standing().indexed == 0  # not yet: blocks do not come every moment
            monkeypatch.setattr("daemon.watching.follower.STALE_SECONDS", 0)
            await follower.turn()
            assert here.books.standing().indexed == 1

    asyncio.run(main())


def test_nodes_that_disagree_about_a_final_block_halt_the_chain_until_they_agree(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            follower = await here.follow()
            trunk = here.chain.branch
            second.branch = here.chain.fork_from(0)
            here.chain.mine(here.stake(BOB, 2))
            here.chain.mine_empty(DEPTH)
            here.chain.switch_to(trunk)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            for _ in range(2):
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert "disagree about block" in (here.books.standing().reason or "")
                assert here.books.live_grants() == 0
            second.branch = None
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["halt", "reverse"])
def test_one_node_that_leaves_a_confirmed_block_alone_takes_nothing_back(
    database_url: str, mode: str
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            stakes_and_depth(here)
            follower = await here.follow(on_deep_reorg="reverse" if mode == "reverse" else "halt")
            assert all_is_granted(here)
            second.branch = here.chain.branch
            here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 5)  # the first node has another history
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert "disagree about block" in (here.books.standing().reason or "")
            assert all_is_granted(here)
            here.chain.switch_to(second.branch)
            await follower.turn()
            assert here.books.standing().state == "following"
            assert all_is_granted(here)

    asyncio.run(main())


def test_a_halted_chain_does_not_go_on_while_another_node_contradicts(database_url: str) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            stakes_and_depth(here)
            follower = await here.follow()
            trunk = here.chain.branch
            here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 5)
            await follower.turn()  # both have left the confirmed block
            assert here.books.standing().state == "halted"
            second.branch = here.chain.branch
            here.chain.switch_to(trunk)  # the first is back where it was, the second is not
            await follower.turn()
            assert here.books.standing().state == "halted"
            second.branch = None
            await follower.turn()
            assert here.books.standing().state == "following"

    asyncio.run(main())


def test_nothing_is_confirmed_before_so_many_nodes_have_it_as_are_to_agree(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            follower = await here.stand_by(here.settings(confirmation=Finalized(), agree=NODES))
            await follower.turn()
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.finalize(1)
            second.failures.extend([Status(503)] * 100)
            await follower.turn()
            assert here.books.account(ALICE).available == 0
            assert here.books.standing().state != "halted"
            second.failures.clear()
            second.lag_blocks = 1
            await follower.turn()
            assert here.books.account(ALICE).available == 0
            second.lag_blocks = 0
            await follower.turn()
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


async def nothing_known(_number: int) -> bytes | None:
    return None


def test_nothing_is_asked_of_nodes_below_the_first_block() -> None:
    async def main() -> None:
        async with Node("http://127.0.0.1:1") as first, Node("http://127.0.0.1:2") as second:
            upstreams, below = Upstreams([first, second], NODES), BlockRef(-1, bytes(32))
            await upstreams.require_agreement(first, below, nothing_known)

    asyncio.run(main())


def test_who_fails_rests_longer_each_time_and_is_forgiven_when_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("daemon.chain.upstreams.monotonic", lambda: now[0])
    first, second = Node("http://a"), Node("http://b")
    upstreams = Upstreams([first, second])
    assert upstreams.in_turn() == [first, second]
    rest = REST_SECONDS_MIN
    for _ in range(10):
        upstreams.failed(first, ValueError("no answer"))
        assert upstreams.in_turn() == [second, first]
        now[0] += rest - 0.5
        assert upstreams.in_turn() == [second, first]
        now[0] += 0.5
        assert upstreams.in_turn() == [first, second]
        rest = min(2 * rest, REST_SECONDS_MAX)
    upstreams.served(first)
    upstreams.failed(first, ValueError("again"))
    now[0] += REST_SECONDS_MIN
    assert upstreams.in_turn() == [first, second]


@pytest.mark.parametrize("agree", [0, 3])
def test_only_so_many_nodes_can_agree_as_there_are(agree: int) -> None:
    with pytest.raises(ValueError, match="cannot agree"):
        Upstreams([Node("http://a"), Node("http://b")], agree)


def test_who_takes_a_nodes_place_is_asked_for_all_that_the_other_has_shown(
    database_url: str,
) -> None:
    async def main() -> None:
        async with two_nodes(database_url) as (here, second):
            here.chain.mine_empty(FAR)
            shown_by_first = here.chain.branch
            second.branch = here.chain.fork_from(2)
            here.chain.mine_empty(FAR)
            here.chain.switch_to(shown_by_first)
            settings = here.settings(span_max=2)
            parting = here.chain.block(2).hash
            async with AsyncExitStack() as stack:
                nodes = [
                    await stack.enter_async_context(Node(url.reveal())) for url in settings.rpc_urls
                ]
                view = View(Upstreams(nodes), settings, frozenset())
                stack.push_async_callback(view.close)
                for node, branch in zip(nodes, (shown_by_first, second.branch), strict=True):
                    view.use(node)
                    sight = await view.sight(Position("syncing", None, 2, parting, 2, 2))
                    assert sight.head.hash == branch.blocks[-1].hash
                    found = await view.blocks(3, 4, until=sight.head.number)
                    assert [block.hash for block in found] == [
                        block.hash for block in branch.blocks[3:5]
                    ]

    asyncio.run(main())
