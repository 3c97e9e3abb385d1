"""Problems of accounts."""

from typing import Final

from api.problems import details, refusals
from api.problems.problem_type import ProblemType
from ledger import outcomes
from ledger.credits import format_credits

TYPES: Final = (
    ProblemType(
        cause=outcomes.Frozen,
        code="account-frozen",
        status=403,
        title="Account frozen",
        detail="The account is frozen and nothing was done: ask the operator why.",
    ),
    ProblemType(
        cause=outcomes.AccountClosed,
        code="member-left",
        status=409,
        title="Member left",
        detail="The account is that of a member who has left; what it had is the pool's. Add the"
        " member again, or name another account.",
    ),
    ProblemType(
        cause=outcomes.NoSuchGrant,
        code="no-such-grant",
        status=404,
        title="No such grant",
        detail="The account has no grant of this number that an operator made: take the number of"
        " its entry. What a chain's event earned nobody takes back: freeze the account instead.",
    ),
    ProblemType(
        cause=outcomes.NameTaken,
        code="name-taken",
        status=409,
        title="Name taken",
        detail="The name stands for another account already, and nothing was done: choose another.",
    ),
    ProblemType(
        cause=outcomes.NotCovered,
        code="nothing-to-move",
        status=409,
        title="Less to move",
        detail=lambda cause: (
            f"{format_credits(cause.required)} credits were to move, and the account that gives"
            f" them has {format_credits(cause.available)} that can: an overdraft, credits of a"
            " later time and credits of some operations only stay where they are. The key is free."
        ),
        shape=details.LessToMove,
        members=lambda cause: {
            "required": format_credits(cause.required),
            "available": format_credits(cause.available),
        },
    ),
    ProblemType(
        cause=outcomes.BeyondRange,
        code="beyond-range",
        status=422,
        title="Beyond the range of the books",
        detail="The amount is 0, or with it the account would hold more than the books can: ask for"
        " a smaller one, above 0.",
    ),
    ProblemType(
        cause=outcomes.NoSuchAccount,
        code="no-such-account",
        status=404,
        title="No such account",
        detail="There is no account of this name that your app may reach: take an `id`"
        " that was answered to it.",
    ),
    ProblemType(
        cause=refusals.NoSuchEarning,
        code="no-such-earning",
        status=404,
        title="No such earning",
        detail="The account has no earning of this name: take an `id` of its earnings. One that the"
        " chain left before it was confirmed is gone.",
    ),
    ProblemType(
        cause=refusals.VersionAhead,
        code="version-ahead",
        status=409,
        title="Version not reached",
        detail=lambda cause: (
            f"The account is at version {cause.reached}, not at {cause.asked}: is that number of"
            " this account? If so the answer comes from books that are behind: try again, or leave"
            " `version` out to see what they say."
        ),
        headers=lambda _: (("Retry-After", "1"),),
    ),
)
