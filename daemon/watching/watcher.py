"""One step along one chain: the whole watcher on one screen.

History and tip take the same path, so there is no hand-over between them to lose an event in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from daemon.chain.reading import Block, BlockRef, Moved, Violated
from daemon.chain.upstreams import Disagreement, TooFewAgree
from daemon.configuration.config import Chain, Depth
from daemon.watching.earning import Followed, earnings_of
from daemon.watching.steps import (
    Confirm,
    Drop,
    Extend,
    Fork,
    Halt,
    Reverse,
    Wait,
    after_fork,
    next_step,
)
from daemon.watching.view import Sight, View
from ledger.errors import BrokenLink, SeenAlready
from ledger.watching import Position, SeenBlock, Watching

Step = Wait | Extend | Confirm | Drop | Reverse | Halt

# A fork is searched by halving: 2^32 blocks are more than can be remembered or pending.
SEARCH_STEPS_MAX: Final = 32

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Followings:
    """A chain's settings and its sources as the books know them."""

    chain: Chain
    followed: tuple[Followed, ...]


async def advance(view: View, watching: Watching, followings: Followings) -> Step:
    """Take one step along a chain and return what was done.

    Safe to run again after any crash: whatever is written is one transaction. A chain that moves
    while it is read is tried again by the next step; nodes that contradict each other, or the
    books, halt it. Raises Violated and Unprovable for evidence that does not hold: another node
    may have it; and NodeUnavailable and NodeRefused.
    """
    chain, position = followings.chain, await watching.position()
    try:
        sight = await view.sight(position)
        step = await _decide(view, watching, chain, sight)
        await _do(step, view, watching, followings, sight)
    except (Moved, TooFewAgree) as error:
        view.look_again()
        return Wait(str(error))
    except SeenAlready as error:
        # A transaction is in one block of a chain; its hash is the node's word alone.
        raise Violated(None, str(error)) from error
    except (BrokenLink, Disagreement) as error:
        view.look_again()
        step = Halt(str(error))
        await halt(watching, chain, step)
    return step


async def _decide(view: View, watching: Watching, chain: Chain, sight: Sight) -> Step:
    step = next_step(
        sight.position,
        head_number=sight.head.number,
        final_number=sight.final.number,
        node_hash=sight.node_hash,
        books_hash=await _books_hash(watching, sight),
        span_max=chain.span_max,
    )
    if not isinstance(step, Fork):
        return step
    view.look_again()
    ancestor = await _common_ancestor(view, watching, step.number)
    shown, reverses = None, chain.on_deep_reorg == "reverse"
    if ancestor is None or ancestor < sight.position.granted_number:
        shown = await _require_left(view, watching, sight.position.granted_number, ancestor)
        # A fork that does not reach the confirmed block is one that nobody can be asked about yet.
        reverses = shown is not None and (
            reverses or await _is_accepted(view, watching, sight.position, ancestor, shown)
        )
    return after_fork(
        sight.position, ancestor, reverses=reverses, other_hash=shown, name=chain.name
    )


async def _require_left(
    view: View, watching: Watching, granted_number: int, ancestor: int | None
) -> bytes | None:
    """Require that the node has left the confirmed blocks for good, and no other shows them still.

    Returns what the node shows at the last of them, None if it has no such block. Raises Moved
    where it has come back meanwhile.
    """

    async def left_for(number: int) -> bytes | None:
        if ancestor is not None and number <= ancestor:
            return None
        shown = await view.hash_at(number)
        if shown is None or shown == await watching.hash_at(number):
            raise Moved(f"the node shows no other block {number} than the books any more")
        return shown

    shown = await view.hash_at(granted_number)
    if granted_number >= 0 and shown == await watching.hash_at(granted_number):
        raise Moved(f"the node shows the confirmed block {granted_number} again")
    if shown is not None:
        await view.require_agreement(BlockRef(granted_number, shown), left_for)
    return shown


async def _is_accepted(
    view: View, watching: Watching, position: Position, ancestor: int | None, shown: bytes | None
) -> bool:
    """Return whether an operator accepted the block that stands where the confirmed one was.

    If so, the node must show it linked to the last block that both have, or Moved is raised.
    """
    if ancestor is None or shown is None or shown not in position.accepted:
        return False
    parting = BlockRef(ancestor, await _known(watching, ancestor))
    await view.require_linked(parting, BlockRef(position.granted_number, shown))
    log.warning("accepted reorg", to=ancestor, number=position.granted_number, hash=shown.hex())
    return True


async def _books_hash(watching: Watching, sight: Sight) -> bytes | None:
    if sight.shared == sight.position.indexed_number:
        return sight.position.indexed_hash
    return await watching.hash_at(sight.shared)


async def _do(
    step: Step, view: View, watching: Watching, followings: Followings, sight: Sight
) -> None:
    chain, position = followings.chain, sight.position
    halted = position.state == "halted"
    match step:
        case Extend(first, last):
            blocks = await view.blocks(first, last, until=sight.head.number)
            await _extend(view, watching, followings, sight, blocks)
        case Confirm(number):
            await _confirm(view, watching, chain, sight, number)
        case Drop(to_number):
            dropped = await watching.drop(to_number)
            depth = position.indexed_number - to_number
            log.warning("reorg", chain=chain.name, to=to_number, depth=depth, dropped=dropped)
        case Reverse(to_number):
            await _require_branch(view, watching, to_number)
            count = await watching.reverse(to_number)
            depth = position.indexed_number - to_number
            log.error("deep reorg", chain=chain.name, to=to_number, depth=depth, reversed=count)
        case Halt():
            await halt(watching, chain, step)
        case Wait(_, agrees):
            if halted and agrees:
                await view.require_agreement(await _confirmed(watching, position), watching.hash_at)
                await watching.resume()
            await watching.see_head(sight.head.number)


async def _confirmed(watching: Watching, position: Position) -> BlockRef:
    number = position.granted_number
    return BlockRef(number, await _known(watching, number))


async def _known(watching: Watching, number: int) -> bytes:
    found = await watching.hash_at(number)
    if found is None:
        raise Moved(f"block {number} is not in the books any more")
    return found


async def _extend(
    view: View,
    watching: Watching,
    followings: Followings,
    sight: Sight,
    blocks: Sequence[Block],
) -> None:
    if not blocks or blocks[0].parent != sight.position.indexed_hash:
        raise Moved(f"block {sight.position.indexed_number} has another block on top now")
    chain, last = followings.chain, blocks[-1].number
    earnings = earnings_of(blocks, followings.followed, followings.chain.waits)
    is_far = last < sight.head.number and sight.position.state != "halted"
    number = _final_after(chain, sight, last)
    if is_far:  # these blocks are on top of those in the books, but not among them yet
        number = min(number, sight.position.indexed_number)
    confirm = await _to_confirm(view, watching, sight, number, blocks)
    append = partial(
        watching.append,
        head_number=sight.head.number,
        blocks=[SeenBlock(block.number, block.hash, block.parent, block.time) for block in blocks],
        events=earnings.events,
        set_aside=earnings.set_aside,
        remember=chain.blocks_remembered,
    )
    if is_far:
        confirmed = await _append_and_confirm(
            watching, chain, partial(append, confirm=None), confirm
        )
    else:
        confirmed = await append(confirm=confirm, resume=_resumes(sight, confirm))
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


async def _append_and_confirm(
    watching: Watching,
    chain: Chain,
    append: Callable[[], Awaitable[int]],
    confirm: tuple[int, bytes] | None,
) -> int:
    """Append blocks and, beside it, confirm what the books have already: two transactions at once.

    Far behind the head this is what takes the time. Returns how many events were confirmed.
    """
    appended = asyncio.Event()

    async def appending() -> int:
        try:
            return await append()
        finally:
            appended.set()

    async def confirming() -> int:
        if confirm is None:
            return 0
        return await watching.confirm(
            confirm, remember=chain.blocks_remembered, until=appended.is_set
        )

    return (await side_by_side(appending(), confirming()))[1]


async def side_by_side(
    one: Coroutine[object, object, int], other: Coroutine[object, object, int]
) -> tuple[int, int]:
    """Return what both return. Neither is left behind: whichever fails, the other ends first."""
    done = await asyncio.gather(one, other, return_exceptions=True)
    first, second = done
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


def _final_after(chain: Chain, sight: Sight, last: int) -> int:
    """Return the height that may be confirmed in the step that reads up to block `last`."""
    # Only blocks that were read count as being on top: the head may be of another fork.
    on_top = chain.confirmation.blocks if isinstance(chain.confirmation, Depth) else 0
    bound = sight.position.confirmed_number + chain.span_max
    return min(sight.final.number, last - on_top, bound)


async def _to_confirm(
    view: View, watching: Watching, sight: Sight, number: int, blocks: Sequence[Block] = ()
) -> tuple[int, bytes] | None:
    """Return number and hash of the block to confirm up to, None if that is done already.

    `blocks` are about to follow the last one in the books. No node contradicts it.
    """
    just_read = {block.number: block.hash for block in blocks}
    last = max(just_read, default=sight.position.indexed_number)
    final, confirmed = sight.final, sight.position.confirmed_number

    async def shown(number: int) -> bytes | None:
        return just_read.get(number) or await watching.hash_at(number)

    async def known(number: int) -> bytes:
        return just_read.get(number) or await _known(watching, number)

    # The head and the final block may come from two nodes, on two forks.
    comparable = final.hash is not None and confirmed < final.number <= last
    if comparable and await known(final.number) != final.hash:
        raise Violated(final.number, "the node calls another block final than its chain has there")
    if number <= confirmed:
        return None
    block = await known(number)
    await view.require_agreement(BlockRef(number, block), shown)
    return number, block


def _resumes(sight: Sight, confirm: tuple[int, bytes] | None) -> bool:
    """Return whether a halted chain goes on: once there is a block that nobody contradicts."""
    return sight.position.state == "halted" and confirm is not None


async def _confirm(view: View, watching: Watching, chain: Chain, sight: Sight, number: int) -> None:
    confirm = await _to_confirm(view, watching, sight, number)
    confirmed = await watching.append(
        head_number=sight.head.number,
        blocks=[],
        events=[],
        set_aside=[],
        confirm=confirm,
        remember=chain.blocks_remembered,
        resume=_resumes(sight, confirm),
    )
    log.info("confirmed", chain=chain.name, number=number, events=confirmed)


async def _common_ancestor(view: View, watching: Watching, fork: int) -> int | None:
    """Return the last height below `fork` where node and books agree, if one is remembered.

    Two chains that agree at a height agree below it, so halving finds where they part. The parent
    of block 0 is no block: who agrees on it alone is on another chain.
    """
    low, high = await watching.oldest_remembered(), fork
    if not await _agree(view, watching, low):
        return None
    for _ in range(SEARCH_STEPS_MAX):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        if await _agree(view, watching, middle):
            low = middle
        else:
            high = middle
    return low if low >= 0 else None


async def _agree(view: View, watching: Watching, number: int) -> bool:
    shown, known = await view.hash_at(number), await watching.hash_at(number)
    if shown is None or known is None:
        raise Moved(f"block {number} is not to be had just now")
    return shown == known


async def _require_branch(view: View, watching: Watching, ancestor: int) -> None:
    """Require the node to show, linked and hashed, another block on top of the ancestor.

    A hash that a node merely names is no reason to take grants back.
    """
    branch = await view.block(ancestor + 1)
    on_ancestor = branch.parent == await watching.hash_at(ancestor)
    if not on_ancestor or branch.hash == await watching.hash_at(ancestor + 1):
        raise Moved(f"the node shows no other block on top of {ancestor} any more")


async def halt(watching: Watching, chain: Chain, step: Halt) -> None:
    """Halt a chain's grants, and say so once; again, it says that the watcher is alive."""
    before = await watching.position()
    await watching.halt(step.reason, step.ancestor, step.other_hash)
    if (before.state, before.reason) != ("halted", step.reason):
        log.error("halted", chain=chain.name, reason=step.reason)
