"""One step along one chain: the whole watcher on one screen.

History and tip take the same path, so there is no hand-over between them to lose an event in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import structlog

from daemon.config import Chain, Depth
from daemon.earning import Followed, earnings_of
from daemon.reading import (
    BLOCKS_PER_READ_MAX,
    Block,
    BlockRef,
    Moved,
    Unprovable,
    Violated,
    read_blocks,
    read_finalized,
    read_hash,
    read_head,
)
from daemon.rpc import Node
from daemon.steps import (
    Confirm,
    Drop,
    Extend,
    Fork,
    Halt,
    Reverse,
    Wait,
    after_fork,
    next_step,
    shared_height,
)
from ledger.errors import BrokenLink
from ledger.watching import GENESIS_PARENT, Position, SeenBlock, Watching

Step = Wait | Extend | Confirm | Drop | Reverse | Halt

# A fork is searched by halving: 2^32 blocks are more than can be remembered or pending.
SEARCH_STEPS_MAX: Final = 32
# A step is one transaction, and holds the accounts it grants to until it commits: charges wait.
LOGS_PER_STEP_MAX: Final = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Followings:
    """A chain's settings and its sources as the books know them."""

    chain: Chain
    followed: tuple[Followed, ...]

    @property
    def contracts(self) -> frozenset[bytes]:
        """The addresses whose logs are read."""
        return frozenset(each.source.contract for each in self.followed)


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """The greatest height that is final; `hash` is None where depth decides, not the node."""

    number: int
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one step goes by: the node's head and final block, and where the books stand."""

    head: BlockRef
    final: FinalBlock
    position: Position


async def advance(node: Node, watching: Watching, followings: Followings) -> Step:
    """Take one step along a chain and return what was done.

    Safe to run again after any crash: whatever is written is one transaction. A chain that moves
    while it is read is tried again by the next step; evidence that does not hold halts the chain.
    """
    chain, position = followings.chain, await watching.position()
    try:
        head = await read_head(node)
        sight = Sight(head, await final_block(node, chain, head), position)
        step = await _decide(node, watching, chain, sight)
        await _do(step, node, watching, followings, sight)
    except Moved as moved:
        return Wait(str(moved))
    except (Violated, Unprovable, BrokenLink) as error:
        step = Halt(str(error))
        await _halt(watching, chain, position, step)
    return step


async def _decide(node: Node, watching: Watching, chain: Chain, sight: Sight) -> Step:
    shared = shared_height(sight.position, sight.head.number)
    step = next_step(
        sight.position,
        head_number=sight.head.number,
        final_number=sight.final.number,
        node_hash=await _node_hash(node, shared),
        books_hash=await watching.hash_at(shared),
        span_max=min(chain.span_max, BLOCKS_PER_READ_MAX),
    )
    if not isinstance(step, Fork):
        return step
    ancestor = await _common_ancestor(node, watching, step.number)
    return after_fork(sight.position, ancestor, chain.on_deep_reorg)


async def _do(
    step: Step, node: Node, watching: Watching, followings: Followings, sight: Sight
) -> None:
    chain, position = followings.chain, sight.position
    halted = position.state == "halted"
    match step:
        case Extend(first, last):
            blocks = await read_blocks(node, first, last, followings.contracts)
            await _extend(watching, followings, sight, fitting(blocks))
        case Confirm(number):
            await _confirm(watching, chain, sight, number)
        case Drop(to_number):
            dropped = await watching.drop(to_number)
            depth = position.indexed_number - to_number
            log.warning("reorg", chain=chain.name, to=to_number, depth=depth, dropped=dropped)
        case Reverse(to_number):
            await _require_branch(node, watching, to_number)
            count = await watching.reverse(to_number)
            depth = position.indexed_number - to_number
            log.error("deep reorg", chain=chain.name, to=to_number, depth=depth, reversed=count)
        case Halt():
            await _halt(watching, chain, position, step)
        case Wait(_, agrees):
            if halted and agrees:
                await watching.resume()
            await watching.see_head(sight.head.number)


def fitting(blocks: Sequence[Block]) -> Sequence[Block]:
    """Return as many of the blocks, one at least, as have no more logs than one step may write."""
    logs = accumulate(len(block.logs) for block in blocks)
    count = sum(so_far <= LOGS_PER_STEP_MAX for so_far in logs)
    return blocks[: max(1, count)]


async def _extend(
    watching: Watching, followings: Followings, sight: Sight, blocks: Sequence[Block]
) -> None:
    if not blocks or blocks[0].parent != sight.position.indexed_hash:
        raise Moved(f"block {sight.position.indexed_number} has another block on top now")
    chain, last = followings.chain, blocks[-1].number
    earnings = earnings_of(blocks, followings.followed)
    confirmed = await watching.append(
        head_number=sight.head.number,
        blocks=[SeenBlock(block.number, block.hash, block.parent, block.time) for block in blocks],
        events=earnings.events,
        set_aside=earnings.set_aside,
        confirm=await _to_confirm(watching, sight, _final_after(chain, sight, last), blocks),
        remember=chain.blocks_remembered,
        resume=sight.position.state == "halted",
    )
    for aside in earnings.set_aside:
        log.error("log set aside", chain=chain.name, block=aside.block_number, reason=aside.reason)
    log.info(
        "read",
        chain=chain.name,
        first=blocks[0].number,
        last=last,
        head=sight.head.number,
        events=len(earnings.events),
        confirmed=confirmed,
    )


def _final_after(chain: Chain, sight: Sight, last: int) -> int:
    """Return the height that may be confirmed in the step that reads up to block `last`."""
    # Only blocks that were read count as being on top: the head may be of another fork.
    on_top = chain.confirmation.blocks if isinstance(chain.confirmation, Depth) else 0
    bound = sight.position.confirmed_number + chain.span_max
    return min(sight.final.number, last - on_top, bound)


async def _to_confirm(
    watching: Watching, sight: Sight, number: int, blocks: Sequence[Block] = ()
) -> tuple[int, bytes] | None:
    """Return number and hash of the block to confirm up to, None if that is done already.

    `blocks` are about to follow the last one in the books.
    """
    just_read = {block.number: block.hash for block in blocks}
    last = max(just_read, default=sight.position.indexed_number)
    final, confirmed = sight.final, sight.position.confirmed_number

    async def known(number: int) -> bytes:
        found = just_read.get(number) or await watching.hash_at(number)
        if found is None:
            raise Moved(f"block {number} is not in the books any more")
        return found

    # The head and the final block may come from two nodes, on two forks.
    comparable = final.hash is not None and confirmed < final.number <= last
    if comparable and await known(final.number) != final.hash:
        raise Violated(final.number, "the node calls another block final than its chain has there")
    return (number, await known(number)) if number > confirmed else None


async def _confirm(watching: Watching, chain: Chain, sight: Sight, number: int) -> None:
    confirmed = await watching.append(
        head_number=sight.head.number,
        blocks=[],
        events=[],
        set_aside=[],
        confirm=await _to_confirm(watching, sight, number),
        remember=chain.blocks_remembered,
        resume=sight.position.state == "halted",
    )
    log.info("confirmed", chain=chain.name, number=number, events=confirmed)


async def final_block(node: Node, chain: Chain, head: BlockRef) -> FinalBlock:
    """Return the last block that is final by the chain's rule."""
    if isinstance(chain.confirmation, Depth):
        # Head 107, depth 3: 104 has three blocks on top (105, 106, 107).
        return FinalBlock(head.number - chain.confirmation.blocks)
    finalized = await read_finalized(node)
    return FinalBlock(finalized.number, finalized.hash)


async def _node_hash(node: Node, number: int) -> bytes | None:
    return GENESIS_PARENT if number < 0 else await read_hash(node, number)


async def _common_ancestor(node: Node, watching: Watching, fork: int) -> int | None:
    """Return the last height below `fork` where node and books agree, if one is remembered.

    Two chains that agree at a height agree below it, so halving finds where they part. The parent
    of block 0 is no block: who agrees on it alone is on another chain.
    """
    low, high = await watching.oldest_remembered(), fork
    if not await _agree(node, watching, low):
        return None
    for _ in range(SEARCH_STEPS_MAX):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        if await _agree(node, watching, middle):
            low = middle
        else:
            high = middle
    return low if low >= 0 else None


async def _agree(node: Node, watching: Watching, number: int) -> bool:
    shown, known = await _node_hash(node, number), await watching.hash_at(number)
    if shown is None or known is None:
        raise Moved(f"block {number} is not to be had just now")
    return shown == known


async def _require_branch(node: Node, watching: Watching, ancestor: int) -> None:
    """Require the node to show, linked and hashed, another block on top of the ancestor.

    A hash that a node merely names is no reason to take grants back.
    """
    branch = await read_blocks(node, ancestor + 1, ancestor + 1, frozenset())
    on_ancestor = branch and branch[0].parent == await watching.hash_at(ancestor)
    if not on_ancestor or branch[0].hash == await watching.hash_at(ancestor + 1):
        raise Moved(f"the node shows no other block on top of {ancestor} any more")


async def _halt(watching: Watching, chain: Chain, position: Position, halt: Halt) -> None:
    await watching.halt(halt.reason)  # again, too: it says that the watcher is alive
    if (position.state, position.reason) != ("halted", halt.reason):
        log.error("halted", chain=chain.name, reason=halt.reason)
