"""Signatures of wallets over a text: of a key (EIP-191), or of a contract (EIP-1271).

A contract says by a call on its own chain whether a signature is its own. The call is handed in by
whoever puts the process together: this API knows no chain.
"""

import re
from enum import Enum
from typing import Final

from eth_hash.auto import keccak

from api.calling.sign_in_terms import AskContract

# What a contract's signature may take: those of passkeys and of many owners are some hundred bytes.
SIGNATURE_BYTES_MAX: Final = 8_192

_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


class Proof(Enum):
    """Who a signature is of."""

    KEY = "key"
    """The key of the address: it is the same holder's on every chain."""
    CONTRACT = "contract"
    """The contract at the address, on the chain it was asked on and no other."""
    NONE = "none"
    """Somebody else's, or no signature at all."""
    UNKNOWN = "unknown"
    """It may be a contract's, and the chain does not answer."""


def parse_signature(text: str) -> bytes:
    """Return the bytes of `0x…`. Raises ValueError."""
    if len(text) > 2 + 2 * SIGNATURE_BYTES_MAX:
        raise ValueError(f"has more than {SIGNATURE_BYTES_MAX} bytes")
    if _HEX.fullmatch(text) is None:
        raise ValueError("is not 0x and an even number of hexadecimal digits")
    return bytes.fromhex(text[2:])


def signed_hash(text: str) -> bytes:
    """Return what is signed for a text: its hash with the prefix of EIP-191, version 0x45."""
    content = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(content) + content)


async def prove(
    ask_contract: AskContract, chain_id: int, address: bytes, text: str, signature: bytes
) -> Proof:
    """Return whose signature over a text this is, if an address of a chain is said to have signed.

    A key is tried first: an address with a key may have code as well (EIP-7702).
    """
    # 8 MB that an API nobody signs in to saves. Where somebody may, it is here before it serves.
    from api.identity.recovery import recover  # noqa: PLC0415

    hashed = signed_hash(text)
    if recover(hashed, signature) == address:
        return Proof.KEY
    taken = await ask_contract(chain_id, address, hashed, signature)
    if taken is None:
        return Proof.UNKNOWN
    return Proof.CONTRACT if taken is True else Proof.NONE
