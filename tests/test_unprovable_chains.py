"""Chains whose blocks do not recompute: as many nodes as are to agree stand in for the proof."""

import asyncio

import pytest
from fakechain import FakeChain
from fakenode import Status
from scene import ALICE, BOB, CREDIT, DEPTH, Scene
from several_nodes import AGREE, followed, nodes, staked_deep, unhashed, unproven

from daemon.chain.known_chains import Verify

POLYGON = 137  # where it is not known whether blocks recompute


def unrooted(chain: FakeChain) -> None:
    """Let no receipts have the root of their block, as if a transaction were not listed."""
    for block in chain.branch.blocks:
        for receipt in block.receipts_json:
            receipt["cumulativeGasUsed"] = "0x1"


def of_unknown_type(chain: FakeChain) -> None:
    """Let receipts be of a type that is encoded in its own way."""
    for block in chain.branch.blocks:
        for receipt in block.receipts_json:
            receipt["type"] = "0x7b"


def granted(here: Scene) -> tuple[int, int]:
    return here.books.account(ALICE).available, here.books.account(BOB).available


def reason(here: Scene) -> str:
    return here.books.standing().reason or ""


@pytest.mark.parametrize("verify", ["all", "bloom", "found", "off"])
def test_what_two_nodes_say_alike_is_granted(database_url: str, verify: Verify) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            staked_deep(here)
            unhashed(here.chain)
            follower = await followed(here, unproven(here, verify))
            assert granted(here) == (CREDIT, 2 * CREDIT)
            here.chain.mine(here.stake(ALICE, 4))
            here.chain.mine_empty(DEPTH)
            unhashed(here.chain)
            await follower.turn()
            assert granted(here) == (5 * CREDIT, 2 * CREDIT)
            assert here.books.standing().state == "following"

    asyncio.run(main())


@pytest.mark.parametrize("verify", ["all", "bloom", "found"])
def test_a_node_alone_is_not_believed_and_the_chain_halts_with_the_remedy(
    database_url: str, verify: Verify
) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            follower = await followed(here, unproven(here, verify, agree=1))
            staked_deep(here)
            unhashed(here.chain)
            await follower.turn()
            assert granted(here) == (0, 0)
            assert here.books.standing().state == "halted"
            assert "list another one, and set agree = 2" in reason(here)

    asyncio.run(main())


@pytest.mark.parametrize("agree", [1, AGREE])
@pytest.mark.parametrize("verify", ["all", "bloom", "found"])
def test_receipts_of_an_unknown_type_are_a_matter_of_agreement_too(
    database_url: str, verify: Verify, agree: int
) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            staked_deep(here)
            of_unknown_type(here.chain)
            await followed(here, unproven(here, verify, agree=agree))
            if agree == AGREE:
                assert granted(here) == (CREDIT, 2 * CREDIT)
                return
            assert granted(here) == (0, 0)
            assert here.books.standing().state == "halted"
            assert "unknown type 123" in reason(here)
            assert "list another one, and set agree = 2" in reason(here)

    asyncio.run(main())


def test_where_a_chain_can_be_proven_agreement_is_not_enough(database_url: str) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            follower = await followed(here, unproven(here, "bloom"))
            staked_deep(here)
            unrooted(here.chain)
            await follower.turn()
            assert granted(here) == (0, 0)
            assert here.books.standing().state == "halted"
            assert "do not have the root" in reason(here)

    asyncio.run(main())


def test_where_it_is_not_known_whether_blocks_recompute_agreement_is_enough(
    database_url: str,
) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, faults):
            here.chain.chain_id = POLYGON
            staked_deep(here)
            unrooted(here.chain)
            await followed(here, unproven(here, "bloom"))
            assert here.books.live_grants() == 3 * CREDIT
            assert all(each.calls["eth_getLogs"] for each in faults)

    asyncio.run(main())


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("verify", ["bloom", "off"])
def test_a_node_that_leaves_a_log_out_halts_a_chain_that_two_show(
    database_url: str, verify: Verify, liar: int
) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, faults):
            staked_deep(here)
            unhashed(here.chain)
            faults[liar].logs.change = lambda _: []
            follower = await followed(here, unproven(here, verify))
            assert granted(here) == (0, 0)
            assert here.books.standing().state == "halted"
            assert "the nodes disagree about block 1" in reason(here)
            faults[liar].logs.change = None
            await follower.turn()
            assert granted(here) == (CREDIT, 2 * CREDIT)
            assert here.books.standing().state == "following"

    asyncio.run(main())


def test_a_liar_among_three_nodes_does_not_stop_the_two_that_agree(database_url: str) -> None:
    async def main() -> None:
        async with nodes(database_url, 3) as (here, faults):
            staked_deep(here)
            unhashed(here.chain)
            faults[1].logs.change = lambda _: []
            await followed(here, unproven(here, "off"))
            assert granted(here) == (CREDIT, 2 * CREDIT)

    asyncio.run(main())


def test_a_second_node_that_is_down_or_behind_is_waited_for(database_url: str) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, faults):
            follower = await followed(here, unproven(here, "off"))
            staked_deep(here)
            unhashed(here.chain)
            faults[1].failures.extend([Status(503)] * 100)
            await follower.turn()
            assert granted(here) == (0, 0)
            assert here.books.standing().state != "halted"
            faults[1].failures.clear()
            faults[1].lag_blocks = DEPTH + 1
            await follower.turn()
            assert granted(here) == (0, 0)
            faults[1].lag_blocks = 0
            await follower.turn()
            assert granted(here) == (CREDIT, 2 * CREDIT)

    asyncio.run(main())


def test_a_second_node_on_another_fork_is_waited_for(database_url: str) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, faults):
            trunk = here.chain.branch
            faults[1].branch = here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 1)
            here.chain.switch_to(trunk)
            staked_deep(here)
            unhashed(here.chain)
            follower = await followed(here, unproven(here, "off"))
            assert granted(here) == (0, 0)
            assert here.books.standing().indexed < 1
            faults[1].branch = None
            await follower.turn()
            assert granted(here) == (CREDIT, 2 * CREDIT)

    asyncio.run(main())


@pytest.mark.parametrize("verify", ["bloom", "off"])
def test_a_reorg_of_what_cannot_be_proven_is_followed(database_url: str, verify: Verify) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            here.chain.mine_empty(4)
            unhashed(here.chain)
            follower = await followed(here, unproven(here, verify))
            here.chain.mine(here.stake(ALICE, 1))
            unhashed(here.chain)
            await follower.turn()
            here.chain.fork_from(4)
            here.chain.mine(here.stake(BOB, 2))
            here.chain.mine_empty(DEPTH)
            unhashed(here.chain)
            await follower.turn()
            assert granted(here) == (0, 2 * CREDIT)

    asyncio.run(main())
