"""What proves a block: its header hash, its receipts root and its bloom. Pure.

A node's JSON goes in unbelieved. What comes out was recomputed: a header whose RLP hashes to its
hash, and logs of receipts whose trie has the root in that header. There are two ways out where
that fails: `Violated`, where the answer contradicts itself, and `Unprovable`, where the chain
holds something this file does not know how to encode.

The header is that of the Ethereum yellow paper, section 4.3, with the fields of later EIPs after
it; receipts are those of its section 4.4.1 and, typed, of EIP-2718.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.hashing import keccak
from contracts.logs import TOPICS_MAX, Log
from contracts.rewards import RewardKind
from daemon.chain.node_json import (
    ADDRESS,
    ANY_LENGTH,
    BLOOM,
    HASH,
    SHOWN_LENGTH_MAX,
    Malformed,
    integer,
    items,
    octets,
    octets_again,
    octets_of,
    record_of,
    shown,
)
from daemon.chain.trie import EMPTY_ROOT, ordered_root, rlp_bytes, rlp_integer, rlp_list, rlp_log

# No node could answer with a block of so many logs, and the books number them with 32 bits.
LOG_INDEX_END: Final = 1_000_000_000
BIGINT_MAX: Final = 2**63 - 1
# EIP-2718 types whose receipts are known to share one payload: legacy, EIP-2930, 1559, 4844, 7702.
# Of others it is tried: if their root comes out, it was right.
RECEIPT_TYPES: Final = (0, 1, 2, 3, 4)
TYPE_MAX: Final = 0x7F  # EIP-2718: what is above begins a legacy list
# The OP stack's deposits; since its Canyon fork two fields more are in the root.
DEPOSIT_TYPE: Final = 0x7E

_QUANTITY: Final = -2  # where a length stands: an integer

_HEADER: Final = (
    ("parentHash", HASH),
    ("sha3Uncles", HASH),
    ("miner", ADDRESS),
    ("stateRoot", HASH),
    ("transactionsRoot", HASH),
    ("receiptsRoot", HASH),
    ("logsBloom", BLOOM),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", ANY_LENGTH),
    ("mixHash", HASH),
    ("nonce", 8),
)
# Each fork appended its own: a header has the first few of these, and never one without those
# before it.
_HEADER_TAIL: Final = (
    ("baseFeePerGas", _QUANTITY),  # EIP-1559
    ("withdrawalsRoot", HASH),  # EIP-4895
    ("blobGasUsed", _QUANTITY),  # EIP-4844
    ("excessBlobGas", _QUANTITY),  # EIP-4844
    ("parentBeaconBlockRoot", HASH),  # EIP-4788
    ("requestsHash", HASH),  # EIP-7685
)
_BESIDE_HEADER: Final = ("hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals")
_KNOWN: Final = frozenset({*dict(_HEADER), *dict(_HEADER_TAIL), *_BESIDE_HEADER})


# A contract, and the first topic of an event of it.
Kind = tuple[bytes, bytes]
# What is looked for in blocks: kinds of logs, and of what the protocol gives.
Watched = frozenset[Kind | RewardKind]


class Violated(Exception):
    """A node's answer contradicts itself or its own header: it cannot be the chain.

    `block_number` is None where no block was asked for by its number.
    """

    def __init__(self, block_number: int | None, reason: str) -> None:
        super().__init__(f"{_block_name(block_number)}: {reason}")
        self.block_number = block_number
        self.reason = reason


class Unprovable(Exception):
    """The chain holds what this version cannot encode, so nothing is shown either way."""

    def __init__(self, block_number: int | None, reason: str) -> None:
        super().__init__(
            f"{_block_name(block_number)}: {reason}. Where a chain cannot be proven, two nodes that"
            " agree stand in for the proof: list another one, and set agree = 2"
        )
        self.block_number = block_number
        self.reason = reason


class Moved(Exception):
    """The chain, or the part of it that this node knows, changed while it was read: read again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """A header that hashes to `hash`. `time` is in unix seconds, `bloom` its 2048 bits.

    `transactions` are the hashes the node named beside the header: they are not proven by it.
    """

    number: int
    hash: bytes
    parent: bytes
    time: int
    receipts_root: bytes
    bloom: int
    transactions: Sequence[object]


def prove_header(answer: object, asked_number: int | None) -> Header:
    """Return the header of a block answered as JSON, its hash recomputed.

    `asked_number` is None where a tag was asked for. Raises Violated where the hash does not
    recompute, the number is another one or a field is malformed; Unprovable instead, where the
    header has fields that are unknown here and may belong into its hash.
    """
    strange: list[str] = []
    try:
        block = record_of(answer)
        strange = _strange_fields(block)
        recomputed = keccak(header_rlp(block))
        header = Header(
            number=integer(block, "number"),
            hash=octets(block, "hash", HASH),
            parent=octets(block, "parentHash", HASH),
            time=integer(block, "timestamp"),
            receipts_root=octets(block, "receiptsRoot", HASH),
            bloom=int.from_bytes(octets(block, "logsBloom", BLOOM)),
            transactions=items(block, "transactions"),
        )
        _check_hash(header, recomputed)
    except Malformed as error:
        if strange:
            reason = f"{error}; its header is of an unknown kind ({', '.join(strange)})"
            raise Unprovable(asked_number, reason) from None
        raise Violated(asked_number, str(error)) from None
    check_number(header, asked_number)
    return header


def quantity(answer: object, name: str) -> int:
    """Return an integer answered as JSON, such as `0x1f`. Raises Violated for anything else."""
    try:
        return integer({name: answer}, name)
    except Malformed as error:
        raise Violated(None, str(error)) from None


def log_kinds(watched: Watched) -> frozenset[Kind]:
    """Return the kinds of logs among what is looked for."""
    return frozenset(kind for kind in watched if isinstance(kind, tuple))


def reward_kinds(watched: Watched) -> frozenset[RewardKind]:
    """Return what is looked for of what the protocol gives."""
    return frozenset(kind for kind in watched if not isinstance(kind, tuple))


def bloom_masks(kinds: Iterable[Kind]) -> dict[Kind, int]:
    """Return for each kind of log the bits that a bloom has set if it holds one."""
    return {(address, topic): bloom_mask(address) | bloom_mask(topic) for address, topic in kinds}


def bloom_mask(item: bytes) -> int:
    """Return the bits of an address or topic in a bloom (yellow paper, section 4.4.1)."""
    digest = keccak(item)
    mask = 0
    for start in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[start : start + 2]) & 2047)
    return mask


def may_have_logs(header: Header, masks: Mapping[Kind, int]) -> bool:
    """Return False where the header alone proves that it has no log of any of the kinds.

    An all-zero bloom over receipts is no proof: it is also how chains without blooms look.
    """
    if header.bloom == 0:
        return bool(masks) and has_receipts(header)
    return any(header.bloom & mask == mask for mask in masks.values())


def has_receipts(header: Header) -> bool:
    """Return False where the header alone proves that its block has no transaction."""
    return header.receipts_root != EMPTY_ROOT


def excludes(header: Header, mask: int) -> bool:
    """Return whether a bloom proves that nothing with these bits is in the block."""
    return header.bloom & mask != mask


def prove_logs(header: Header, answer: object, masks: Mapping[Kind, int]) -> tuple[Log, ...]:
    """Return the logs of the kinds in `masks`, in order and complete.

    `answer` is the block's receipts as JSON. Their root is recomputed, so a log left out, added
    or changed is Violated. Unprovable: another root where a receipt's type is unknown here, or a
    bloom without the logs it must hold (then no bloom of the chain proves absence). However many
    logs a block has: what bounds them is how much a node may answer.

    A transaction's hash is no part of its receipt: it is only compared with the block's list.
    """
    encoded: list[bytes] = []
    logs: list[Log] = []
    log_count = 0
    tx_hashes: set[bytes] = set()
    types: set[int] = set()
    for position, value in enumerate(_receipts(answer, header)):
        try:
            receipt = record_of(value)
            tx_hash = _transaction(receipt, header, position)
            tx_hashes.add(tx_hash)
            encoded_logs: list[bytes] = []
            for ordinal, log in enumerate(items(receipt, "logs")):
                address, topics, data = placed_log(log, receipt, log_count)
                encoded_logs.append(rlp_log(address, topics, data))
                if topics and (address, topics[0]) in masks:
                    logs.append(Log(address, topics, data, tx_hash, ordinal, log_count))
                log_count += 1
            kind = integer(receipt, "type") if receipt.get("type") is not None else 0
            types.add(kind)
            encoded.append(receipt_rlp(receipt, kind, encoded_logs))
        except Malformed as error:
            raise Violated(header.number, f"receipt {position}: {error}") from None
    if len(tx_hashes) != len(encoded):
        raise Violated(header.number, "two of its transactions have the same hash")
    if ordered_root(encoded) != header.receipts_root:
        if unknown := types.difference(RECEIPT_TYPES):
            listed = ", ".join(map(str, sorted(unknown)))
            raise Unprovable(header.number, f"it has receipts of the unknown type {listed}")
        raise Violated(header.number, "its receipts do not have the root that its header names")
    held = {(log.address, log.topics[0]) for log in logs}
    if any(excludes(header, masks[kind]) for kind in held):
        raise Unprovable(header.number, "its bloom does not hold the logs of its receipts")
    return tuple(logs)


def encoded_receipts(answer: object, header: Header) -> list[bytes]:
    """Return a block's receipts, answered as JSON, as its trie holds them. Raises Violated."""
    encoded: list[bytes] = []
    log_count = 0
    for position, value in enumerate(_receipts(answer, header)):
        try:
            receipt = record_of(value)
            logs = [
                rlp_log(*placed_log(log, receipt, log_count + ordinal))
                for ordinal, log in enumerate(items(receipt, "logs"))
            ]
            log_count += len(logs)
            kind = integer(receipt, "type") if receipt.get("type") is not None else 0
            encoded.append(receipt_rlp(receipt, kind, logs))
        except Malformed as error:
            raise Violated(header.number, f"receipt {position}: {error}") from None
    return encoded


def listed_receipts(answer: object, header: Header) -> list[object]:
    """Return a block's receipts one by one, or raise Violated."""
    if not isinstance(answer, list):
        raise Violated(header.number, f"its receipts are {shown(answer)}, not a list")
    return answer


def _receipts(answer: object, header: Header) -> list[object]:
    receipts = listed_receipts(answer, header)
    if len(receipts) != len(header.transactions):
        raise Violated(
            header.number,
            f"the node has {len(receipts)} receipts for {len(header.transactions)} transactions",
        )
    return receipts


def _transaction(receipt: Mapping[str, object], header: Header, position: int) -> bytes:
    """Return the hash of a receipt's transaction, its place in the block checked."""
    tx_hash = octets(receipt, "transactionHash", HASH)
    if octets_of(header.transactions[position], "the block's list", HASH) != tx_hash:
        raise Malformed("transactionHash is not the block's at this position")
    if integer(receipt, "transactionIndex") != position:
        raise Malformed("transactionIndex is not the receipt's position")
    if octets(receipt, "blockHash", HASH) != header.hash:
        raise Malformed("blockHash is another block's")
    return tx_hash


def placed_log(
    value: object, receipt: Mapping[str, object], log_index: int
) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Return address, topics and data of a log, its place in the checked receipt checked too.

    Raises Malformed.
    """
    log = record_of(value)
    for field in ("blockHash", "transactionHash"):
        # Nearly always the same text, and comparing that is ten times quicker.
        if log.get(field) != receipt[field] and (
            octets(log, field, HASH) != octets(receipt, field, HASH)
        ):
            raise Malformed(f"a log's {field} is not that of its receipt")
    if log.get("logIndex") != hex(log_index) and integer(log, "logIndex") != log_index:
        raise Malformed(f"logIndex is not {log_index}, as the order of the logs has it")
    if log.get("removed"):
        raise Malformed("a log is marked as removed")
    topics = items(log, "topics")
    if len(topics) > TOPICS_MAX:
        raise Malformed(f"a log has {len(topics)} topics")
    return (
        octets_again(log.get("address"), "address", ADDRESS),
        tuple([octets_again(topic, "topic", HASH) for topic in topics]),
        octets(log, "data", ANY_LENGTH),
    )


def receipt_rlp(receipt: Mapping[str, object], kind: int, encoded_logs: Iterable[bytes]) -> bytes:
    """Return the receipt as its trie holds it: the type's byte, unless legacy, and the payload."""
    if kind > TYPE_MAX:
        raise Malformed(f"type is {kind}, which no transaction has")
    if receipt.get("status") is not None:
        outcome = rlp_integer(integer(receipt, "status"))
    else:  # before EIP-658 the state's root stood here
        outcome = rlp_bytes(octets(receipt, "root", HASH))
    fields = [
        outcome,
        rlp_integer(integer(receipt, "cumulativeGasUsed")),
        rlp_bytes(octets(receipt, "logsBloom", BLOOM)),
        rlp_list(encoded_logs),
    ]
    if kind == DEPOSIT_TYPE and receipt.get("depositReceiptVersion") is not None:
        beside = ("depositNonce", "depositReceiptVersion")
        fields += [rlp_integer(integer(receipt, name)) for name in beside]
    payload = rlp_list(fields)
    return bytes((kind,)) + payload if kind else payload


def _strange_fields(block: Mapping[str, object]) -> list[str]:
    tail = [block.get(name) is not None for name, _ in _HEADER_TAIL]
    gaps = [_HEADER_TAIL[tail.index(False)][0] + " missing"] if tail != sorted(tail)[::-1] else []
    return [name[:SHOWN_LENGTH_MAX] for name in sorted(block.keys() - _KNOWN)] + gaps


def header_rlp(block: Mapping[str, object]) -> bytes:
    """Return a header, answered as JSON, as it is hashed. Raises Malformed."""
    present = (pair for pair in _HEADER_TAIL if block.get(pair[0]) is not None)
    return rlp_list(
        rlp_integer(integer(block, name))
        if length == _QUANTITY
        else rlp_bytes(octets(block, name, length))
        for name, length in (*_HEADER, *present)
    )


def check_number(header: Header, asked_number: int | None) -> None:
    """Raise Violated where a node answered with another block than the one asked for.

    And where number or time are none that a chain can have: the books keep 63 bits.
    """
    if max(header.number, header.time) > BIGINT_MAX:
        raise Violated(asked_number, "its number or time is more than 63 bits hold")
    if asked_number is not None and header.number != asked_number:
        raise Violated(asked_number, f"the node answered with block {header.number}")


def _check_hash(header: Header, recomputed: bytes) -> None:
    if recomputed != header.hash:
        raise Malformed(f"its header hashes to 0x{recomputed.hex()}, not to its hash")


def _block_name(number: int | None) -> str:
    return "the node's answer" if number is None else f"block {number}"
