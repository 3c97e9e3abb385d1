"""Mining an EIP-918 token: finding a nonce whose hash is no larger than the target."""

from typing import Final

from contracts.hashing import keccak
from contracts.logs import ADDRESS_LENGTH, WORD_LENGTH

# A few seconds of work in Python; a caller with more time goes on where this ended.
TRIES_MAX: Final = 1_000_000
_NONCES: Final = 1 << 256


def work(challenge: bytes, miner: bytes, nonce: int) -> int:
    """Return the hash of a nonce as a number: the smaller, the harder it was to find.

    `challenge` is the token's current one (32 bytes), `miner` the address that will call
    `mint(nonce)` (20 bytes): the same nonce is of no use to another.
    """
    return int.from_bytes(keccak(challenge + miner + nonce.to_bytes(WORD_LENGTH)))


def solve(
    challenge: bytes, miner: bytes, target: int, start: int = 0, tries_max: int = TRIES_MAX
) -> int | None:
    """Return the first nonce from `start` on whose work is at most `target`.

    None where none of `tries_max` nonces is: go on with `start + tries_max`.
    Raises ValueError where challenge, miner or start are not a word, an address or a nonce.
    """
    if len(challenge) != WORD_LENGTH:
        raise ValueError(f"a challenge has 32 bytes, this one {len(challenge)}")
    if len(miner) != ADDRESS_LENGTH:
        raise ValueError(f"a miner's address has 20 bytes, this one {len(miner)}")
    if not 0 <= start < _NONCES:
        raise ValueError(f"a nonce is from 0 to 2^256 - 1, {start} is not")
    for nonce in range(start, min(start + tries_max, _NONCES)):
        if work(challenge, miner, nonce) <= target:
            return nonce
    return None
