"""What is answered to whoever asks for what has a price, and cannot have it."""

from typing import Final

from api.calling.calls import Parts
from api.metering.wire import ChargeRequest, ReservationRequest
from api.problems.refusals import Cause, NotPriced
from api.problems.shortfall import Shortfall
from ledger.ids import AccountRef
from ledger.outcomes import (
    DurationRefused,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    PriceChanged,
    TooExpensive,
    UnknownOperation,
)

KNOWN_OPERATIONS_MAX: Final = 20  # enough to spot a typing mistake; GET /v1/operations has them all

Unpaid = (
    Insufficient
    | UnknownOperation
    | OverBudget
    | Frozen
    | KeyReused
    | NoSuchAccount
    | PriceChanged
    | TooExpensive
    | DurationRefused
)


async def why_not(
    parts: Parts, account: AccountRef, asked: ChargeRequest | ReservationRequest, outcome: Unpaid
) -> Cause:
    """Return the cause of the refusal, with what the caller needs to mend it."""
    match outcome:
        case Insufficient():
            balance = await parts.reading.balance(account)
            pending = 0 if balance is None else balance.pending
            return Shortfall(asked.account, asked.operation, asked.units, outcome, pending)
        case UnknownOperation():
            known = await parts.reading.operations()
            names = tuple(row.operation for row in known[:KNOWN_OPERATIONS_MAX])
            return NotPriced(asked.operation, names)
        case _:
            return outcome
