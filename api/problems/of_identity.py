"""Problems of who calls, and what it may."""

from typing import Final

from api.caching import NO_STORE
from api.problems import details, refusals
from api.problems.problem_type import ProblemType
from api.problems.rate_headers import POLICY, rate_headers

TYPES: Final = (
    ProblemType(
        cause=refusals.Unauthenticated,
        code="unauthenticated",
        status=401,
        title="Unauthenticated",
        detail=lambda cause: f"{cause.reason}. Send `Authorization: Bearer` and an API key.",
        headers=lambda _cause: (("WWW-Authenticate", 'Bearer realm="creditd"'), NO_STORE),
    ),
    ProblemType(
        cause=refusals.ScopeMissing,
        code="missing-scope",
        status=403,
        title="Missing scope",
        detail=lambda cause: (
            f"A session does not have the scope {cause.scope}: make an API key that has it, by"
            " POST /v1/keys, and send that."
            if cause.by_session
            else f"This API key lacks the scope {cause.scope}: use one that has it, or ask the"
            " operator for one."
        ),
        shape=details.MissingScope,
        members=lambda cause: {"scope": cause.scope},
    ),
    ProblemType(
        cause=refusals.ForAppsOnly,
        code="for-apps-only",
        status=403,
        title="For apps only",
        detail="This is for apps, and a personal API key or a session acts for one account alone:"
        " use the API key of an app.",
    ),
    ProblemType(
        cause=refusals.QuotaExceeded,
        code="quota-exceeded",
        status=429,
        title="Quota exceeded",
        detail=lambda cause: (
            f"This API key or account may make {cause.requests} requests in {cause.seconds}"
            " seconds: try again after Retry-After seconds, with the same Idempotency-Key."
        ),
        shape=details.QuotaExceeded,
        members=lambda _cause: {"violated_policies": [POLICY]},
        headers=lambda cause: (
            ("Retry-After", str(cause.retry_after)),
            *rate_headers(cause.requests, cause.seconds, 0, cause.retry_after),
            NO_STORE,
        ),
    ),
    ProblemType(
        cause=refusals.OperationNotAllowed,
        code="operation-not-allowed",
        status=403,
        title="Operation not allowed",
        detail=lambda cause: (
            f"This API key is not for {cause.operation}: use one that is, or one for all"
            " operations."
        ),
    ),
)
