"""What comes of asking, where the ledger has no value for it."""

from dataclasses import dataclass
from datetime import datetime

from ledger.ids import MovementRef


@dataclass(frozen=True)
class Granted:
    movement: MovementRef
    amount: int
    repaid: int
    available: int
    at: datetime
    replayed: bool = False


@dataclass(frozen=True)
class BeyondBreaker:
    """`left` is what the charge may still cause to be granted."""

    left: int
