"""API keys: what they begin with, thirty random letters and digits, and six more that check these.

An app's begins with `ck_`, a person's own with `cp_`, an operator's with `co_`.
The check lets a mistyped or truncated key be refused without asking the books, and a leak scanner
recognise one. Thirty base-62 digits are 178 bits, so the books keep a plain SHA-256 of the key.
"""

import hashlib
import secrets
import string
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ledger.api_key_terms import ApiKeyKind
from ledger.api_keys import Secret

PREFIXES: Final[Mapping[ApiKeyKind, str]] = MappingProxyType(
    {"app": "ck_", "personal": "cp_", "operator": "co_"}
)
PREFIX_LENGTH: Final = 3
RANDOM_LENGTH: Final = 30
CHECK_LENGTH: Final = 6  # six base-62 digits hold any CRC-32
KEY_LENGTH: Final = PREFIX_LENGTH + RANDOM_LENGTH + CHECK_LENGTH

_KNOWN_PREFIXES: Final = frozenset(PREFIXES.values())
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

    @property
    def secret(self) -> Secret:
        """What of it the books keep."""
        return Secret(self.digest, self.hint)


def new_api_key(kind: ApiKeyKind = "app") -> NewApiKey:
    """Make an API key from the system's randomness."""
    prefix = PREFIXES[kind]
    random = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_LENGTH))
    text = prefix + with_check(random)
    return NewApiKey(text, hashlib.sha256(text.encode()).digest(), f"{prefix}…{text[-4:]}")


def with_check(letters: str) -> str:
    """Return the random letters of an API key and those that check them."""
    return letters + _check(letters)


def digest_api_key(text: str) -> bytes | None:
    """Return the SHA-256 of a well-formed API key, or None for a text that cannot be one."""
    if len(text) != KEY_LENGTH or not text.isascii() or text[:PREFIX_LENGTH] not in _KNOWN_PREFIXES:
        return None
    random, check = text[PREFIX_LENGTH:-CHECK_LENGTH], text[-CHECK_LENGTH:]
    if _check(random) != check:
        return None
    return hashlib.sha256(text.encode()).digest()


def _check(random: str) -> str:
    rest, last = divmod(zlib.crc32(random.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
