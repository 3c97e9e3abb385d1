"""What comes of charging, of giving back, and of asking in general. Amounts are micro-credits."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from ledger.ids import MovementRef

# What comes of every charge is a Struct: making one costs a small part of what a frozen
# dataclass does.


class Charge(msgspec.Struct, frozen=True):
    """A charge that stands in the books.

    `model` is whose price it was, None if that was the price for any model. `available` is the
    balance right after it was made, so a replay gives it unchanged.
    """

    movement: MovementRef
    operation: str
    model: str | None
    units: int
    price_version: int
    cost: int
    available: int
    at: datetime


class Charged(msgspec.Struct, frozen=True):
    """The charge was made now, or (`replayed`) earlier under the same key."""

    charge: Charge
    replayed: bool


@dataclass(frozen=True, slots=True)
class Insufficient:
    """Nothing was written: the balance does not cover the price. The key stays free."""

    required: int
    available: int
    debt: int
    price_version: int

    @property
    def missing(self) -> int:
        """What must be earned before the charge goes through, debt included."""
        return self.required - self.available + self.debt


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to another request; nothing was written."""


@dataclass(frozen=True, slots=True)
class UnknownOperation:
    """No price is in force for the operation; nothing was written."""


@dataclass(frozen=True, slots=True)
class UnknownModel:
    """The operation has prices by model, and none for this one or for any; nothing was written."""


@dataclass(frozen=True, slots=True)
class PriceChanged:
    """The caller named a price version that is not the one in force; nothing was written."""

    in_force: int


@dataclass(frozen=True, slots=True)
class TooExpensive:
    """Units below one, or a cost beyond the range of the books; nothing was written."""


@dataclass(frozen=True, slots=True)
class NoSuchAccount:
    """There is no such account, or the app may not reach it: both look alike from outside."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The account is frozen; nothing was written."""


@dataclass(frozen=True, slots=True)
class OverBudget:
    """The member's budget leaves less than the price; nothing was written."""

    required: int
    left: int
    price_version: int


@dataclass(frozen=True, slots=True)
class OverKeyCap:
    """A cap of the API key leaves less than this may take; nothing was written, the key is free.

    `renews_at` is when that cap begins anew, None for one that never does.
    """

    required: int
    left: int
    price_version: int
    renews_at: datetime | None


ChargeOutcome = (
    Charged
    | Insufficient
    | KeyReused
    | UnknownOperation
    | UnknownModel
    | PriceChanged
    | TooExpensive
    | NoSuchAccount
    | Frozen
    | OverBudget
    | OverKeyCap
)


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that stands in the books.

    `repaid` is the part that went to the account's debt instead of its balance.
    """

    movement: MovementRef
    charge: MovementRef
    amount: int
    repaid: int
    available: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Refunded:
    """The refund was made now, or (`replayed`) earlier under the same key."""

    refund: Refund
    replayed: bool


@dataclass(frozen=True, slots=True)
class NoSuchCharge:
    """There is no such charge, or the app may not reach its account."""


@dataclass(frozen=True, slots=True)
class MoreThanTaken:
    """The refund asks for more than is left of the charge; nothing was written."""

    refundable: int


RefundOutcome = Refunded | KeyReused | NoSuchCharge | MoreThanTaken
