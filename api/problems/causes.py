"""From an error to the cause that is answered; what the caller cannot mend is logged."""

import asyncio
import traceback

import structlog

from api.problems.refusals import Cause, Refused, Stopping, Unforeseen
from ledger.errors import LedgerBusy, LedgerUnavailable, SchemaMismatch

log = structlog.get_logger(__name__)


def cause_of(error: BaseException, request_id: str) -> Cause:
    """Return why a request is refused that has ended with this error."""
    match error:
        case Refused():
            return error.cause
        case LedgerBusy() | LedgerUnavailable() | SchemaMismatch():
            log.warning("ledger_failed", request_id=request_id, error=str(error))
            return error
        case asyncio.CancelledError():
            # Only a stop that has run out of patience cancels a request, and its task ends here.
            log.warning("stopped_before_answer", request_id=request_id)
            return Stopping()
        case _:
            # As text: a renderer that shows local variables would show API keys.
            trace = "".join(traceback.format_exception(error))
            log.error("request_failed", request_id=request_id, traceback=trace)
            return Unforeseen()
