"""Credits as text and as integers.

Inside, credits are integers: micro-credits, one credit is 1,000,000 of them. Outside (JSON,
configuration, pages) they travel as decimal strings. Here is the only place that turns one into
the other; nothing rounds on the way.
"""

import re
from typing import Final

MICRO_PER_CREDIT: Final = 1_000_000
# Below 2^62, so that no sum of two amounts leaves a bigint.
MICRO_MAX: Final = 4_000_000_000_000_000_000

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,6}))?", re.ASCII)


def parse_credits(text: str) -> int:
    """Return the micro-credits of a decimal string such as `12`, `0.5` or `3.000001`.

    Raises ValueError for anything else: signs, exponents, leading zeros, more than six decimals,
    more than 4,000,000,000,000 credits.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not an amount of credits:"
            " write digits, at most six decimals, no sign, such as 12 or 0.5"
        )
    whole, decimals = match.group(1), match.group(2) or ""
    micro = int(whole) * MICRO_PER_CREDIT + int(decimals.ljust(6, "0"))
    if micro > MICRO_MAX:
        raise ValueError(f"{text} credits are more than the books hold (4000000000000)")
    return micro


def format_credits(micro: int) -> str:
    """Return micro-credits as the shortest decimal string of credits: 1500000 → `1.5`."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO_PER_CREDIT)
    if rest == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:06d}".rstrip("0")
