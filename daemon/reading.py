"""Reading a chain through a node that is not trusted.

There is one fetch, `read_blocks`, for history and for the tip alike, and it gives proven blocks or
none. Besides the errors named here, every function raises NodeUnavailable and NodeRefused as
`daemon.rpc.Node` does.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from contracts.logs import Log
from daemon.evidence import (
    Header,
    Unprovable,
    Violated,
    bloom_masks,
    may_have_logs,
    prove_header,
    prove_logs,
    quantity,
)
from daemon.mistakes import Unfit
from daemon.rpc import RATE_LIMITED_CODES, Node, NodeRefused

__all__ = [
    "BLOCKS_PER_READ_MAX",
    "Block",
    "BlockRef",
    "Moved",
    "Tip",
    "Unprovable",
    "UnsupportedTag",
    "Violated",
    "read_blocks",
    "read_chain_id",
    "read_finalized",
    "read_genesis",
    "read_hash",
    "read_head",
    "read_tip",
    "require_linked",
]

# They are held in memory until their events are in the books, and read again if that fails.
BLOCKS_PER_READ_MAX: Final = 1_000
# Receipts of so many transactions are some 2.5 MB of JSON: a batch has whole blocks of no more, and
# one block at least.
TRANSACTIONS_PER_BATCH_MAX: Final = 1_000
# A block with logs takes some tenths of a millisecond to prove, a full one several: whatever else
# the process does gets its turn in between.
PROOFS_PER_TURN: Final = 10


class Moved(Exception):
    """The chain, or the part of it that this node knows, changed while it was read: read again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
    """A proven block: `logs` are all logs of the watched addresses, in order.

    `time` is in unix seconds.
    """

    number: int
    hash: bytes
    parent: bytes
    time: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Tip:
    """What a node says of its chain at one moment.

    `finalized` is None where it was not asked for, `hash_below` that of the block at the height
    asked for, None if the node has no such block (yet).
    """

    head: BlockRef
    finalized: BlockRef | None
    hash_below: bytes | None


async def read_chain_id(node: Node) -> int:
    """Return the chain id the node names (EIP-155). Raises Violated where it names none."""
    return quantity(await node.call("eth_chainId"), "eth_chainId")


async def read_genesis(node: Node) -> bytes:
    """Return the hash of block 0: with the chain id, it is which chain this is.

    Raises Violated or Unprovable as `read_blocks` does.
    """
    genesis = await read_hash(node, 0)
    if genesis is None:
        raise Violated(0, "the node does not have it")
    return genesis


async def read_tip(node: Node, chain_id: int, height: int, *, finalized: bool) -> Tip:
    """Return head, final block and the hash at `height` (at least 0), in one round trip.

    All of it is of one node, but a batch is no snapshot: its chain may move in between. Raises
    Violated, too, where the node is on another chain than `chain_id`; UnsupportedTag as
    `read_finalized` does, and Moved where the node has no block at all.
    """
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("eth_chainId", ()),
        ("eth_getBlockByNumber", (hex(height), False)),
        ("eth_getBlockByNumber", ("latest", False)),
    ]
    if finalized:
        calls.append(("eth_getBlockByNumber", ("finalized", False)))
    try:
        chain, below, latest, *final = await node.batch(calls)
    except NodeRefused:
        if finalized:
            await read_finalized(node)  # says so, if that was it
        raise
    found = quantity(chain, "eth_chainId")
    if found != chain_id:
        raise Violated(None, f"the node is on chain {found}, and was on chain {chain_id}")
    return Tip(
        head=_latest(latest),
        finalized=_finalized(final[0]) if finalized else None,
        hash_below=None if below is None else prove_header(below, height).hash,
    )


async def read_head(node: Node) -> BlockRef:
    """Return the last block the node knows; another node may know more or fewer.

    Raises Violated or Unprovable as `read_blocks` does.
    """
    return _latest(await node.call("eth_getBlockByNumber", "latest", False))


async def read_finalized(node: Node) -> BlockRef:
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
    return _finalized(answer)


async def read_hash(node: Node, number: int) -> bytes | None:
    """Return the hash of the canonical block with the number; None where the node has none (yet).

    Raises Violated or Unprovable as `read_blocks` does.
    """
    answer = await node.call("eth_getBlockByNumber", hex(number), False)
    return None if answer is None else prove_header(answer, number).hash


async def read_blocks(
    node: Node, first: int, last: int, watched: frozenset[bytes], *, logs_max: int | None = None
) -> list[Block]:
    """Return blocks `first` to `last`, both included, each linked to the one before.

    With `logs_max` it ends before `last`, but not before one block, once so many logs are found.

    Every block comes with evidence: its header hashes to its hash, and its bloom excludes the
    watched addresses, or all its receipts were read and have the root that the header names.
    Whether these blocks are the canonical ones, only the node says.

    Raises Violated where something does not recompute, Unprovable where it cannot be recomputed,
    Moved where blocks are missing or do not link, and ValueError for an empty range or one of
    more than BLOCKS_PER_READ_MAX blocks.
    """
    if not 0 <= first <= last < first + BLOCKS_PER_READ_MAX:
        raise ValueError(
            f"blocks {first} to {last} are not a range of 1 to {BLOCKS_PER_READ_MAX} blocks"
        )
    masks = bloom_masks(watched)
    headers = await _read_headers(node, first, last)
    logs: dict[bytes, tuple[Log, ...]] = {}
    count = 0
    suspects = [header for header in headers if may_have_logs(header, masks)]
    for part in _receipts_batches(suspects):
        if logs_max is not None and count >= logs_max:
            headers = headers[: headers.index(part[0])]
            break
        for header, receipts in zip(part, await _read_receipts(node, part), strict=True):
            logs[header.hash] = prove_logs(header, receipts, masks)
            count += len(logs[header.hash])
            if len(logs) % PROOFS_PER_TURN == 0:
                await asyncio.sleep(0)
    return [
        Block(header.number, header.hash, header.parent, header.time, logs.get(header.hash, ()))
        for header in headers
    ]


async def require_linked(
    node: Node, ancestor: int, ancestor_hash: bytes, number: int, block: bytes
) -> None:
    """Require the node to show headers from above block `ancestor` up to the block `number`.

    Each hashes to its hash and names the one before as its parent. Raises Moved otherwise, and as
    `read_blocks` does.
    """
    last = ancestor_hash
    for first in range(ancestor + 1, number + 1, BLOCKS_PER_READ_MAX):
        until = min(number, first + BLOCKS_PER_READ_MAX - 1)
        headers = await _read_headers(node, first, until)
        if headers[0].parent != last:
            raise Moved(f"block {first} does not follow the block {first - 1} of the books")
        last = headers[-1].hash
    if last != block:
        raise Moved(f"the node shows another block {number} than a moment ago")


def _receipts_batches(headers: Sequence[Header]) -> Iterator[Sequence[Header]]:
    """Give the headers in batches whose receipts are not too many for one answer."""
    batch: list[Header] = []
    transactions = 0
    for header in headers:
        transactions += len(header.transactions)
        if batch and transactions > TRANSACTIONS_PER_BATCH_MAX:
            yield batch
            batch, transactions = [], len(header.transactions)
        batch.append(header)
    if batch:
        yield batch


async def _read_headers(node: Node, first: int, last: int) -> list[Header]:
    numbers = range(first, last + 1)
    answers = await node.batch(
        [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
    )
    headers: list[Header] = []
    for number, answer in zip(numbers, answers, strict=True):
        if answer is None:
            raise Moved(f"the node has no block {number}")
        headers.append(prove_header(answer, number))
    for before, header in pairwise(headers):
        if header.parent != before.hash:
            raise Moved(
                f"block {header.number} does not follow the block {before.number} just read"
            )
    return headers


async def _read_receipts(node: Node, headers: Sequence[Header]) -> list[object]:
    answers = await node.batch(
        [("eth_getBlockReceipts", (f"0x{header.hash.hex()}",)) for header in headers]
    )
    for header, answer in zip(headers, answers, strict=True):
        if answer is None:
            raise Moved(f"the node no longer has the receipts of block {header.number}")
    return answers


def _latest(answer: object) -> BlockRef:
    if answer is None:
        raise Moved("the node has no latest block; it may be starting")
    return _ref(prove_header(answer, None))


def _finalized(answer: object) -> BlockRef:
    if answer is None:
        raise UnsupportedTag("it answered null")
    return _ref(prove_header(answer, None))


def _ref(header: Header) -> BlockRef:
    return BlockRef(header.number, header.hash)
