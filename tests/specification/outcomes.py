"""What comes of asking, where the ledger has no value for it."""

from dataclasses import dataclass

from ledger.ids import MovementRef


@dataclass(frozen=True)
class Granted:
    movement: MovementRef
    amount: int
    repaid: int
    available: int
    replayed: bool = False


@dataclass(frozen=True)
class BeyondBreaker:
    """`left` is what the charge may still cause to be granted."""

    left: int


@dataclass(frozen=True)
class Reserved:
    reservation: MovementRef
    amount: int
    available: int
    held: int
    expires_at: int
    replayed: bool = False


@dataclass(frozen=True)
class Settled:
    reservation: MovementRef
    movement: MovementRef
    amount: int
    available: int
    held: int
    replayed: bool = False


@dataclass(frozen=True)
class Released:
    """The reservation gave everything back: asked to, or (`expired`) by the clock.

    `amount` is what was taken all the same.
    """

    reservation: MovementRef
    movement: MovementRef
    amount: int
    available: int
    held: int
    expired: bool = False
    replayed: bool = False


Ending = Settled | Released


@dataclass(frozen=True)
class AlreadyEnded:
    """The reservation came to another end before: this one."""

    ending: Ending


@dataclass(frozen=True)
class OverBound:
    """A settlement of more than the reservation allows: nothing was written."""

    most: int


@dataclass(frozen=True)
class Extended:
    expires_at: int


@dataclass(frozen=True)
class NoSuchReservation:
    pass
