"""Calls without arguments that are answered by one number: of any contract, by its signature alone.

Apart from `contracts.calls`, which imports eth_abi: who asks for one number need not wait for that.
"""

from typing import Final

from contracts.hashing import keccak
from contracts.logs import WORD_LENGTH

_SELECTOR_LENGTH: Final = 4


def selector(signature: str) -> bytes:
    """Return the first bytes of a call of a function such as `totalSupply()`."""
    return keccak(signature.encode("ascii"))[:_SELECTOR_LENGTH]


def read_number(data: bytes) -> int:
    """Return the number that an answer is. Raises ValueError for one of another length."""
    if len(data) != WORD_LENGTH:
        raise ValueError(f"{len(data)} bytes instead of one number")
    return int.from_bytes(data)
