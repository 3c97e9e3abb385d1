"""Problems of signing in by a wallet, and of linking one."""

from typing import Final

from api.caching import NO_STORE
from api.problems import refusals
from api.problems.problem_type import ProblemType
from ledger import outcomes

CHALLENGE_RETRY_SECONDS: Final = 1
CHAIN_RETRY_SECONDS: Final = 5  # a node that restarts takes a few

TYPES: Final = (
    ProblemType(
        cause=refusals.SessionOver,
        code="session-over",
        status=401,
        title="Session over",
        detail="The session is over, or there never was one: sign in again, beginning with POST"
        " /v1/sign-in/challenge.",
        headers=lambda _cause: (("WWW-Authenticate", 'Bearer realm="creditd"'), NO_STORE),
    ),
    ProblemType(
        cause=refusals.OriginRefused,
        code="origin-refused",
        status=403,
        title="Origin refused",
        detail=lambda cause: (
            f"A session changes something only for pages of {cause.own}, by whose Origin header"
            " the request must come. What is no browser sends an API key instead."
        ),
    ),
    ProblemType(
        cause=refusals.SignInNotOffered,
        code="sign-in-not-offered",
        status=501,
        title="Sign-in not offered",
        detail="Wallets cannot sign here: the operator must set `public_url` under `[api]`.",
    ),
    ProblemType(
        cause=refusals.TooManyChallenges,
        code="too-many-challenges",
        status=503,
        title="Too many challenges",
        detail="More texts to sign are asked for than this process gives out: try again after"
        " Retry-After seconds.",
        headers=lambda _cause: (("Retry-After", str(CHALLENGE_RETRY_SECONDS)), NO_STORE),
    ),
    ProblemType(
        cause=refusals.ChainUnserved,
        code="chain-not-followed",
        status=422,
        title="Chain not followed",
        detail=lambda cause: (
            f"No chain of id {cause.chain_id} is followed here: /status lists those that are."
        ),
    ),
    ProblemType(
        cause=refusals.ChainUnreachable,
        code="chain-unreachable",
        status=503,
        title="Chain unreachable",
        detail=lambda cause: (
            "The signature is no key's, and whether it is a contract's the nodes of chain"
            f" {cause.chain_id} do not say now: send the same again after Retry-After seconds."
        ),
        headers=lambda _cause: (("Retry-After", str(CHAIN_RETRY_SECONDS)), NO_STORE),
    ),
    ProblemType(
        cause=refusals.ChallengeUnknown,
        code="challenge-unknown",
        status=422,
        title="Challenge unknown",
        detail="This text was not given out for this, to the letter, or it is over, was used, or"
        " was tried too often: ask for a new one, and have it signed as it stands.",
    ),
    ProblemType(
        cause=refusals.SignatureRefused,
        code="signature-refused",
        status=403,
        title="Signature refused",
        detail=lambda cause: (
            f"The signature is not that of {cause.address} over this text, by its key (65 bytes) or"
            f" its contract on chain {cause.chain_id}: sign with the wallet that the text names."
        ),
    ),
    ProblemType(
        cause=outcomes.LinkedElsewhere,
        code="linked-elsewhere",
        status=409,
        title="Linked elsewhere",
        detail="The wallet is linked to another account, and nothing was done: whoever holds that"
        " account unlinks it first. Signing in by the wallet leads there.",
    ),
    ProblemType(
        cause=outcomes.LinkChained,
        code="link-chained",
        status=409,
        title="Link chained",
        detail="A link never leads over a third account, and nothing was done: either the account"
        " is that of a wallet which is linked itself, or other wallets are linked to this one's"
        " account. Unlink those first.",
    ),
)
