"""Reading a chain through a node that is not trusted.

There is one fetch, `read_blocks`, for history and for the tip alike, and it gives proven blocks or
none. Besides the errors named here, every function raises NodeUnavailable and NodeRefused as
`daemon.chain.rpc.Node` does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from contracts.logs import Log
from contracts.rewards import Reward
from daemon.chain.evidence import (
    Header,
    Kind,
    Moved,
    Unprovable,
    Violated,
    Watched,
    bloom_masks,
    has_receipts,
    log_kinds,
    may_have_logs,
    prove_header,
    prove_logs,
    quantity,
    reward_kinds,
)
from daemon.chain.found_logs import Found, find_logs
from daemon.chain.hearsay import believe_header, believe_logs
from daemon.chain.known_chains import VERIFY_USUAL, Trust, Verify
from daemon.chain.receipts import read_receipts, receipts_batches
from daemon.chain.rewards import read_rewards
from daemon.chain.rpc import RATE_LIMITED_CODES, Node, NodeRefused
from daemon.chain.unfit import Unfit

__all__ = [
    "BLOCKS_PER_READ_MAX",
    "Block",
    "BlockRef",
    "Moved",
    "Tip",
    "Trust",
    "Unprovable",
    "UnsupportedTag",
    "Violated",
    "read_blocks",
    "read_chain_id",
    "read_finalized",
    "read_genesis",
    "read_hash",
    "read_head",
    "read_header",
    "read_tip",
    "require_linked",
]

# They are held in memory until their events are in the books, and read again if that fails.
BLOCKS_PER_READ_MAX: Final = 1_000
# A block with logs takes some tenths of a millisecond to prove, a full one several: whatever else
# the process does gets its turn in between.
PROOFS_PER_TURN: Final = 10


class UnsupportedTag(Unfit):
    """The node has no block under the tag `finalized`.

    Either its chain has no such finality (then the chain needs a depth), or it is still starting.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the node has no finalized block: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by number and hash."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A proven block: all its logs and rewards of the watched kinds, in order.

    `time` is in unix seconds.
    """

    number: int
    hash: bytes
    parent: bytes
    time: int
    logs: tuple[Log, ...]
    rewards: tuple[Reward, ...] = ()

    @property
    def size(self) -> int:
        """How many logs and rewards it has."""
        return len(self.logs) + len(self.rewards)


@dataclass(frozen=True, slots=True)
class Tip:
    """What a node says of its chain at one moment.

    `finalized` is None where it was not asked for; `hashes` are those of the blocks at the heights
    asked for, None where the node has no such block (yet).
    """

    head: BlockRef
    finalized: BlockRef | None
    hashes: tuple[bytes | None, ...]


async def read_chain_id(node: Node) -> int:
    """Return the chain id the node names (EIP-155). Raises Violated where it names none."""
    return quantity(await node.call("eth_chainId"), "eth_chainId")


async def read_genesis(node: Node, trust: Trust = "proof") -> bytes:
    """Return the hash of block 0: with the chain id, it is which chain this is.

    Raises Violated or Unprovable as `read_blocks` does.
    """
    genesis = await read_hash(node, 0, trust)
    if genesis is None:
        raise Violated(0, "the node does not have it")
    return genesis


async def read_tip(
    node: Node, chain_id: int, heights: Sequence[int], *, finalized: bool, trust: Trust = "proof"
) -> Tip:
    """Return head, final block and the hashes at `heights` (at least 0), in one round trip.

    All of it is of one node, but a batch is no snapshot: its chain may move in between. Raises
    Violated, too, where the node is on another chain than `chain_id`; UnsupportedTag as
    `read_finalized` does, and Moved where the node has no block at all.
    """
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("eth_chainId", ()),
        *(("eth_getBlockByNumber", (hex(height), False)) for height in heights),
        ("eth_getBlockByNumber", ("latest", False)),
    ]
    if finalized:
        calls.append(("eth_getBlockByNumber", ("finalized", False)))
    try:
        chain, *answers = await node.batch(calls)
    except NodeRefused:
        if finalized:
            await read_finalized(node, trust)  # says so, if that was it
        raise
    latest, *final = answers[len(heights) :]
    found = quantity(chain, "eth_chainId")
    if found != chain_id:
        raise Violated(None, f"the node is on chain {found}, and was on chain {chain_id}")
    return Tip(
        head=_latest(latest, trust),
        finalized=_finalized(final[0], trust) if finalized else None,
        hashes=tuple(
            None if answer is None else header_of(answer, height, trust).hash
            for height, answer in zip(heights, answers, strict=False)
        ),
    )


async def read_head(node: Node, trust: Trust = "proof") -> BlockRef:
    """Return the last block the node knows; another node may know more or fewer.

    Raises Violated or Unprovable as `read_blocks` does.
    """
    return _latest(await node.call("eth_getBlockByNumber", "latest", False), trust)


async def read_finalized(node: Node, trust: Trust = "proof") -> BlockRef:
    """Return the last block that the node's consensus calls final.

    Raises UnsupportedTag where the node answers that it has none, and Violated or Unprovable as
    `read_blocks` does. No other block ever stands in for it.
    """
    try:
        answer = await node.call("eth_getBlockByNumber", "finalized", False)
    except NodeRefused as refusal:
        if refusal.code in RATE_LIMITED_CODES:
            raise
        raise UnsupportedTag(refusal.message) from refusal
    return _finalized(answer, trust)


async def read_hash(node: Node, number: int, trust: Trust = "proof") -> bytes | None:
    """Return the hash of the canonical block with the number; None where the node has none (yet).

    Raises Violated or Unprovable as `read_blocks` does.
    """
    header = await read_header(node, number, trust)
    return None if header is None else header.hash


async def read_header(node: Node, number: int, trust: Trust = "proof") -> Header | None:
    """Return the header of the canonical block with the number; None where there is none (yet).

    Raises Violated or Unprovable as `read_blocks` does.
    """
    answer = await node.call("eth_getBlockByNumber", hex(number), False)
    return None if answer is None else header_of(answer, number, trust)


async def read_blocks(
    node: Node,
    first: int,
    last: int,
    watched: Watched,
    *,
    verify: Verify = VERIFY_USUAL,
    logs_max: int | None = None,
) -> list[Block]:
    """Return blocks `first` to `last`, both included, each linked to the one before.

    With `logs_max` it ends before `last`, but not before one block, once so many logs are found.

    Every block comes with as much evidence as `verify` asks for: its header hashes to its hash
    (not with "off"), and all its receipts were read and have the root that the header names, or
    - with "bloom" - its bloom excludes every watched kind of log, or - with "found" - the node
    finds no such log in it. Rewards are those that the header commits to. With "off" nothing is
    proven. Whether these blocks are the canonical ones, only the node says.

    Raises Violated where something does not recompute or contradicts itself, Unprovable where it
    cannot be recomputed, Moved where blocks are missing or do not link, and ValueError for an
    empty range or one of more than BLOCKS_PER_READ_MAX blocks.
    """
    if not 0 <= first <= last < first + BLOCKS_PER_READ_MAX:
        raise ValueError(
            f"blocks {first} to {last} are not a range of 1 to {BLOCKS_PER_READ_MAX} blocks"
        )
    proven = verify != "off"
    shown = await _read_headers(node, first, last, "proof" if proven else "word")
    rewards = await read_rewards(node, shown, reward_kinds(watched), proven=proven)
    headers = [header for header, _ in shown]
    del shown  # megabytes of JSON
    read = await _read_logs(node, headers, log_kinds(watched), verify, logs_max)
    return [
        Block(
            header.number,
            header.hash,
            header.parent,
            header.time,
            logs,
            rewards.get(header.hash, ()),
        )
        for header, logs in read
    ]


async def _read_logs(
    node: Node,
    headers: Sequence[Header],
    kinds: frozenset[Kind],
    verify: Verify,
    logs_max: int | None,
) -> list[tuple[Header, tuple[Log, ...]]]:
    """Return blocks with their logs of some kinds, as many of the first of them as are to be."""
    masks = bloom_masks(kinds)
    suspects, found = await _suspects(node, headers, masks, verify)
    logs: dict[bytes, tuple[Log, ...]] = {}
    count = 0
    for part in receipts_batches(suspects):
        if logs_max is not None and count >= logs_max:
            headers = headers[: headers.index(part[0])]
            break
        for header, receipts in zip(part, await read_receipts(node, part), strict=True):
            if verify == "off":
                logs[header.hash] = believe_logs(header, receipts, kinds)
            else:
                logs[header.hash] = prove_logs(header, receipts, masks)
            found.require_all_in(header, logs[header.hash])
            count += len(logs[header.hash])
            if len(logs) % PROOFS_PER_TURN == 0:
                await asyncio.sleep(0)
    return [(header, logs.get(header.hash, ())) for header in headers]


async def _suspects(
    node: Node, headers: Sequence[Header], masks: Mapping[Kind, int], verify: Verify
) -> tuple[list[Header], Found]:
    """Return the blocks whose receipts are to be read, and what the node finds in them."""
    match verify:
        case "all":
            return [header for header in headers if masks and has_receipts(header)], Found()
        case "bloom":
            return [header for header in headers if may_have_logs(header, masks)], Found()
        case "found" | "off":
            found = await find_logs(node, headers, masks, proven=verify == "found")
            return [header for header in headers if found.is_suspect(header)], found


async def require_linked(
    node: Node, ancestor: BlockRef, block: BlockRef, trust: Trust = "proof"
) -> None:
    """Require the node to show headers from above the ancestor up to the block.

    Each hashes to its hash and names the one before as its parent. Raises Moved otherwise, and as
    `read_blocks` does.
    """
    last = ancestor.hash
    for first in range(ancestor.number + 1, block.number + 1, BLOCKS_PER_READ_MAX):
        until = min(block.number, first + BLOCKS_PER_READ_MAX - 1)
        headers = [header for header, _ in await _read_headers(node, first, until, trust)]
        if headers[0].parent != last:
            raise Moved(f"block {first} does not follow the block {first - 1} of the books")
        last = headers[-1].hash
    if last != block.hash:
        raise Moved(f"the node shows another block {block.number} than a moment ago")


def header_of(answer: object, asked_number: int | None, trust: Trust) -> Header:
    """Return the header of a block answered as JSON, proven as far as it is to be."""
    if trust == "word":
        return believe_header(answer, asked_number)
    try:
        return prove_header(answer, asked_number)
    except Unprovable:
        if trust == "proof":
            raise
        return believe_header(answer, asked_number)


async def _read_headers(
    node: Node, first: int, last: int, trust: Trust = "proof"
) -> list[tuple[Header, object]]:
    """Return the headers of linked blocks, each with the JSON that it was read from."""
    numbers = range(first, last + 1)
    answers = await node.batch(
        [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
    )
    headers: list[Header] = []
    for number, answer in zip(numbers, answers, strict=True):
        if answer is None:
            raise Moved(f"the node has no block {number}")
        headers.append(header_of(answer, number, trust))
    for before, header in pairwise(headers):
        if header.parent != before.hash:
            raise Moved(
                f"block {header.number} does not follow the block {before.number} just read"
            )
    return list(zip(headers, answers, strict=True))


def _latest(answer: object, trust: Trust) -> BlockRef:
    if answer is None:
        raise Moved("the node has no latest block; it may be starting")
    return _ref(header_of(answer, None, trust))


def _finalized(answer: object, trust: Trust) -> BlockRef:
    if answer is None:
        raise UnsupportedTag("it answered null")
    return _ref(header_of(answer, None, trust))


def _ref(header: Header) -> BlockRef:
    return BlockRef(header.number, header.hash)
