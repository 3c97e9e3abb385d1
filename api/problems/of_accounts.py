"""Problems of accounts."""

from typing import Final

from api.problems.problem_type import ProblemType
from ledger import outcomes

TYPES: Final = (
    ProblemType(
        cause=outcomes.Frozen,
        code="account-frozen",
        status=403,
        title="Account frozen",
        detail="The account is frozen and nothing was taken: ask the operator why.",
    ),
    ProblemType(
        cause=outcomes.NoSuchAccount,
        code="no-such-account",
        status=404,
        title="No such account",
        detail="There is no account of this name that your app may reach: take the `id` that"
        " POST /v1/accounts answered to your app.",
    ),
)
