"""Idempotency keys: one names one cause, over all its retries."""

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final

KEY_LENGTH_MAX: Final = 255  # what creditd keeps

_KEY = re.compile(rf"[ -~]{{1,{KEY_LENGTH_MAX}}}", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')
_TO_ESCAPE = re.compile(r'(["\\])')


def new_key() -> str:
    """Return a key that nobody else has or can guess."""
    return secrets.token_urlsafe(24)


def is_key(text: str) -> bool:
    """Say whether a text can be a key: 1 to 255 printable ASCII characters."""
    return _KEY.fullmatch(text) is not None


def quote_key(key: str) -> str:
    """Return a key as the quoted string of RFC 8941, which no key can be mistaken in."""
    escaped = _TO_ESCAPE.sub(r"\\\1", key)
    return f'"{escaped}"'


def refund_key(charge_id: str) -> str:
    """Return the key of the refund that gives a whole charge back.

    Whoever gives the same charge back, and however often, does it once.
    """
    return f"refund-of-{charge_id}"


def caller_key(scope: Mapping[str, Any]) -> str | None:
    """Return the `Idempotency-Key` that the caller of an ASGI request sent, or None.

    Taken bare or as the quoted string of draft-ietf-httpapi-idempotency-key-header. `Metering`
    refuses one that is no key.
    """
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    values = [value for name, value in headers if name.lower() == b"idempotency-key"]
    if not values:
        return None
    text = b", ".join(values).decode("latin-1").strip()
    quoted = _QUOTED.fullmatch(text)
    return text if quoted is None else _ESCAPED.sub(r"\1", quoted.group(1))


def settlement_key(reservation_id: str) -> str:
    """Return the key of the one settlement of a reservation."""
    return f"settlement-of-{reservation_id}"


def release_key(reservation_id: str) -> str:
    """Return the key of the release of a reservation."""
    return f"release-of-{reservation_id}"
