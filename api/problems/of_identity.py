"""Problems of who calls, and what it may."""

from typing import Final

from api.problems import details, refusals
from api.problems.problem_type import NO_STORE, ProblemType

TYPES: Final = (
    ProblemType(
        cause=refusals.Unauthenticated,
        code="unauthenticated",
        status=401,
        title="Unauthenticated",
        detail=lambda cause: f"{cause.reason}. Send `Authorization: Bearer ck_…`.",
        headers=lambda _cause: (("WWW-Authenticate", 'Bearer realm="creditd"'), NO_STORE),
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
)
