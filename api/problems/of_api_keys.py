"""Problems of making, replacing and ending API keys."""

from typing import Final

from api.problems.problem_type import ProblemType
from ledger import api_keys

TYPES: Final = (
    ProblemType(
        cause=api_keys.BeyondOwnRights,
        code="beyond-own-rights",
        status=403,
        title="Beyond own rights",
        detail="An API key gives nobody, by another one or by consent, rights that it does not have"
        " itself: ask for less, or use one that may do all of it.",
    ),
    ProblemType(
        cause=api_keys.NoSuchApiKey,
        code="no-such-api-key",
        status=404,
        title="No such API key",
        detail="There is no API key of this number that is yours: GET /v1/keys lists them.",
    ),
    ProblemType(
        cause=api_keys.ApiKeyEnded,
        code="api-key-ended",
        status=409,
        title="API key ended",
        detail="This API key has expired or was revoked and has no successor: make a new one.",
    ),
    ProblemType(
        cause=api_keys.ApiKeyReplaced,
        code="api-key-replaced",
        status=409,
        title="API key replaced",
        detail=lambda cause: (
            f"This API key has a successor already, number {cause.by}: replace that one."
        ),
    ),
    ProblemType(
        cause=api_keys.TooManyApiKeys,
        code="too-many-api-keys",
        status=409,
        title="Too many API keys",
        detail=lambda cause: (
            f"The account has {cause.most} API keys in force, as many as it may: end one first."
        ),
    ),
    ProblemType(
        cause=api_keys.CappedAlready,
        code="capped-already",
        status=422,
        title="Capped already",
        detail="What this API key makes shares its caps: leave `caps` out.",
    ),
)
