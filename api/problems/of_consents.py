"""Problems of who may act for an account."""

from typing import Final

from api.problems import refusals
from api.problems.problem_type import ProblemType
from ledger import outcomes

TYPES: Final = (
    ProblemType(
        cause=refusals.ForOwnersOnly,
        code="for-owners-only",
        status=403,
        title="For owners only",
        detail="Who may act for an account its owner says: sign in, or use a personal API key.",
    ),
    ProblemType(
        cause=outcomes.ConsentWithdrawn,
        code="consent-withdrawn",
        status=403,
        title="Consent withdrawn",
        detail="The wallet's owner has withdrawn what your app may do with its account: only the"
        " owner can let it act again.",
    ),
    ProblemType(
        cause=outcomes.NoSuchConsent,
        code="no-such-consent",
        status=404,
        title="No such consent",
        detail="The account has no consent of this number: take the `id` of one from the list.",
    ),
    ProblemType(
        cause=outcomes.NoSuchApp,
        code="no-such-app",
        status=422,
        title="No such app",
        detail="No app has this name: take it as the app says it, letter by letter.",
    ),
    ProblemType(
        cause=outcomes.NoConsentNeeded,
        code="no-consent-needed",
        status=409,
        title="No consent needed",
        detail="The app opened this account, or the organisation it belongs to, and reaches it"
        " without consent; an organisation's pool is never opened to another app.",
    ),
)
