"""RLP and the trie of an ordered list, with paths that prove its values. Pure.

As in the yellow paper, appendices B, C and D.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from contracts.hashing import keccak

EMPTY_ROOT: Final = keccak(b"\x80")  # of a trie without entries

_STRING: Final = 0x80  # the first byte of an RLP string, and of a list, before its length is added
_LIST: Final = 0xC0
_LONG_MIN: Final = 56  # from this length on, the length has bytes of its own
_HASH_LENGTH: Final = 32  # a shorter node stands inside its parent as it is
_ENDS: Final = 2  # hex-prefix flags: the path ends in a value, or goes on to a node
_GOES_ON: Final = 0
_BYTE: Final = tuple(bytes((value,)) for value in range(256))

# Receipts nest four deep: itself, its logs, a log, its topics; a branch may hold a leaf inside.
RLP_DEPTH_MAX: Final = 8
_BRANCH_WIDTH: Final = 17  # sixteen children, and a value that no trie of ours has

Rlp = bytes | list["Rlp"]
"""What RLP encodes."""

__all__ = [
    "EMPTY_ROOT",
    "BadPath",
    "ordered_proof",
    "ordered_root",
    "proven_value",
    "rlp_bytes",
    "rlp_decoded",
    "rlp_integer",
    "rlp_list",
    "rlp_log",
]


class BadPath(Exception):
    """Bytes that are no RLP, or no path of a trie."""


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie that has each value under the RLP of its position.

    Such tries commit a header to its transactions, receipts and withdrawals.
    """
    if not values:
        return EMPTY_ROOT
    # Hexadecimal text: one character is one nibble of a key.
    items = [(rlp_integer(position).hex(), value) for position, value in enumerate(values)]
    return keccak(_trie_node(sorted(items), 0))


def ordered_proof(values: Sequence[bytes], position: int) -> list[bytes]:
    """Return the nodes on the way from the root of `ordered_root` to the value at a position.

    Nodes that stand inside their parents are not listed by themselves. Raises IndexError for a
    position that has no value.
    """
    if not 0 <= position < len(values):
        raise IndexError(position)
    items = sorted((rlp_integer(place).hex(), value) for place, value in enumerate(values))
    wanted = rlp_integer(position).hex()
    nodes = [_trie_node(items, 0)]
    depth = 0
    while len(items) > 1:
        shared = depth
        while items[0][0][shared] == items[-1][0][shared]:
            shared += 1
        if shared == depth:  # a branch: on to the children under the key's next nibble
            items = [item for item in items if item[0][depth] == wanted[depth]]
            shared = depth + 1
        depth = shared
        node = _trie_node(items, depth)
        if len(node) >= _HASH_LENGTH:
            nodes.append(node)
    return nodes


def proven_value(root: bytes, position: int, nodes: Sequence[bytes]) -> bytes:
    """Return the value at a position of the trie with this root, proven by the nodes on the way.

    Raises BadPath where they do not lead from the root to a value.
    """
    left = list(nodes)
    key = rlp_integer(position).hex()
    node = _named(root, left)
    while True:
        match rlp_decoded(node):
            case [bytes(prefix), child]:
                nibbles, ends = _nibbles_of(prefix)
                if not key.startswith(nibbles):
                    raise BadPath("the path leads to another position")
                key = key[len(nibbles) :]
                if ends:
                    if key or left or not isinstance(child, bytes):
                        raise BadPath("the path does not end in a value")
                    return child
            case [*children] if len(children) == _BRANCH_WIDTH and key:
                child, key = children[int(key[0], 16)], key[1:]
            case _:
                raise BadPath("a node of the path is neither a branch nor has two parts")
        # A short one stands inside its parent.
        node = _encoded(child) if isinstance(child, list) else _named(child, left)


def _named(digest: bytes, left: list[bytes]) -> bytes:
    if not left or keccak(left[0]) != digest:
        raise BadPath("the path is broken: no next node has the hash that its parent names")
    return left.pop(0)


def _nibbles_of(prefix: bytes) -> tuple[str, bool]:
    """Return what a hex prefix says, and whether a value follows."""
    text = prefix.hex()
    flag = int(text[0], 16) if text else _BRANCH_WIDTH
    if flag > _ENDS + 1 or (flag % 2 == 0 and text[1] != "0"):
        raise BadPath("a node of the path has no hex prefix")
    return text[1 if flag % 2 else 2 :], flag >= _ENDS


def _encoded(item: Rlp) -> bytes:
    if isinstance(item, bytes):
        return rlp_bytes(item)
    return rlp_list(map(_encoded, item))


def rlp_decoded(data: bytes) -> Rlp:
    """Return what RLP encodes: bytes, or a list of such. Raises BadPath for anything else."""
    item, end = _decoded_at(data, 0, RLP_DEPTH_MAX)
    if end != len(data):
        raise BadPath("more follows than one item")
    return item


def _decoded_at(data: bytes, start: int, depth: int) -> tuple[Rlp, int]:
    """Return the item that begins at `start`, and where it ends."""
    if depth == 0 or start >= len(data):
        raise BadPath("lists are nested too deeply, or an item is cut off")
    first = data[start]
    if first < _STRING:
        return data[start : start + 1], start + 1
    kind = _LIST if first >= _LIST else _STRING
    size = first - kind
    begin = start + 1
    if size >= _LONG_MIN:
        begin += size - (_LONG_MIN - 1)
        size = int.from_bytes(data[start + 1 : begin])
    end = begin + size
    if end > len(data) or _rlp_head(kind, size) != data[start:begin]:
        raise BadPath("an item is cut off, or its length is not written in the shortest way")
    if kind == _STRING:
        value = data[begin:end]
        if rlp_bytes(value) != data[start:end]:
            raise BadPath("a byte is not written in the shortest way")
        return value, end
    items: list[Rlp] = []
    while begin < end:
        item, begin = _decoded_at(data, begin, depth - 1)
        items.append(item)
    if begin != end:
        raise BadPath("an item goes beyond its list")
    return items, end


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
