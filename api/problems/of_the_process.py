"""Problems of the process and its ledger."""

from collections.abc import Callable
from typing import Any, Final

from api.caching import NO_STORE
from api.problems import refusals
from api.problems.problem_type import Headers, ProblemType
from ledger import errors

# A full queue empties within a second once Postgres answers; a restart of it takes a few.
BUSY_RETRY_SECONDS: Final = 1
UNAVAILABLE_RETRY_SECONDS: Final = 5


def _retry_after(seconds: int) -> Callable[[Any], Headers]:
    return lambda _cause: (("Retry-After", str(seconds)), NO_STORE)


TYPES: Final = (
    ProblemType(
        cause=refusals.Unforeseen,
        code="internal-error",
        status=500,
        title="Internal error",
        detail="A defect of the server: tell the operator the request_id. Trying again with the"
        " same Idempotency-Key is safe.",
    ),
    ProblemType(
        cause=errors.LedgerBusy,
        code="ledger-busy",
        status=503,
        title="Ledger busy",
        detail="More is waiting than can be served soon: try again after Retry-After seconds, with"
        " the same Idempotency-Key.",
        headers=_retry_after(BUSY_RETRY_SECONDS),
    ),
    ProblemType(
        cause=refusals.TooManyRequests,
        code="too-many-requests-open",
        status=503,
        title="Too many requests open",
        detail="More requests are open than this process takes on: try again after Retry-After"
        " seconds, with the same Idempotency-Key, on fewer connections.",
        headers=_retry_after(BUSY_RETRY_SECONDS),
    ),
    ProblemType(
        cause=errors.LedgerUnavailable,
        code="ledger-unavailable",
        status=503,
        title="Ledger unavailable",
        detail="The ledger does not answer: try again after Retry-After seconds, with the same"
        " Idempotency-Key. What was already taken under it is not taken twice.",
        headers=_retry_after(UNAVAILABLE_RETRY_SECONDS),
    ),
    ProblemType(
        cause=errors.SchemaMismatch,
        code="schema-mismatch",
        status=503,
        title="Schema mismatch",
        detail="The database was made by another version of creditd: the operator must migrate it"
        " or run the version that made it.",
        headers=_retry_after(UNAVAILABLE_RETRY_SECONDS),
    ),
    ProblemType(
        cause=refusals.Draining,
        code="draining",
        status=503,
        title="Draining",
        detail="The process is about to stop: send requests to another one. What it has taken on it"
        " still answers.",
        headers=_retry_after(BUSY_RETRY_SECONDS),
    ),
    ProblemType(
        cause=refusals.Stopping,
        code="stopping",
        status=503,
        title="Stopping",
        detail="The process stopped before the answer came: try again with the same"
        " Idempotency-Key. What was already taken under it is not taken twice.",
        headers=_retry_after(BUSY_RETRY_SECONDS),
    ),
)
