"""What comes of reservations and of ending them. Amounts are micro-credits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ledger.ids import MovementRef
from ledger.outcomes.charging import (
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    OverKeyCap,
    PriceChanged,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as it was made: `movement` names it, at the account whose credits it holds.

    `model` is whose price is held, None if that is the price for any model. `available` and `held`
    are those of that account right after.
    """

    movement: MovementRef
    operation: str
    model: str | None
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
    | UnknownModel
    | PriceChanged
    | TooExpensive
    | NoSuchAccount
    | Frozen
    | OverBudget
    | OverKeyCap
    | DurationRefused
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a reservation came to its end: `taken` of it was charged, the rest was given back.

    `movement` names what was taken for a refund. `available` and `held` are right after. `units`
    are those that a settlement by units said were used, None of any other end.
    """

    reservation: MovementRef
    movement: MovementRef
    how: Literal["settled", "released", "expired"]
    taken: int
    available: int
    held: int
    at: datetime
    units: int | None


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
