"""Arrays as Postgres sends and receives them in binary.

An array is a header (how many dimensions, whether it has nulls, its elements' type, how many there
are, the number of the first) and then every element behind its length in bytes.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

INT8: Final = 20
_INT4: Final = 23
_TEXT: Final = 25
_INT2: Final = 21
_BYTEA: Final = 17
_UUID: Final = 2950
INT8_ARRAY: Final = 1016
INT4_ARRAY: Final = 1007
TEXT_ARRAY: Final = 1009
UUID_ARRAY: Final = 2951
INT2_ARRAY: Final = 1005
BYTEA_ARRAY: Final = 1001

_HEADER: Final = struct.Struct(">iiIii")
# Layouts are few: a batch has one of BATCH_MAX lengths, and elements one of a handful of codes.
_LAYOUTS_KEPT: Final = 2_048


def int8s(elements: Sequence[int]) -> bytes:
    """Return a bigint[]. Raises struct.error for a number beyond 64 bits."""
    return _fixed(INT8, 8, "q", elements)


def int4s(elements: Sequence[int]) -> bytes:
    """Return an integer[]. Raises struct.error for a number beyond 32 bits."""
    return _fixed(_INT4, 4, "i", elements)


def int2s(elements: Sequence[int]) -> bytes:
    """Return a smallint[]. Raises struct.error for a number beyond 16 bits."""
    return _fixed(_INT2, 2, "h", elements)


def byteas(elements: Sequence[bytes]) -> bytes:
    """Return a bytea[]."""
    body = b"".join([len(each).to_bytes(4) + each for each in elements])
    return _HEADER.pack(1, 0, _BYTEA, len(elements), 1) + body


def uuids(elements: Sequence[bytes]) -> bytes:
    """Return a uuid[] of elements of 16 bytes."""
    return _fixed(_UUID, 16, "16s", elements)


def texts(elements: Sequence[str]) -> bytes:
    """Return a text[]."""
    encoded = [element.encode() for element in elements]
    body = b"".join([len(each).to_bytes(4) + each for each in encoded])
    return _HEADER.pack(1, 0, _TEXT, len(encoded), 1) + body


def read(data: bytes, code: str, count: int) -> tuple[int, ...]:
    """Return the integers of an array of `count` elements without nulls, each of struct `code`."""
    return _reader(code, count).unpack_from(data, _HEADER.size)


def _fixed(type_oid: int, size: int, code: str, elements: Sequence[object]) -> bytes:
    flat: list[object] = [size] * (2 * len(elements))
    flat[1::2] = elements
    return _HEADER.pack(1, 0, type_oid, len(elements), 1) + _writer(code, len(elements)).pack(*flat)


@lru_cache(_LAYOUTS_KEPT)
def _writer(code: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"i{code}" * count)


@lru_cache(_LAYOUTS_KEPT)
def _reader(code: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"4x{code}" * count)
