"""What creditd's answers say. Amounts are credits, exact decimals; times are UTC."""

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
    """A charge looked up, and how much of its cost was given back.

    `units` is None where a reservation was settled by an amount: nobody said how many there were.
    """

    id: str
    account: str
    operation: str
    units: int | None
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
class Quote:
    """What units of an operation cost now, and whether the account can pay that.

    `most_affordable_units` is None where any number can be paid, `missing` what the account lacks.
    """

    price_version: int
    cost: Decimal
    available: Decimal
    affordable: bool
    most_affordable_units: int | None
    missing: Decimal


@dataclass(frozen=True, slots=True)
class Reservation:
    """`amount` credits held until `expires_at`; `available` is the balance right after.

    `replayed`: it stood already when creditd answered.
    """

    id: str
    account: str
    operation: str
    units: int
    price_version: int
    amount: Decimal
    available: Decimal
    expires_at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reservation ended: `how` is settled, released or expired.

    What was `taken` is `charge`, to be refunded as any; None where nothing was. `units` are those
    that it was settled by, None where it was by an amount, or not settled.
    """

    reservation: str
    how: str
    taken: Decimal
    charge: str | None
    available: Decimal
    replayed: bool
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account can spend, what is held of it, what waits for confirmation, what it owes."""

    account: str
    available: Decimal
    held: Decimal
    pending: Decimal
    debt: Decimal


@dataclass(frozen=True, slots=True)
class ReservationRecord:
    """A reservation looked up: `state` is open, settled, released or expired.

    `taken` is None while it is open, or over and not ended yet; what was taken is `charge`. `units`
    are those reserved, `used` those that it was settled by, if it was by units.
    """

    id: str
    account: str
    operation: str
    units: int
    amount: Decimal
    expires_at: datetime
    state: str
    taken: Decimal | None
    charge: str | None
    used: int | None = None
