"""What both clients hold their connections to."""

from typing import Final

import httpx2

from creditd_client.wire.attempts import Unanswered

CONNECTIONS_MAX: Final = 100
TIMEOUT_SECONDS: Final = 3.0


def checked(api_key: str) -> str:
    """Return an API key that can be sent. Raises ValueError, without showing it."""
    if not api_key:
        raise ValueError("api_key is empty: give the API key that `creditd key create` showed")
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise ValueError("api_key is not one word of ASCII: strip what surrounds it")
    return api_key


def checked_url(base_url: str) -> httpx2.URL:
    """Return where creditd is. Raises ValueError for what no request could be sent to."""
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{base_url[:200]!r} is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(
            f"{base_url[:200]!r} is no URL of creditd: write it like http://127.0.0.1:8402"
        )
    return url


def headers(api_key: str) -> dict[str, str]:
    """Return the headers of every request."""
    return {"Authorization": f"Bearer {checked(api_key)}", "Accept": "application/json"}


def limits() -> httpx2.Limits:
    """Return how many connections are kept at most."""
    return httpx2.Limits(max_connections=CONNECTIONS_MAX)


def broken(failure: httpx2.RequestError | TimeoutError, seconds: float) -> Unanswered:
    """Return what became of an attempt of so many seconds that ended in a failure."""
    if isinstance(failure, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Unanswered(f"no connection ({failure!r})", maybe_taken=False)
    if isinstance(failure, httpx2.TimeoutException | TimeoutError):
        return Unanswered(f"no answer within {seconds:.3g} s", maybe_taken=True)
    return Unanswered(f"the connection broke ({failure!r})", maybe_taken=True)
