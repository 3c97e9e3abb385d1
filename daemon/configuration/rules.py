"""How an event's amount becomes credits: one multiplication and one floor, in whole numbers."""

from dataclasses import dataclass
from typing import Final

from ledger.credits import MICRO_MAX

# A quarter of what the books can hold in one amount (10^12 credits): whatever asks for more is a
# wrong rule or a worthless token, and a person should see it before anybody spends it.
GRANT_MAX_MICRO: Final = MICRO_MAX // 4


@dataclass(frozen=True, slots=True)
class Holding:
    """How stakes earn by time: a rule's credits for every `every_seconds` that they are held.

    What they have earned is granted every `period_seconds`; what is staked earns once it has been
    held for `hold_seconds`.
    """

    every_seconds: int
    period_seconds: int
    hold_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What a source's events earn: `credits_micro` for every `per_base_units` of the amount.

    Base units are the token's smallest ones (wei for 18 decimals). `rates` are pairs of unix
    seconds, ascending, and the `credits_micro` of the blocks from then on. With `holding` it is
    not events that earn but what they stake, for the time it is held. Caps are micro-credits and at
    least 1, None means no cap: `max_per_event_micro` is applied here, those per account, per day
    and over all need the earlier grants and are applied where those are read. Credits expire
    `expires_days` after the time of their block, or never (None). Raises ValueError for numbers
    that no rule can have.
    """

    credits_micro: int
    per_base_units: int
    max_per_event_micro: int | None = None
    max_per_account_micro: int | None = None
    max_per_account_day_micro: int | None = None
    max_per_day_micro: int | None = None
    max_in_all_micro: int | None = None
    expires_days: int | None = None
    rates: tuple[tuple[int, int], ...] = ()
    holding: Holding | None = None

    def credits_micro_at(self, time: int) -> int:
        """Return what `per_base_units` earn in a block of a time, in unix seconds."""
        return next(
            (micro for since, micro in reversed(self.rates) if since <= time), self.credits_micro
        )

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"a rule's {name} must be at least 1 (got {value})")


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The event would earn more than GRANT_MAX_MICRO: it is set aside for a person to look at."""

    credits_micro: int


def credits_for(rule: Rule, amount_base_units: int, time: int) -> int | TooLarge:
    """Return the micro-credits that one event of this amount earns, caps per account aside.

    `time` is that of its block, in unix seconds.

    Never more than the exact fraction, and less by under one micro-credit only. 0 is an answer:
    the amount is too small to earn. Raises ValueError for a negative amount.
    """
    if amount_base_units < 0:
        raise ValueError(f"an event's amount is never negative (got {amount_base_units})")
    # Floor, the only rounding there is: never grant a fraction that was not earned.
    credits_micro = amount_base_units * rule.credits_micro_at(time) // rule.per_base_units
    if rule.max_per_event_micro is not None:
        credits_micro = min(credits_micro, rule.max_per_event_micro)
    if credits_micro > GRANT_MAX_MICRO:
        return TooLarge(credits_micro)
    return credits_micro
