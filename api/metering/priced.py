"""What is answered to whoever asks for what has a price, and cannot have it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from api.calling.caller import Caller
from api.calling.calls import Parts
from api.metering.wire import ChargeRequest, QuoteRequest, ReservationRequest
from api.problems.refusals import Cause, ModelNotPriced, NotPriced
from api.problems.shortfall import Shortfall
from api.shapes import UNITS_MAX
from ledger.ids import AccountRef
from ledger.outcomes import (
    DurationRefused,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    OverKeyCap,
    PriceChanged,
    Quote,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.quoting import quote
from ledger.reading import PendingPart

KNOWN_OPERATIONS_MAX: Final = 20  # enough to spot a typing mistake; GET /v1/operations has them all

# By chain and block, the soonest first: more blocks than any chain takes to confirm one.
PENDING_PARTS_MAX: Final = 1_000

Unpaid = (
    Insufficient
    | UnknownOperation
    | UnknownModel
    | OverBudget
    | OverKeyCap
    | Frozen
    | KeyReused
    | NoSuchAccount
    | PriceChanged
    | TooExpensive
    | DurationRefused
)


async def why_not(
    parts: Parts,
    caller: Caller,
    account: AccountRef,
    asked: ChargeRequest | ReservationRequest | QuoteRequest,
    outcome: Unpaid,
) -> Cause:
    """Return the cause of the refusal, with what the caller needs to mend it."""
    match outcome:
        case Insufficient():
            waiting = await parts.reading.pending(account, limit=PENDING_PARTS_MAX)
            pending = sum(part.credits for part in waiting)
            ready_at = _ready_at(waiting, min(outcome.missing, pending))
            quoted = await quote(
                parts.reading,
                app_id=caller.app_id,
                account=account,
                operation=asked.operation,
                model=asked.model,
                units=asked.units,
                units_max=UNITS_MAX,
                api_key_id=caller.api_key_id,
            )
            found = quoted if isinstance(quoted, Quote) else None
            return Shortfall(
                account=asked.account,
                operation=asked.operation,
                model=asked.model,
                units=asked.units,
                outcome=outcome,
                pending=pending,
                pending_ready_at=ready_at,
                reserved=0 if found is None else found.held,
                most_affordable_units=None if found is None else found.most_affordable_units,
                helps=parts.helps,
            )
        case UnknownOperation():
            names = await parts.reading.priced_operations(KNOWN_OPERATIONS_MAX)
            return NotPriced(asked.operation, names)
        case UnknownModel():
            models = await parts.reading.models_of(asked.operation, KNOWN_OPERATIONS_MAX)
            return ModelNotPriced(asked.operation, asked.model, models)
        case _:
            return outcome


def _ready_at(waiting: Sequence[PendingPart], wanted: int) -> datetime | None:
    """Return when so many of the credits that wait are expected; they come the soonest first."""
    come = 0
    for part in waiting:
        come += part.credits
        if come >= wanted:
            return part.ready_at
    return None
