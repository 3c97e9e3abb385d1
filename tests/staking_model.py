"""What stakes earn, by the definition: fractions, every rate, and the least of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ledger.watching import StakeTerms


@dataclass(frozen=True)
class Change:
    """What happened to one wallet's stake: base units, below zero where they were taken out."""

    time: int
    amount: int


def held(changes: Sequence[Change], until: int) -> int:
    """What is staked after all changes up to a moment, those of that moment too."""
    return sum(change.amount for change in changes if change.time <= until)


def counts(changes: Sequence[Change], moment: int, hold_seconds: int) -> int:
    """What earns just after a moment: the least that was there in all of the window before it."""
    begin = moment - hold_seconds
    steps = [0, *range(1, len(changes) + 1)]
    sums = [sum(change.amount for change in changes[:step]) for step in steps]
    inside = [
        balance
        for step, balance in zip(steps, sums, strict=True)
        # A balance lasts from its change to the next one.
        if (step == 0 or changes[step - 1].time <= moment)
        and (step == len(changes) or changes[step].time > begin)
    ]
    return max(0, min(inside))


def earned(changes: Sequence[Change], terms: StakeTerms, until: int) -> Fraction:
    """The micro-credits that one wallet's stake has earned up to a moment."""
    rates = dict(terms.rates)
    moments = {change.time for change in changes}
    moments |= {change.time + terms.hold_seconds for change in changes}
    breaks = sorted({*moments, *rates, until})
    total = Fraction(0)
    for begin, end in pairwise(breaks):
        if end > until:
            break
        rate = rates[max(since for since in rates if since <= begin)]
        total += counts(changes, begin, terms.hold_seconds) * rate * (end - begin)
    return total / terms.divisor
