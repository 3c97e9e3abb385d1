"""What creditd's answers say. Amounts are credits, exact decimals."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Charged:
    """A charge that stands, made `at` (UTC); `available` is the balance right after it was made.

    `replayed`: it stood already when creditd answered. `ours`: this call made it, as far as can be
    known: at once, or by an attempt whose answer was lost. Otherwise an earlier call made it under
    the same key.
    """

    id: str
    cost: Decimal
    available: Decimal
    at: datetime
    replayed: bool
    ours: bool


@dataclass(frozen=True, slots=True)
class ChargeRecord:
    """A charge looked up, and how much of its cost was given back."""

    id: str
    account: str
    operation: str
    units: int
    cost: Decimal
    refunded: Decimal

    @property
    def undone(self) -> bool:
        """Whether all that it took was given back."""
        return self.cost > 0 and self.refunded >= self.cost


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund that stands. `repaid` is the part of it that went to the account's debt."""

    id: str
    charge: str
    amount: Decimal
    repaid: Decimal
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account can spend, what waits for confirmation, and what it owes."""

    account: str
    available: Decimal
    pending: Decimal
    debt: Decimal
