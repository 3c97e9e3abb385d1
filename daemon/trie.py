"""RLP and the trie of an ordered list (yellow paper, appendices B, C and D). Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

try:  # the extra `fast`
    from eth_hash.backends.pysha3 import keccak256 as keccak
except ImportError:
    from eth_hash.backends.pycryptodome import keccak256 as keccak

EMPTY_ROOT: Final = keccak(b"\x80")  # of a trie without entries

_STRING: Final = 0x80  # the first byte of an RLP string, and of a list, before its length is added
_LIST: Final = 0xC0
_LONG_MIN: Final = 56  # from this length on, the length has bytes of its own
_HASH_LENGTH: Final = 32  # a shorter node stands inside its parent as it is
_ENDS: Final = 2  # hex-prefix flags: the path ends in a value, or goes on to a node
_GOES_ON: Final = 0
_BYTE: Final = tuple(bytes((value,)) for value in range(256))

__all__ = [
    "EMPTY_ROOT",
    "keccak",
    "ordered_root",
    "rlp_bytes",
    "rlp_integer",
    "rlp_list",
    "rlp_log",
]


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie that has each value under the RLP of its position.

    Such tries commit a header to its transactions, receipts and withdrawals.
    """
    if not values:
        return EMPTY_ROOT
    # Hexadecimal text: one character is one nibble of a key.
    items = [(rlp_integer(position).hex(), value) for position, value in enumerate(values)]
    return keccak(_trie_node(sorted(items), 0))


def rlp_bytes(value: bytes) -> bytes:
    """Return the RLP of a byte string."""
    if len(value) == 1 and value[0] < _STRING:
        return value
    return _rlp_head(_STRING, len(value)) + value


def rlp_integer(value: int) -> bytes:
    """Return the RLP of an unsigned integer: big-endian, without leading zeros."""
    return rlp_bytes(value.to_bytes((value.bit_length() + 7) // 8))


def rlp_list(encoded_items: Iterable[bytes]) -> bytes:
    """Return the RLP of a list whose items are RLP already."""
    payload = b"".join(encoded_items)
    return _rlp_head(_LIST, len(payload)) + payload


def rlp_log(address: bytes, topics: Sequence[bytes], data: bytes) -> bytes:
    """Return the RLP of a log: 20 bytes, at most four words of 32, and bytes of any length."""
    words = b"\xa0" + b"\xa0".join(topics) if topics else b""
    payload = b"".join((b"\x94", address, _WORDS_HEAD[len(topics)], words, rlp_bytes(data)))
    return _rlp_head(_LIST, len(payload)) + payload


def _rlp_head(kind: int, length: int) -> bytes:
    if length < _LONG_MIN:
        return _BYTE[kind + length]
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return _BYTE[kind + _LONG_MIN - 1 + len(size)] + size


def _trie_node(items: list[tuple[str, bytes]], depth: int) -> bytes:
    """Return the RLP of the node over sorted (key, value) pairs equal up to `depth` nibbles.

    No key is the beginning of another, as RLP never is: a branch holds no value of its own.
    """
    first, last = items[0][0], items[-1][0]
    if len(items) == 1:
        return rlp_list((_hex_prefix(first[depth:], _ENDS), rlp_bytes(items[0][1])))
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return rlp_list((_hex_prefix(first[depth:shared], _GOES_ON), _reference(items, shared)))
    branch = [_BYTE[_STRING]] * 17
    for nibble, children in groupby(items, key=lambda item: item[0][depth]):
        branch[int(nibble, 16)] = _reference(list(children), depth + 1)
    return rlp_list(branch)


def _reference(items: list[tuple[str, bytes]], depth: int) -> bytes:
    node = _trie_node(items, depth)
    return node if len(node) < _HASH_LENGTH else rlp_bytes(keccak(node))


def _hex_prefix(nibbles: str, flag: int) -> bytes:
    head = f"{flag + 1:x}" if len(nibbles) % 2 else f"{flag:x}0"
    return rlp_bytes(bytes.fromhex(head + nibbles))


# What a list of so many words of 32 bytes, 33 with their heads, begins with.
_WORDS_HEAD: Final = tuple(_rlp_head(_LIST, 33 * count) for count in range(5))
