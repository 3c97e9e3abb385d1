"""How what is asked goes to the books: keys and requests as digests, numbers that columns hold."""

import hashlib
from functools import lru_cache
from typing import Final

from ledger.ids import AccountRef

BIGINT_MAX: Final = 2**63 - 1
_INTEGER_MAX: Final = 2**31 - 1
_CHARGES_REMEMBERED_MAX: Final = 1_024  # digests; at most 300 KB, where all names are long


def key_digest(app_id: int, account: AccountRef, key: str) -> bytes:
    """Return what an idempotency key is stored as: 16 bytes that also say whose it is."""
    return hashlib.sha256(b"%d %d %d " % (app_id, *account) + key.encode()).digest()[:16]


def digest128(*parts: str) -> bytes:
    """Return the first 16 bytes of SHA-256 over the parts, each led by its length."""
    encoded = "".join([f"{len(part)} {part}" for part in parts])
    return hashlib.sha256(encoded.encode()).digest()[:16]


@lru_cache(_CHARGES_REMEMBERED_MAX)
def charge_digest(
    operation: str, model: str | None, units: int, price_version: int | None
) -> bytes:
    """Return `digest128` of what a charge asks for. Most charges ask for what another one did."""
    asked = ("charge", operation, str(units), str(price_version))
    return digest128(*asked, *also_asked(model))


def also_asked(model: str | None) -> tuple[str, ...]:
    """Return what a request's digest has for a model; for none nothing, as before models."""
    return () if model is None else (model,)


def within_bigint(amount: int) -> int:
    """Return the amount, or what the books refuse just as well: -1, or the largest bigint."""
    return max(-1, min(amount, BIGINT_MAX))


def version_asked_for(price_version: int | None) -> int:
    """Return what the books take it for: 0 for any, -1 or the largest for one that never was."""
    if price_version is None:
        return 0
    return min(price_version, _INTEGER_MAX) if price_version > 0 else -1
