"""What a stake has earned up to a moment, in whole numbers: the books' formula, anywhere. Pure.

The books compute the same where they grant (`creditd.weighed` and `creditd.changed`); here it is
for whoever has nothing but the changes of a stake and its terms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ledger.sightings import StakeTerms

# As the books have it: past so many parts that do not earn yet, later ones join the last of them.
MATURING_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a stake: its block's time in unix seconds, and base units, negative if taken."""

    time: int
    amount: int


@dataclass(frozen=True, slots=True)
class Earned:
    """What a stake has earned, in whole micro-credits, and how many base units of it earn then.

    `base_units` are below zero where more was taken out than came in.
    """

    micro: int
    base_units: int


@dataclass(slots=True)
class _Stake:
    """A stake at the moment `since`: `weight` is what it earned until then, times the divisor."""

    since: int
    balance: int = 0
    weight: int = 0
    maturing: list[tuple[int, int]] = field(default_factory=list)  # from when on, base units


def earned_until(changes: Iterable[Change], terms: StakeTerms, until: int) -> Earned:
    """Return what the changes before a moment, in chain order, have earned up to it.

    `until` is in unix seconds. Changes at it or after it have earned nothing by then.
    """
    stake = _Stake(since=0)
    for change in changes:
        if change.time >= until:
            break
        _weigh(stake, terms, change.time)
        if change.amount >= 0:
            _add(stake, terms, change)
        else:
            _take(stake, -change.amount)
    _weigh(stake, terms, until)
    return Earned(stake.weight // terms.divisor, stake.balance)


def _rate_until(terms: StakeTerms, at: int) -> int:
    """Return what one base unit has earned between 1970 and a moment, times the divisor."""
    ends = [*(since for since, _ in terms.rates[1:]), at]
    return sum(
        micro * max(0, min(end, at) - since)
        for (since, micro), end in zip(terms.rates, ends, strict=True)
    )


def _weigh(stake: _Stake, terms: StakeTerms, to: int) -> None:
    """Let a stake earn up to a moment; what has matured by then is among what earns."""
    due = [(at, amount) for at, amount in stake.maturing if at <= to]
    del stake.maturing[: len(due)]
    moments = [stake.since, *(at for at, _ in due), max(to, stake.since)]
    matured = [*(amount for _, amount in due), 0]
    rates = [_rate_until(terms, moment) for moment in moments]
    for (before, after), amount in zip(pairwise(rates), matured, strict=True):
        stake.weight += max(0, stake.balance) * (after - before)
        stake.balance += amount
    stake.since = moments[-1]


def _add(stake: _Stake, terms: StakeTerms, change: Change) -> None:
    matures_at = change.time + terms.hold_seconds
    if terms.hold_seconds == 0:
        stake.balance += change.amount
    elif len(stake.maturing) == MATURING_MAX:
        stake.maturing[-1] = (matures_at, stake.maturing[-1][1] + change.amount)
    else:
        stake.maturing.append((matures_at, change.amount))


def _take(stake: _Stake, amount: int) -> None:
    """Take base units out, of what came last first."""
    left = amount
    while left and stake.maturing:
        at, there = stake.maturing.pop()
        if there > left:
            stake.maturing.append((at, there - left))
        left -= min(there, left)
    stake.balance -= left
