"""Taking what a node answered apart: fields of JSON that are what their names promise. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

QUANTITY_DIGITS_MAX: Final = 64  # 256 bits
# What a node said goes into errors and pages: enough to recognise it, no more.
SHOWN_LENGTH_MAX: Final = 80
# Contracts, events and whoever stakes often: their texts are read once. About two megabytes.
TEXTS_KEPT_MAX: Final = 8_192

HASH: Final = 32  # a field of so many bytes; so are the next two
ADDRESS: Final = 20
BLOOM: Final = 256
ANY_LENGTH: Final = -1  # bytes of any length

_QUANTITY_TEXT: Final = re.compile(f"0x[0-9a-fA-F]{{1,{QUANTITY_DIGITS_MAX}}}")


class Malformed(Exception):
    """A field of the JSON is not what its name promises."""


def record_of(value: object) -> Mapping[str, object]:
    """Return a JSON object, or raise Malformed."""
    if not isinstance(value, dict):
        raise Malformed(f"{shown(value)} stands where an object belongs")
    return value


def items(record: Mapping[str, object], field: str) -> list[object]:
    """Return a list, or raise Malformed."""
    value = record.get(field)
    if not isinstance(value, list):
        raise Malformed(f"{field} is {shown(value)}, not a list")
    return value


def integer(record: Mapping[str, object], field: str) -> int:
    """Return an unsigned integer of at most 256 bits, such as `0x1f`, or raise Malformed."""
    value = record.get(field)
    if not isinstance(value, str) or _QUANTITY_TEXT.fullmatch(value) is None:
        raise Malformed(f"{field} is {shown(value)}, not an integer of at most 256 bits")
    return int(value, 16)


def octets(record: Mapping[str, object], field: str, length: int) -> bytes:
    """Return so many bytes, ANY_LENGTH for any number of them, or raise Malformed."""
    return octets_of(record.get(field), field, length)


def octets_of(value: object, field: str, length: int) -> bytes:
    """Return the bytes of a text; `field` is what an error calls it."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            found = b""
        # fromhex skips spaces: the text must be as long as its bytes make it.
        if len(value) == 2 + 2 * len(found) and length in (len(found), ANY_LENGTH):
            return found
    wanted = "bytes" if length == ANY_LENGTH else f"{length} bytes"
    raise Malformed(f"{field} is {shown(value)}, not {wanted} as hexadecimal text")


def octets_again(value: object, field: str, length: int) -> bytes:
    """Return what `octets_of` does, for a text that may well come again."""
    if not isinstance(value, str):
        raise Malformed(f"{field} is {shown(value)}, not text")
    return _kept_octets(value, field, length)


@lru_cache(TEXTS_KEPT_MAX)
def _kept_octets(text: str, field: str, length: int) -> bytes:
    return octets_of(text, field, length)


def shown(value: object) -> str:
    """Return what an error shows of a value."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"
