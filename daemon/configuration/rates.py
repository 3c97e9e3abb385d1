"""How often, how much and how long, as people write them: `50/s`, `100/day`, `24h`."""

import re
from datetime import timedelta
from typing import Final, cast, get_args

from ledger.api_key_terms import Cap, Rate
from ledger.credits import parse_credits
from ledger.periods import Period

RATE_WANTED: Final = 'a number of requests and a span, such as "50/s", "600/min" or "5000/h"'
CAP_WANTED: Final = 'credits and a period of UTC, such as "100/day", "0.5/week" or "1000/ever"'
SPAN_WANTED: Final = 'a whole number of seconds, minutes, hours or days, such as "30m" or "90d"'
REQUESTS_MAX: Final = 1_000_000  # in one span: more is no limit
SPAN_DAYS_MAX: Final = 3_650  # what is to last longer than a decade is meant never to end

_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/(s|min|h)", re.ASCII)
_SECONDS: Final = {"s": 1, "min": 60, "h": 3_600}
_SPAN: Final = re.compile(r"(0|[1-9][0-9]{0,8})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_rate(text: str) -> Rate:
    """Return the rate that a text is. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) > REQUESTS_MAX:
        raise ValueError(f"must be {RATE_WANTED}, up to {REQUESTS_MAX} requests")
    return Rate(int(match[1]), _SECONDS[match[2]])


def parse_cap(text: str) -> Cap:
    """Return the cap that a text is. Raises ValueError."""
    amount, _, period = text.partition("/")
    if period not in get_args(Period):
        raise ValueError(f"must be {CAP_WANTED}; periods are {', '.join(get_args(Period))}")
    return Cap(cast("Period", period), parse_credits(amount))


def parse_span(text: str) -> timedelta:
    """Return the span of time that a text is, at most SPAN_DAYS_MAX. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    span = timedelta(0) if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
    if match is None or span > timedelta(days=SPAN_DAYS_MAX):
        raise ValueError(f"must be {SPAN_WANTED}, at most {SPAN_DAYS_MAX}d")
    return span
