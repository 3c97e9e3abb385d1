"""API keys: `ck_`, thirty random letters and digits, and six more that check the ones before.

The check lets a mistyped or truncated key be refused without asking the books, and a leak scanner
recognise one. Thirty base-62 digits are 178 bits, so the books keep a plain SHA-256 of the key.
"""

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "ck_"
RANDOM_LENGTH: Final = 30
CHECK_LENGTH: Final = 6  # six base-62 digits hold any CRC-32
KEY_LENGTH: Final = len(PREFIX) + RANDOM_LENGTH + CHECK_LENGTH

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """An API key just made: the only moment its text is known.

    `digest` is what the books keep (SHA-256, 32 bytes), `hint` what people recognise it by.
    """

    text: str = field(repr=False)
    digest: bytes
    hint: str


def new_api_key() -> NewApiKey:
    """Make an API key from the system's randomness."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_LENGTH))
    text = PREFIX + random + _check(random)
    return NewApiKey(text, hashlib.sha256(text.encode()).digest(), f"{PREFIX}…{text[-4:]}")


def digest_api_key(text: str) -> bytes | None:
    """Return the SHA-256 of a well-formed API key, or None for a text that cannot be one."""
    if len(text) != KEY_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return None
    random, check = text[len(PREFIX) : -CHECK_LENGTH], text[-CHECK_LENGTH:]
    if _check(random) != check:
        return None
    return hashlib.sha256(text.encode()).digest()


def _check(random: str) -> str:
    rest, last = divmod(zlib.crc32(random.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
