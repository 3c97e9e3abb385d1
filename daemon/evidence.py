"""What proves a block: its header hash, its receipts root and its bloom. Pure.

A node's JSON goes in unbelieved. What comes out was recomputed: a header whose RLP hashes to its
hash, and logs of receipts whose trie has the root in that header. There are two ways out where
that fails: `Violated`, where the answer contradicts itself, and `Unprovable`, where the chain
holds something this file does not know how to encode.

The header is that of the Ethereum yellow paper, section 4.3, with the fields of later EIPs after
it; receipts are those of its section 4.4.1 and, typed, of EIP-2718.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from contracts.logs import TOPICS_MAX, Log
from daemon.trie import (
    EMPTY_ROOT,
    keccak,
    ordered_root,
    rlp_bytes,
    rlp_integer,
    rlp_list,
    rlp_log,
)

# About what the largest answer read from a node can hold, at 300 bytes of JSON a log.
LOGS_PER_BLOCK_MAX: Final = 200_000
QUANTITY_DIGITS_MAX: Final = 64  # 256 bits
# What a node said goes into errors and pages: enough to recognise it, no more.
SHOWN_LENGTH_MAX: Final = 80
# Contracts, events and whoever stakes often: their texts are read once. About two megabytes.
TEXTS_KEPT_MAX: Final = 8_192
# EIP-2718 types whose receipts are known to share one payload: legacy, EIP-2930, 1559, 4844, 7702.
# Of others it is tried: if their root comes out, it was right.
RECEIPT_TYPES: Final = (0, 1, 2, 3, 4)
TYPE_MAX: Final = 0x7F  # EIP-2718: what is above begins a legacy list
# The OP stack's deposits; since its Canyon fork two fields more are in the root.
DEPOSIT_TYPE: Final = 0x7E

_HASH: Final = 32  # a field of so many bytes; so are the next two
_ADDRESS: Final = 20
_BLOOM: Final = 256
_DATA: Final = -1  # bytes of any length
_QUANTITY: Final = -2  # an integer

_HEADER: Final = (
    ("parentHash", _HASH),
    ("sha3Uncles", _HASH),
    ("miner", _ADDRESS),
    ("stateRoot", _HASH),
    ("transactionsRoot", _HASH),
    ("receiptsRoot", _HASH),
    ("logsBloom", _BLOOM),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _DATA),
    ("mixHash", _HASH),
    ("nonce", 8),
)
# Each fork appended its own: a header has the first few of these, and never one without those
# before it.
_HEADER_TAIL: Final = (
    ("baseFeePerGas", _QUANTITY),  # EIP-1559
    ("withdrawalsRoot", _HASH),  # EIP-4895
    ("blobGasUsed", _QUANTITY),  # EIP-4844
    ("excessBlobGas", _QUANTITY),  # EIP-4844
    ("parentBeaconBlockRoot", _HASH),  # EIP-4788
    ("requestsHash", _HASH),  # EIP-7685
)
_BESIDE_HEADER: Final = ("hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals")
_KNOWN: Final = frozenset({*dict(_HEADER), *dict(_HEADER_TAIL), *_BESIDE_HEADER})

_QUANTITY_TEXT: Final = re.compile(f"0x[0-9a-fA-F]{{1,{QUANTITY_DIGITS_MAX}}}")


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
        super().__init__(f"{_block_name(block_number)}: {reason}")
        self.block_number = block_number
        self.reason = reason


class _MalformedError(Exception):
    """A field of the JSON is not what its name promises."""


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
        block = _record(answer)
        strange = _strange_fields(block)
        recomputed = keccak(_header_rlp(block))
        header = Header(
            number=_quantity(block, "number"),
            hash=_fixed(block, "hash", _HASH),
            parent=_fixed(block, "parentHash", _HASH),
            time=_quantity(block, "timestamp"),
            receipts_root=_fixed(block, "receiptsRoot", _HASH),
            bloom=int.from_bytes(_fixed(block, "logsBloom", _BLOOM)),
            transactions=_items(block, "transactions"),
        )
        _check_hash(header, recomputed)
    except _MalformedError as error:
        if strange:
            reason = f"{error}; its header is of an unknown kind ({', '.join(strange)})"
            raise Unprovable(asked_number, reason) from None
        raise Violated(asked_number, str(error)) from None
    if asked_number is not None and header.number != asked_number:
        raise Violated(asked_number, f"the node answered with block {header.number}")
    return header


def quantity(answer: object, name: str) -> int:
    """Return an integer answered as JSON, such as `0x1f`. Raises Violated for anything else."""
    try:
        return _quantity({name: answer}, name)
    except _MalformedError as error:
        raise Violated(None, str(error)) from None


def bloom_masks(addresses: Iterable[bytes]) -> dict[bytes, int]:
    """Return for each address the three bits a bloom has set if it holds a log of the address."""
    return {address: bloom_mask(address) for address in addresses}


def bloom_mask(item: bytes) -> int:
    """Return the bits of an address or topic in a bloom (yellow paper, section 4.4.1)."""
    digest = keccak(item)
    mask = 0
    for start in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[start : start + 2]) & 2047)
    return mask


def may_have_logs(header: Header, masks: Mapping[bytes, int]) -> bool:
    """Return False where the header alone proves that none of the addresses has a log.

    An all-zero bloom over receipts is no proof: it is also how chains without blooms look.
    """
    if header.bloom == 0:
        return bool(masks) and header.receipts_root != EMPTY_ROOT
    return any(header.bloom & mask == mask for mask in masks.values())


def prove_logs(header: Header, answer: object, masks: Mapping[bytes, int]) -> tuple[Log, ...]:
    """Return the logs of the addresses in `masks`, in order and complete.

    `answer` is the block's receipts as JSON. Their root is recomputed, so a log left out, added
    or changed is Violated. Unprovable: another root where a receipt's type is unknown here, more
    than LOGS_PER_BLOCK_MAX logs, or a bloom without the logs it must hold (then no bloom of the
    chain proves absence).

    A transaction's hash is no part of its receipt: it is only compared with the block's list.
    """
    encoded: list[bytes] = []
    logs: list[Log] = []
    log_count = 0
    tx_hashes: set[bytes] = set()
    kinds: set[int] = set()
    for position, value in enumerate(_receipts(answer, header)):
        try:
            receipt = _record(value)
            tx_hash = _transaction(receipt, header, position)
            tx_hashes.add(tx_hash)
            encoded_logs: list[bytes] = []
            for ordinal, log in enumerate(_items(receipt, "logs")):
                address, topics, data = _log(log, receipt, log_count)
                encoded_logs.append(rlp_log(address, topics, data))
                if address in masks:
                    logs.append(Log(address, topics, data, tx_hash, ordinal, log_count))
                log_count += 1
            if log_count > LOGS_PER_BLOCK_MAX:
                raise Unprovable(header.number, f"it has more than {LOGS_PER_BLOCK_MAX} logs")
            kind = _quantity(receipt, "type") if receipt.get("type") is not None else 0
            kinds.add(kind)
            encoded.append(_receipt_rlp(receipt, kind, encoded_logs))
        except _MalformedError as error:
            raise Violated(header.number, f"receipt {position}: {error}") from None
    if len(tx_hashes) != len(encoded):
        raise Violated(header.number, "two of its transactions have the same hash")
    if ordered_root(encoded) != header.receipts_root:
        if unknown := kinds.difference(RECEIPT_TYPES):
            types = ", ".join(map(str, sorted(unknown)))
            raise Unprovable(header.number, f"it has receipts of the unknown type {types}")
        raise Violated(header.number, "its receipts do not have the root that its header names")
    if any(header.bloom & masks[log.address] != masks[log.address] for log in logs):
        raise Unprovable(header.number, "its bloom does not hold the logs of its receipts")
    return tuple(logs)


def _receipts(answer: object, header: Header) -> list[object]:
    if not isinstance(answer, list):
        raise Violated(header.number, f"its receipts are {_shown(answer)}, not a list")
    if len(answer) != len(header.transactions):
        raise Violated(
            header.number,
            f"the node has {len(answer)} receipts for {len(header.transactions)} transactions",
        )
    return answer


def _transaction(receipt: Mapping[str, object], header: Header, position: int) -> bytes:
    """Return the hash of a receipt's transaction, its place in the block checked."""
    tx_hash = _fixed(receipt, "transactionHash", _HASH)
    if _bytes(header.transactions[position], "the block's list", _HASH) != tx_hash:
        raise _MalformedError("transactionHash is not the block's at this position")
    if _quantity(receipt, "transactionIndex") != position:
        raise _MalformedError("transactionIndex is not the receipt's position")
    if _fixed(receipt, "blockHash", _HASH) != header.hash:
        raise _MalformedError("blockHash is another block's")
    return tx_hash


def _log(
    value: object, receipt: Mapping[str, object], log_index: int
) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Return address, topics and data of a log, its place in the checked receipt checked too."""
    log = _record(value)
    for field in ("blockHash", "transactionHash"):
        # Nearly always the same text, and comparing that is ten times quicker.
        if log.get(field) != receipt[field] and (
            _fixed(log, field, _HASH) != _fixed(receipt, field, _HASH)
        ):
            raise _MalformedError(f"a log's {field} is not that of its receipt")
    if log.get("logIndex") != hex(log_index) and _quantity(log, "logIndex") != log_index:
        raise _MalformedError(f"logIndex is not {log_index}, as the order of the logs has it")
    if log.get("removed"):
        raise _MalformedError("a log is marked as removed")
    topics = _items(log, "topics")
    if len(topics) > TOPICS_MAX:
        raise _MalformedError(f"a log has {len(topics)} topics")
    return (
        _known(log.get("address"), "address", _ADDRESS),
        tuple([_known(topic, "topic", _HASH) for topic in topics]),
        _fixed(log, "data", _DATA),
    )


def _known(value: object, field: str, length: int) -> bytes:
    """Return what `_bytes` does, for a text that may well come again."""
    if not isinstance(value, str):
        raise _MalformedError(f"{field} is {_shown(value)}, not text")
    return _kept_bytes(value, field, length)


@lru_cache(TEXTS_KEPT_MAX)
def _kept_bytes(text: str, field: str, length: int) -> bytes:
    return _bytes(text, field, length)


def _receipt_rlp(receipt: Mapping[str, object], kind: int, encoded_logs: Iterable[bytes]) -> bytes:
    """Return the receipt as its trie holds it: the type's byte, unless legacy, and the payload."""
    if kind > TYPE_MAX:
        raise _MalformedError(f"type is {kind}, which no transaction has")
    if receipt.get("status") is not None:
        outcome = rlp_integer(_quantity(receipt, "status"))
    else:  # before EIP-658 the state's root stood here
        outcome = rlp_bytes(_fixed(receipt, "root", _HASH))
    fields = [
        outcome,
        rlp_integer(_quantity(receipt, "cumulativeGasUsed")),
        rlp_bytes(_fixed(receipt, "logsBloom", _BLOOM)),
        rlp_list(encoded_logs),
    ]
    if kind == DEPOSIT_TYPE and receipt.get("depositReceiptVersion") is not None:
        beside = ("depositNonce", "depositReceiptVersion")
        fields += [rlp_integer(_quantity(receipt, name)) for name in beside]
    payload = rlp_list(fields)
    return bytes((kind,)) + payload if kind else payload


def _strange_fields(block: Mapping[str, object]) -> list[str]:
    tail = [block.get(name) is not None for name, _ in _HEADER_TAIL]
    gaps = [_HEADER_TAIL[tail.index(False)][0] + " missing"] if tail != sorted(tail)[::-1] else []
    return [name[:SHOWN_LENGTH_MAX] for name in sorted(block.keys() - _KNOWN)] + gaps


def _header_rlp(block: Mapping[str, object]) -> bytes:
    present = (pair for pair in _HEADER_TAIL if block.get(pair[0]) is not None)
    return rlp_list(
        rlp_integer(_quantity(block, name))
        if length == _QUANTITY
        else rlp_bytes(_fixed(block, name, length))
        for name, length in (*_HEADER, *present)
    )


def _check_hash(header: Header, recomputed: bytes) -> None:
    if recomputed != header.hash:
        raise _MalformedError(f"its header hashes to 0x{recomputed.hex()}, not to its hash")


def _record(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _MalformedError(f"{_shown(value)} stands where an object belongs")
    return value


def _items(record: Mapping[str, object], field: str) -> list[object]:
    value = record.get(field)
    if not isinstance(value, list):
        raise _MalformedError(f"{field} is {_shown(value)}, not a list")
    return value


def _quantity(record: Mapping[str, object], field: str) -> int:
    value = record.get(field)
    if not isinstance(value, str) or _QUANTITY_TEXT.fullmatch(value) is None:
        raise _MalformedError(f"{field} is {_shown(value)}, not an integer of at most 256 bits")
    return int(value, 16)


def _fixed(record: Mapping[str, object], field: str, length: int) -> bytes:
    return _bytes(record.get(field), field, length)


def _bytes(value: object, field: str, length: int) -> bytes:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            found = b""
        # fromhex skips spaces: the text must be as long as its bytes make it.
        if len(value) == 2 + 2 * len(found) and length in (len(found), _DATA):
            return found
    wanted = "bytes" if length == _DATA else f"{length} bytes"
    raise _MalformedError(f"{field} is {_shown(value)}, not {wanted} as hexadecimal text")


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"


def _block_name(number: int | None) -> str:
    return "the node's answer" if number is None else f"block {number}"
