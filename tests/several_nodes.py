"""A chain that several nodes show, each with faults of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from fakechain import FakeChain
from fakenode import Faults, serve
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene

from daemon.chain.known_chains import Verify
from daemon.configuration.config import Chain
from daemon.watching.follower import Follower

AGREE = 2


@asynccontextmanager
async def nodes(database_url: str, count: int = 2) -> AsyncIterator[tuple[Scene, list[Faults]]]:
    """A chain that some nodes show, and the faults of each."""
    async with scene(database_url) as here, AsyncExitStack() as stack:
        faults = [here.faults, *(Faults() for _ in range(count - 1))]
        for each in faults[1:]:
            here.other_urls.append(await stack.enter_async_context(serve(here.chain, each)))
        yield here, faults


def stakes_and_depth(here: Scene) -> None:
    """Two stake, each in a block of its own, and are confirmed."""
    here.chain.mine(here.stake(ALICE, 1))
    here.chain.mine(here.stake(BOB, 2))
    here.chain.mine_empty(DEPTH)


def all_is_granted(here: Scene) -> bool:
    return here.books.account(ALICE).available == CREDIT and (
        here.books.account(BOB).available == 2 * CREDIT
    )


@asynccontextmanager
async def two_nodes(database_url: str) -> AsyncIterator[tuple[Scene, Faults]]:
    """A chain that two nodes show; the faults are those of the second."""
    async with nodes(database_url) as (here, faults):
        yield here, faults[1]


def unhashed(chain: FakeChain) -> None:
    """Let no header hash to its hash: each has a field that nobody here knows."""
    for block in chain.branch.blocks:
        block.header_json.update({"slotNumber": "0x1", "stateRoot": "0x" + "00" * 32})


def staked_deep(here: Scene) -> None:
    """Two stake in one block, and are confirmed."""
    here.chain.mine(here.stake(ALICE, 1), here.stake(BOB, 2))
    here.chain.mine_empty(DEPTH)


async def followed(here: Scene, chain: Chain) -> Follower:
    follower = await here.stand_by(chain)
    await follower.turn()
    return follower


def unproven(here: Scene, verify: Verify, *, agree: int = AGREE) -> Chain:
    """A chain whose blocks are believed once so many nodes agree."""
    return replace(here.settings(agree=agree), verify=verify)
