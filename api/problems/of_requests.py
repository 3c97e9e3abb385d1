"""Problems of a request before anything is asked of the books."""

from typing import Final

from api.problems import details, refusals
from api.problems.problem_type import Headers, ProblemType
from ledger import outcomes


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
        detail="This needs an Idempotency-Key header: send a new one (such as a UUID) for"
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
        cause=refusals.NotFound,
        code="not-found",
        status=404,
        title="Not found",
        detail="Nothing is here: /openapi.json lists every path.",
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
        cause=refusals.TooManyStreams,
        code="too-many-streams",
        status=429,
        title="Too many streams",
        detail=lambda cause: (
            f"You have {cause.most} streams open, and no more are opened: end some, or read the"
            " accounts from time to time."
        ),
        headers=lambda _: (("Retry-After", "5"),),
    ),
)
