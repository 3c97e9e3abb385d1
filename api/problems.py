"""The one table from what went wrong to what is answered: RFC 9457 problems.

Whoever meets a problem must learn from its `detail` what to do next. Programs go by `type`, which
is the path of a page that explains it and never changes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from api import problem_details as details
from api import refusals
from api.problem_type import Headers, ProblemType
from api.shortfall import Shortfall
from ledger import errors, outcomes
from ledger.credits import format_credits
from ledger.ids import format_movement

# A full queue empties within a second once Postgres answers; a restart of it takes a few.
BUSY_RETRY_SECONDS: Final = 1
UNAVAILABLE_RETRY_SECONDS: Final = 5

_NO_STORE: Final = ("Cache-Control", "no-store")


def _retry_after(seconds: int) -> Callable[[Any], Headers]:
    return lambda _cause: (("Retry-After", str(seconds)), _NO_STORE)


def _closing(_cause: object) -> Headers:
    return (("Connection", "close"),)


def _field_error(field: str, message: str) -> dict[str, object]:
    return {"errors": [details.FieldError(field, message)]}


TYPES: Final = (
    ProblemType(
        cause=refusals.Invalid,
        code="invalid-request",
        status=400,
        title="Invalid request",
        detail=lambda cause: f"{cause.field or 'The body'}: {cause.message}.",
        shape=details.InvalidRequest,
        members=lambda cause: _field_error(cause.field, cause.message),
    ),
    ProblemType(
        cause=refusals.Malformed,
        code="malformed-json",
        status=400,
        title="Malformed JSON",
        detail=lambda cause: f"The body is not JSON: {cause.reason}. Send one JSON object.",
    ),
    ProblemType(
        cause=refusals.KeyMissing,
        code="idempotency-key-missing",
        status=400,
        title="Idempotency-Key missing",
        detail="Every write needs an Idempotency-Key header: send a new one (such as a UUID) for"
        " each thing you want done, and the same one when you try that thing again.",
    ),
    ProblemType(
        cause=refusals.KeyMalformed,
        code="idempotency-key-invalid",
        status=400,
        title="Invalid Idempotency-Key",
        detail=lambda cause: (
            f"The Idempotency-Key header {cause.reason}: send 1 to 255 printable"
            " ASCII characters, bare or as a quoted string of RFC 8941."
        ),
        shape=details.InvalidRequest,
        members=lambda cause: _field_error("Idempotency-Key", cause.reason),
    ),
    ProblemType(
        cause=refusals.Unauthenticated,
        code="unauthenticated",
        status=401,
        title="Unauthenticated",
        detail=lambda cause: f"{cause.reason}. Send `Authorization: Bearer ck_…`.",
        headers=lambda _cause: (("WWW-Authenticate", 'Bearer realm="creditd"'), _NO_STORE),
    ),
    ProblemType(
        cause=Shortfall,
        code="insufficient-credits",
        status=402,
        title="Insufficient credits",
        detail=Shortfall.detail,
        shape=details.InsufficientCredits,
        members=Shortfall.members,
        headers=Shortfall.headers,
    ),
    ProblemType(
        cause=outcomes.OverBudget,
        code="over-budget",
        status=402,
        title="Over budget",
        detail=lambda cause: (
            f"This costs {format_credits(cause.required)} credits and the member's budget leaves"
            f" {format_credits(cause.left)} of its organisation's: raise the budget or wait for"
            " its next period. The key is still free."
        ),
        shape=details.OverBudget,
        members=lambda cause: {
            "price_version": cause.price_version,
            "required": format_credits(cause.required),
            "left": format_credits(cause.left),
        },
        headers=lambda cause: (_NO_STORE, ("Credits-Cost", format_credits(cause.required))),
    ),
    ProblemType(
        cause=outcomes.NotCoveredBeyond,
        code="reservation-exceeded",
        status=402,
        title="Reservation exceeded",
        detail=lambda cause: (
            f"The work cost {format_credits(cause.extra)} credits more than is held, and"
            f" {format_credits(cause.available)} are available: settle for less, or earn more and"
            " settle again. The reservation is still open."
        ),
        shape=details.NotCovered,
        members=lambda cause: {
            "extra": format_credits(cause.extra),
            "available": format_credits(cause.available),
            "debt": format_credits(cause.debt),
        },
        headers=lambda cause: (_NO_STORE, ("Credits-Balance", format_credits(cause.available))),
    ),
    ProblemType(
        cause=refusals.ScopeMissing,
        code="missing-scope",
        status=403,
        title="Missing scope",
        detail=lambda cause: (
            f"This API key lacks the scope {cause.scope}: use one that has it, or"
            " ask the operator for one."
        ),
        shape=details.MissingScope,
        members=lambda cause: {"scope": cause.scope},
    ),
    ProblemType(
        cause=outcomes.Frozen,
        code="account-frozen",
        status=403,
        title="Account frozen",
        detail="The account is frozen and nothing was taken: ask the operator why.",
    ),
    ProblemType(
        cause=refusals.NotFound,
        code="not-found",
        status=404,
        title="Not found",
        detail="Nothing is here: /openapi.json lists every path.",
    ),
    ProblemType(
        cause=outcomes.NoSuchAccount,
        code="no-such-account",
        status=404,
        title="No such account",
        detail="There is no account of this name that your app may reach: take the `id` that"
        " POST /v1/accounts answered to your app.",
    ),
    ProblemType(
        cause=outcomes.NoSuchCharge,
        code="no-such-charge",
        status=404,
        title="No such charge",
        detail="There is no charge of this name on an account that your app may reach: take the"
        " `id` that POST /v1/charges answered to your app.",
    ),
    ProblemType(
        cause=outcomes.NoSuchReservation,
        code="no-such-reservation",
        status=404,
        title="No such reservation",
        detail="There is no reservation of this name that your app made: take the `id` that"
        " POST /v1/reservations answered to it.",
    ),
    ProblemType(
        cause=refusals.MethodNotAllowed,
        code="method-not-allowed",
        status=405,
        title="Method not allowed",
        detail=lambda cause: f"This path takes {' and '.join(cause.allowed)} only.",
        headers=lambda cause: (("Allow", ", ".join(cause.allowed)),),
    ),
    ProblemType(
        cause=refusals.BodyTimedOut,
        code="body-timed-out",
        status=408,
        title="Body timed out",
        detail="The body did not arrive in time: send it right after the headers.",
        headers=_closing,
    ),
    ProblemType(
        cause=outcomes.PriceChanged,
        code="price-changed",
        status=409,
        title="Price changed",
        detail=lambda cause: (
            f"Version {cause.in_force} of the price is in force and nothing was"
            " taken: look it up at GET /v1/operations, then send that price_version, or none."
        ),
        shape=details.PriceChanged,
        members=lambda cause: {"price_version": cause.in_force},
    ),
    ProblemType(
        cause=outcomes.AlreadyEnded,
        code="reservation-ended",
        status=409,
        title="Reservation ended",
        detail=lambda cause: (
            f"The reservation is {cause.ending.how} already, and"
            f" {format_credits(cause.ending.taken)} credits of it were taken: refund that charge"
            " if it should not have been, or charge what is missing."
        ),
        shape=details.ReservationEnded,
        members=lambda cause: {
            "how": cause.ending.how,
            "taken": format_credits(cause.ending.taken),
            "charge": format_movement("chg", cause.ending.movement) if cause.ending.taken else None,
        },
    ),
    ProblemType(
        cause=refusals.BodyTooLarge,
        code="body-too-large",
        status=413,
        title="Body too large",
        detail="The body is larger than the 64 KiB that any request of this API needs.",
        headers=_closing,
    ),
    ProblemType(
        cause=refusals.MediaTypeUnsupported,
        code="unsupported-media-type",
        status=415,
        title="Unsupported media type",
        detail="Send the body as JSON, with `Content-Type: application/json`.",
        headers=lambda _cause: (("Accept", "application/json"),),
    ),
    ProblemType(
        cause=outcomes.KeyReused,
        code="idempotency-key-reused",
        status=422,
        title="Idempotency-Key reused",
        detail="This Idempotency-Key belongs to another request: send a new key for a new request,"
        " or the first request unchanged to see its answer again.",
    ),
    ProblemType(
        cause=refusals.NotPriced,
        code="unknown-operation",
        status=422,
        title="Unknown operation",
        detail=lambda cause: (
            f"{cause.operation} has no price: GET /v1/operations lists the"
            " operations that have one."
        ),
        shape=details.UnknownOperation,
        members=lambda cause: {"operations": list(cause.known)},
    ),
    ProblemType(
        cause=outcomes.TooExpensive,
        code="too-expensive",
        status=422,
        title="Too expensive",
        detail="Units times price are more than the books hold: charge fewer units at a time.",
    ),
    ProblemType(
        cause=outcomes.MoreThanTaken,
        code="more-than-taken",
        status=422,
        title="More than was taken",
        detail=lambda cause: (
            f"{format_credits(cause.refundable)} credits of this charge can still"
            " be given back: ask for no more, or leave out `amount` for all of it."
        ),
        shape=details.MoreThanTaken,
        members=lambda cause: {"refundable": format_credits(cause.refundable)},
    ),
    ProblemType(
        cause=outcomes.OverBound,
        code="over-bound",
        status=422,
        title="Over bound",
        detail=lambda cause: (
            f"A settlement of this reservation takes from 0 to {format_credits(cause.most)}"
            " credits: reserve more, or allow for more by over_max, where work may cost more."
        ),
        shape=details.OverBound,
        members=lambda cause: {"most": format_credits(cause.most)},
    ),
    ProblemType(
        cause=outcomes.DurationRefused,
        code="duration-refused",
        status=422,
        title="Duration refused",
        detail=lambda cause: (
            f"A reservation lasts at most {int(cause.longest.total_seconds())} seconds from now:"
            " ask for less, and extend it while the work goes on."
        ),
        shape=details.DurationRefused,
        members=lambda cause: {"longest": int(cause.longest.total_seconds())},
    ),
    ProblemType(
        cause=refusals.HeadMalformed,
        code="malformed-http",
        status=400,
        title="Malformed HTTP",
        detail="What came is not an HTTP/1.1 request: check what sends it, and for TLS where none"
        " is spoken.",
        headers=_closing,
    ),
    ProblemType(
        cause=refusals.HeadTooLarge,
        code="headers-too-large",
        status=431,
        title="Headers too large",
        detail="Request line and headers are larger than 16 KiB: send fewer or shorter headers.",
        headers=_closing,
    ),
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
        cause=refusals.Stopping,
        code="stopping",
        status=503,
        title="Stopping",
        detail="The process stopped before the answer came: try again with the same"
        " Idempotency-Key. What was already taken under it is not taken twice.",
        headers=_retry_after(BUSY_RETRY_SECONDS),
    ),
)

BY_CAUSE: Final[Mapping[type, ProblemType]] = {row.cause: row for row in TYPES}
BY_CODE: Final[Mapping[str, ProblemType]] = {row.code: row for row in TYPES}


def problem_type(cause: refusals.Cause) -> ProblemType:
    """Return the table's row for a cause."""
    return BY_CAUSE[type(cause)]
