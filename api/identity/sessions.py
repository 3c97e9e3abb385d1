"""The session cookie of people who signed in by a wallet, and whose pages may use it.

The cookie holds 256 random bits and nothing else; the books hold their SHA-256 and can end them.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.calling.calls import SAFE_METHODS
from api.calling.sessions import COOKIE
from api.problems.refusals import OriginRefused, Refused, SessionOver

SECRET_BYTES: Final = 32

Headers = Mapping[bytes, Sequence[bytes]]

_COOKIE_TERMS: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_SECRET: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


class NewSession(NamedTuple):
    """A session's secret, just made, and what the books keep of it."""

    secret: str
    digest: bytes


def new_session() -> NewSession:
    """Make a session's secret from the system's randomness."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=")
    return NewSession(secret.decode(), hashlib.sha256(secret).digest())


def session_digest(cookies: Sequence[bytes]) -> bytes | None:
    """Return the SHA-256 of the session's secret that `Cookie` headers hold, None without one.

    Raises Refused(SessionOver) where it cannot be one, or is there twice.
    """
    name = COOKIE.encode()
    found = [
        value
        for header in cookies
        for pair in header.split(b";")
        for key, _, value in [pair.strip(b" \t").partition(b"=")]
        if key == name
    ]
    if not found:
        return None
    if len(found) > 1 or _SECRET.fullmatch(found[0]) is None:
        raise Refused(SessionOver())
    return hashlib.sha256(found[0]).digest()


def set_cookie(session: NewSession, ends_at: datetime) -> tuple[str, str]:
    """Return the header that gives a browser its session."""
    seconds = max(0, int((ends_at - datetime.now(UTC)).total_seconds()))
    return ("Set-Cookie", f"{COOKIE}={session.secret}; Max-Age={seconds}; {_COOKIE_TERMS}")


def clear_cookie() -> tuple[str, str]:
    """Return the header that takes the session from a browser."""
    return ("Set-Cookie", f"{COOKIE}=; Max-Age=0; {_COOKIE_TERMS}")


def require_own_page(method: str, public_url: str, headers: Headers) -> None:
    """Refuse what another site's page may have made a browser send, with its cookie.

    Reading is safe: other pages do not get to see the answer. Raises Refused(OriginRefused).
    """
    if method in SAFE_METHODS:
        return
    # Every browser sends one of these two with what is not a plain reading.
    if not headers.get(b"origin") and not headers.get(b"sec-fetch-site"):
        raise Refused(OriginRefused(public_url))
    require_no_other_page(public_url, headers)


def require_no_other_page(public_url: str, headers: Headers) -> None:
    """Refuse what another site's page made a browser send; what is no browser says nothing.

    Raises Refused(OriginRefused).
    """
    origins, sites = headers.get(b"origin", ()), headers.get(b"sec-fetch-site", ())
    if origins and list(origins) != [public_url.encode()]:
        raise Refused(OriginRefused(public_url))
    if sites and list(sites) != [b"same-origin"]:
        raise Refused(OriginRefused(public_url))
