"""What comes of granting. Amounts are micro-credits."""

from dataclasses import dataclass
from datetime import datetime

from ledger.ids import MovementRef
from ledger.outcomes.accounts import BeyondRange
from ledger.outcomes.charging import KeyReused, NoSuchAccount, NoSuchCharge


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant that stands in the books.

    `repaid` is the part that went to the account's debt, `available` the balance right after.
    """

    movement: MovementRef
    amount: int
    repaid: int
    available: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """The credits were granted now, or (`replayed`) earlier under the same key."""

    grant: Grant
    replayed: bool


@dataclass(frozen=True, slots=True)
class BeyondBreaker:
    """The charge may cause no more than `left` to be granted; nothing was written."""

    left: int


@dataclass(frozen=True, slots=True)
class GrantTakenBack:
    """What an operator granted is taken back: now, or (`replayed`) it was before.

    Of `granted`, `taken` was left, wherever it had moved to; what was spent is owed. `available`
    and `debt` are what the account has and owes now.
    """

    granted: int
    taken: int
    available: int
    debt: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class NoSuchGrant:
    """The account has no such grant, or a chain's event made it: those nobody takes back."""


@dataclass(frozen=True, slots=True)
class NoSuchSource:
    """The books know no source of this name."""

    name: str


GrantOutcome = Granted | KeyReused | NoSuchAccount | NoSuchCharge | BeyondBreaker | BeyondRange
