"""The headers that tell of a rate, as draft-ietf-httpapi-ratelimit-headers has them."""

from typing import Final

POLICY: Final = "api-key"


def rate_headers(
    requests: int, seconds: int, left: int, full_in: int
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return what is allowed, and that `left` are until it is all there again."""
    return (
        ("RateLimit-Policy", f'"{POLICY}";q={requests};w={seconds}'),
        ("RateLimit", f'"{POLICY}";r={left};t={full_in}'),
    )
