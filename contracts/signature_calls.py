"""Asking a contract whether a signature is its own (EIP-1271): the bytes of the call, its answer.

Apart from `contracts.calls`, which imports eth_abi: who asks for this need not wait for that.
"""

from typing import Final

from contracts.logs import WORD_LENGTH
from contracts.number_calls import selector

IS_VALID: Final = selector("isValidSignature(bytes32,bytes)")


def encode_question(hashed: bytes, signature: bytes) -> bytes:
    """Return the call data of `isValidSignature(hashed, signature)`; a hash has 32 bytes."""
    if len(hashed) != WORD_LENGTH:
        raise ValueError(f"a hash has {WORD_LENGTH} bytes, this one {len(hashed)}")
    padding = bytes(-len(signature) % WORD_LENGTH)
    place = 2 * WORD_LENGTH  # of the signature: behind the hash and this
    return IS_VALID + hashed + _word(place) + _word(len(signature)) + signature + padding


def says_yes(answer: bytes) -> bool:
    """Return whether an answer is yes: the function's own selector, and nothing else in its word.

    An address without code answers with nothing, which is no.
    """
    return answer[:WORD_LENGTH] == IS_VALID.ljust(WORD_LENGTH, b"\0")


def _word(number: int) -> bytes:
    return number.to_bytes(WORD_LENGTH)
