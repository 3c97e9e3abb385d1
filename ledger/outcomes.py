"""What comes of asking the ledger for something, as values.

A caller matches on these; only what nobody can go on from is an exception (`ledger.errors`).
All amounts are micro-credits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ledger.ids import AccountRef, MovementRef


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that stands in the books.

    `available` is the balance right after it was made, so a replay gives it unchanged.
    """

    movement: MovementRef
    operation: str
    units: int
    price_version: int
    cost: int
    available: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Charged:
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


ChargeOutcome = (
    Charged
    | Insufficient
    | KeyReused
    | UnknownOperation
    | PriceChanged
    | TooExpensive
    | NoSuchAccount
    | Frozen
    | OverBudget
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


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The account the app asked for: made now (`created`), or already there."""

    account: AccountRef
    created: bool


@dataclass(frozen=True, slots=True)
class AccountClosed:
    """The account belongs to a member that left; nothing was written."""


@dataclass(frozen=True, slots=True)
class BeyondRange:
    """The amount, or what the account would hold then, is beyond the range of the books."""


@dataclass(frozen=True, slots=True)
class NameTaken:
    """The name stands for another account already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The address's wallets earn for the account: from now on, or (`replayed`) since earlier.

    `wallets` were linked now, and `moved` credits and `debt` came along with them.
    """

    account: AccountRef
    wallets: int
    moved: int
    debt: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class LinkedElsewhere:
    """A wallet of the address is linked to another account; nothing was written."""


@dataclass(frozen=True, slots=True)
class LinkChained:
    """Nothing was written: links are never chained.

    Either the account is the own one of a linked wallet, or others are linked to the wallet's own.
    """


LinkOutcome = (
    Linked | LinkedElsewhere | LinkChained | NoSuchAccount | AccountClosed | Frozen | BeyondRange
)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The address's wallets earn for their own accounts: from now on, or (`replayed`) as before."""

    replayed: bool


UnlinkOutcome = Unlinked | LinkedElsewhere | NoSuchAccount


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """The membership is over: since now, or (`replayed`) since earlier."""

    replayed: bool


@dataclass(frozen=True, slots=True)
class MemberMoved:
    """The member has an account in the other organisation: since now, or (`replayed`) before."""

    account: AccountRef
    replayed: bool


RemoveOutcome = MemberRemoved | NoSuchAccount | Frozen
MoveOutcome = MemberMoved | NoSuchAccount | AccountClosed | NameTaken | Frozen


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """The budget is as it was asked for."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Credits that moved between an organisation's pool and a member.

    `movement` is that of the account that gave them, `available` what that one had right after.
    """

    movement: MovementRef
    amount: int
    available: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Allocated:
    """The credits moved now, or (`replayed`) earlier under the same key."""

    allocation: Allocation
    replayed: bool


@dataclass(frozen=True, slots=True)
class NotCovered:
    """The account has less to give; nothing was written and the key stays free.

    What it cannot give: an overdraft, credits of a later time, credits of some operations only.
    """

    required: int
    available: int


AllocationOutcome = (
    Allocated | KeyReused | NotCovered | NoSuchAccount | AccountClosed | Frozen | BeyondRange
)


@dataclass(frozen=True, slots=True)
class StatusSet:
    """The account is frozen, or open again: since now (`changed`), or it was before."""

    changed: bool


@dataclass(frozen=True, slots=True)
class OverdraftSet:
    """How much of the overdraft is in use, spent or reserved, and how much is not.

    A lowered limit takes back what is not in use: `used` may be beyond it until it is paid back.
    """

    used: int
    unused: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as it was made: `movement` names it, at the account whose credits it holds.

    `available` and `held` are those of that account right after.
    """

    movement: MovementRef
    operation: str
    units: int
    price_version: int
    amount: int
    available: int
    held: int
    expires_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Reserved:
    """The credits are held: since now, or (`replayed`) since earlier under the same key."""

    reservation: Reservation
    replayed: bool


@dataclass(frozen=True, slots=True)
class DurationRefused:
    """A reservation lasts longer than nothing and at most `longest`; nothing was written."""

    longest: timedelta


ReserveOutcome = (
    Reserved
    | Insufficient
    | KeyReused
    | UnknownOperation
    | PriceChanged
    | TooExpensive
    | NoSuchAccount
    | Frozen
    | OverBudget
    | DurationRefused
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a reservation came to its end: `taken` of it was charged, the rest was given back.

    `movement` names what was taken for a refund. `available` and `held` are right after.
    """

    reservation: MovementRef
    movement: MovementRef
    how: Literal["settled", "released", "expired"]
    taken: int
    available: int
    held: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """The work is charged: now, or (`replayed`) earlier with the same amount."""

    ending: Ending
    replayed: bool


@dataclass(frozen=True, slots=True)
class Released:
    """Everything is given back: now, or (`replayed`) earlier."""

    ending: Ending
    replayed: bool


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """The reservation had come to another end: this one. Nothing was written but what was due."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class OverBound:
    """The settlement asks for less than nothing or for more than `most`; nothing was written."""

    most: int


@dataclass(frozen=True, slots=True)
class NotCoveredBeyond:
    """The work cost `extra` more than is held, and less is available; the reservation is open."""

    extra: int
    available: int
    debt: int


@dataclass(frozen=True, slots=True)
class NoSuchReservation:
    """The app has no such reservation, or may not reach its account."""


@dataclass(frozen=True, slots=True)
class Extended:
    """The reservation is open until then."""

    expires_at: datetime


SettleOutcome = (
    Settled
    | AlreadyEnded
    | OverBound
    | NotCoveredBeyond
    | TooExpensive
    | KeyReused
    | NoSuchReservation
)
ReleaseOutcome = Released | AlreadyEnded | KeyReused | NoSuchReservation
ExtendOutcome = Extended | AlreadyEnded | NoSuchReservation | DurationRefused


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


GrantOutcome = Granted | KeyReused | NoSuchAccount | NoSuchCharge | BeyondBreaker | BeyondRange
