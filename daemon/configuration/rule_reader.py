"""The rule of a source in the configuration: how much it earns, when, and within which caps."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from daemon.configuration.mistakes import shown
from daemon.configuration.rules import GRANT_MAX_MICRO, Holding, Rule
from daemon.configuration.toml_reader import Table
from ledger.credits import MICRO_MAX, format_credits, parse_credits

# 10^78 base units, one whole token of 78 decimals, would not fit a uint256.
DECIMALS_MAX: Final = 77
# A century: what lives longer should say that it never expires.
EXPIRES_DAYS_MAX: Final = 36_500
# Ten years; and a change of rates every other week for as long.
HOLD_HOURS_MAX: Final = 87_600
RATES_MAX: Final = 256
SPANS: Final = MappingProxyType({"hour": 3_600, "day": 86_400, "week": 604_800})

_TOKENS: Final = re.compile(r"(0|[1-9][0-9]{0,77})(?:\.([0-9]{1,77}))?", re.ASCII)
_TOKENS_WANTED: Final = 'a decimal string of tokens such as "1" or "0.5"'
_UINT256_MAX: Final = 2**256 - 1


def read_rule(table: Table, *, earns_by_time: bool, decimals: int | None = None) -> Rule:
    """Return the rule a table describes; what earns by time has other settings than an event.

    `decimals` are those of the amounts where they are no token's, which the table has to say.
    """
    if decimals is None:
        decimals = table.integer("decimals", at_least=0, at_most=DECIMALS_MAX)
    rule = Rule(
        credits_micro=read_credits(table, "credits", GRANT_MAX_MICRO, required=True) or 1,
        per_base_units=read_tokens(table, "per", decimals) or 1,
        max_per_event_micro=None
        if earns_by_time
        else read_credits(table, "max_per_event", GRANT_MAX_MICRO),
        max_per_account_micro=read_credits(table, "max_per_account", MICRO_MAX),
        max_per_account_day_micro=read_credits(table, "max_per_account_day", MICRO_MAX),
        max_per_day_micro=read_credits(table, "max_per_day", MICRO_MAX),
        max_in_all_micro=read_credits(table, "max_in_all", MICRO_MAX),
        expires_days=table.optional_integer("expires_days", at_least=1, at_most=EXPIRES_DAYS_MAX),
        rates=_read_rates(table),
        holding=_read_holding(table) if earns_by_time else None,
    )
    if (
        rule.holding is None
        and table.sound("credits", "per", "decimals")
        and 10**decimals * rule.credits_micro < rule.per_base_units
    ):
        table.mistake(
            "per",
            "makes one whole token earn less than a millionth of a credit, which is rounded down"
            ' to nothing: raise credits or lower per (credits = "10", per = "1" is ten credits'
            " for each token)",
        )
    _check_caps(table, rule)
    table.refuse_unknown()
    return rule


def _read_holding(table: Table) -> Holding:
    every = _read_span(table, "every")
    period = _read_span(table, "period")
    hours = table.integer("hold_hours", at_least=0, at_most=HOLD_HOURS_MAX, default=0)
    return Holding(every, period, hours * 3_600)


def _read_span(table: Table, key: str) -> int:
    """Return the seconds of a span that has a name; a day if none is given."""
    wanted = f"one of {', '.join(SPANS)}"
    name = table.text(key, wanted=wanted, default="day")
    if name and name not in SPANS:
        table.mistake(key, f"must be {wanted} (got {shown(name)})")
    return SPANS.get(name, SPANS["day"])


def _read_rates(table: Table) -> tuple[tuple[int, int], ...]:
    """Return since when how many credits are earned, in unix seconds and micro-credits."""
    value = table.value("rates")
    if value is None:
        return ()
    wanted = 'a list such as [{ from = 2027-01-01T00:00:00Z, credits = "20" }]'
    if isinstance(value, list) and len(value) > RATES_MAX:
        table.mistake("rates", f"has more than {RATES_MAX} entries")
        return ()
    rates: list[tuple[int, int]] = []
    for each in table.tables("rates", wanted=wanted):
        since = _read_moment(each, "from")
        if since is not None and rates and since <= rates[-1][0]:
            each.mistake("from", "is not after the one before it")
        micro = read_credits(each, "credits", GRANT_MAX_MICRO, required=True, at_least=0)
        each.refuse_unknown()
        if since is not None and micro is not None:
            rates.append((since, micro))
    return tuple(rates)


def _read_moment(table: Table, key: str) -> int | None:
    """Return a moment in unix seconds, None if it is missing or wrong."""
    wanted = "a date and time with its offset, in whole seconds, such as 2027-01-01T00:00:00Z"
    value = table.value(key)
    if value is None:
        table.missing(key, wanted)
        return None
    is_whole = isinstance(value, datetime) and value.tzinfo is not None and not value.microsecond
    if not is_whole or not isinstance(value, datetime) or value.timestamp() <= 0:
        table.mistake(key, f"must be {wanted}, without quotes and after 1970")
        return None
    return int(value.timestamp())


def read_tokens(table: Table, key: str, decimals: int) -> int | None:
    """Return how many base units some tokens are, None if the key is missing or wrong."""
    text = table.decimal(key, wanted=_TOKENS_WANTED)
    if text is None:
        if table.sound(key):
            table.missing(key, _TOKENS_WANTED)
        return None
    match = _TOKENS.fullmatch(text)
    if match is None:
        table.mistake(key, f"must be {_TOKENS_WANTED} (got {shown(text)})")
        return None
    if not table.sound("decimals"):
        return None
    whole, part = match[1], (match[2] or "").rstrip("0")
    if len(part) > decimals:
        table.mistake(key, f"has {len(part)} decimals, but the token has {decimals}")
        return None
    base_units = int(whole + part.ljust(decimals, "0"))
    if not 1 <= base_units <= _UINT256_MAX:
        table.mistake(key, f"must be more than 0 and at most 2^256 base units (got {shown(text)})")
        return None
    return base_units


def read_credits(
    table: Table, key: str, micro_max: int, *, required: bool = False, at_least: int = 1
) -> int | None:
    """Return micro-credits, `at_least` 0 or 1, None if the key is missing or wrong."""
    wanted = 'a decimal string such as "0.5"'
    text = table.decimal(key, wanted=wanted)
    if text is None:
        if required and table.sound(key):
            table.missing(key, wanted)
        return None
    try:
        micro = parse_credits(text)
    except ValueError:
        micro = None
    if micro is None or not at_least <= micro <= micro_max:
        table.mistake(
            key,
            f"must be {wanted}: digits, at most six of them after the point, no sign,"
            f" {'more than 0 and ' if at_least else ''}at most {format_credits(micro_max)}"
            f" (got {shown(text)})",
        )
        return None
    return micro


def _check_caps(table: Table, rule: Rule) -> None:
    if (
        table.sound("credits", "max_per_event")
        and rule.max_per_event_micro is not None
        and rule.max_per_event_micro < rule.credits_micro
    ):
        table.mistake(
            "max_per_event",
            f"is less than credits ({format_credits(rule.credits_micro)}), so that not even `per`"
            " tokens would earn what the rule says: raise it, or lower credits and per together",
        )
    for narrow_to_wide in (
        [
            ("max_per_event", rule.max_per_event_micro),
            ("max_per_account_day", rule.max_per_account_day_micro),
            ("max_per_account", rule.max_per_account_micro),
            ("max_in_all", rule.max_in_all_micro),
        ],
        [
            ("max_per_account_day", rule.max_per_account_day_micro),
            ("max_per_day", rule.max_per_day_micro),
            ("max_in_all", rule.max_in_all_micro),
        ],
    ):
        _check_order(table, narrow_to_wide)


def _check_order(table: Table, narrow_to_wide: Sequence[tuple[str, int | None]]) -> None:
    given = [(key, cap) for key, cap in narrow_to_wide if cap is not None and table.sound(key)]
    for (narrow, narrow_cap), (wide, wide_cap) in pairwise(given):
        if narrow_cap > wide_cap:
            table.mistake(
                narrow,
                f"is more than {wide} ({format_credits(wide_cap)}) and can never be reached:"
                " lower it or leave it out",
            )
