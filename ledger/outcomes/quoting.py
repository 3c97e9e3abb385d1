"""What comes of asking for a quote. Amounts are micro-credits."""

from dataclasses import dataclass

from ledger.outcomes.charging import (
    Frozen,
    NoSuchAccount,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)


@dataclass(frozen=True, slots=True)
class Quote:
    """What something costs now. Nothing is held: a charge decides anew.

    `model` is whose price it is, None if that is the price for any model. `available` is what could
    be spent on it, by whoever would pay; `held` and `debt` are the account's own.
    `most_affordable_units` is None where any number of units can be paid for.
    """

    price_version: int
    model: str | None
    cost: int
    available: int
    held: int
    debt: int
    most_affordable_units: int | None

    @property
    def affordable(self) -> bool:
        """Whether a charge would go through."""
        return self.cost <= self.available

    @property
    def missing(self) -> int:
        """What must be earned before a charge would go through, debt included."""
        return 0 if self.affordable else self.cost - self.available + self.debt


QuoteOutcome = Quote | NoSuchAccount | Frozen | UnknownOperation | UnknownModel | TooExpensive
