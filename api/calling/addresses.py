"""Addresses as people write them: hexadecimal, with the checksum of EIP-55 in its letters."""

import re
from typing import Final

from eth_hash.auto import keccak

ADDRESS_LENGTH: Final = 20  # bytes

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_UPPERCASE_FROM: Final = (
    8  # EIP-55: a letter is upper case where its digit of the hash is 8 or more
)


def parse_address(text: str) -> bytes:
    """Return the 20 bytes of `0x…`, written in one case or with the checksum of EIP-55.

    Raises ValueError for anything else; a wrong checksum is told with the right one.
    """
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is not an address: write 0x and 40 hexadecimal digits")
    digits = text[2:]
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and text != format_address(address):
        raise ValueError(
            f"{text} fails its EIP-55 checksum, so a letter may be mistyped:"
            f" compare it with its source; these digits are written {format_address(address)}"
        )
    return address


def format_address(address: bytes) -> str:
    """Return an address (20 bytes) as `0x…` with the checksum of EIP-55."""
    digits = address.hex()
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(hash_digit, 16) >= _UPPERCASE_FROM else letter
        for letter, hash_digit in zip(digits, hashed, strict=False)
    )
