"""The endpoints of signing in by a wallet, and of linking wallets."""

from typing import Final

from api.calling.calls import AnyEndpoint, Endpoint, VisitorEndpoint
from api.identity import sign_in_wire as wire
from api.identity import sign_ins, wallets
from api.problems import refusals
from api.shapes import NoBody, NoQuery
from ledger import outcomes

_GIVING_OUT: Final = (
    refusals.SignInNotOffered,
    refusals.ChainUnserved,
    refusals.TooManyChallenges,
)
_TAKING_BACK: Final = (
    refusals.SignInNotOffered,
    refusals.ChallengeUnknown,
    refusals.SignatureRefused,
    refusals.ChainUnreachable,
)

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    VisitorEndpoint(
        path="/v1/sign-in/challenge",
        name="ask-to-sign-in",
        summary="A text for a wallet to sign in by (EIP-4361)",
        body=wire.SignInChallengeRequest,
        answers={201: wire.Challenge},
        refusals=_GIVING_OUT,
        run=sign_ins.challenge,
    ),
    VisitorEndpoint(
        path="/v1/sign-in",
        name="sign-in",
        summary="Sign in by a text that a wallet has signed: the answer sets the session's cookie",
        body=wire.SignedMessage,
        answers={201: wire.Session},
        headers=("Set-Cookie",),
        refusals=(*_TAKING_BACK, refusals.OriginRefused),
        run=sign_ins.sign_in,
    ),
    Endpoint(
        method="GET",
        path="/v1/sign-in",
        name="who-is-signed-in",
        summary="Who is signed in, and until when",
        scopes=(),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.Session},
        for_sessions=True,
        run=sign_ins.who_is_signed_in,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sign-in",
        name="sign-out",
        summary="End this session",
        scopes=(),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.SignedOut},
        headers=("Set-Cookie",),
        for_sessions=True,
        run=sign_ins.sign_out,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sign-in/all",
        name="sign-out-everywhere",
        summary="End all sessions of the account",
        scopes=(),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.SignedOut},
        headers=("Set-Cookie",),
        for_sessions=True,
        run=sign_ins.sign_out_everywhere,
    ),
    Endpoint(
        method="POST",
        path="/v1/wallets/challenge",
        name="ask-to-link-wallet",
        summary="A text for a wallet to be linked by; it names the account",
        scopes=("wallets:write",),
        body=wire.LinkChallengeRequest,
        query=NoQuery,
        answers={201: wire.Challenge},
        refusals=(*_GIVING_OUT, outcomes.NoSuchAccount),
        repeatable=True,
        run=wallets.link_challenge,
    ),
    Endpoint(
        method="POST",
        path="/v1/wallets",
        name="link-wallet",
        summary="Link the wallet that signed a text: what it earned and will earn is the account's",
        scopes=("wallets:write",),
        body=wire.SignedMessage,
        query=NoQuery,
        answers={201: wire.WalletLinked, 200: wire.WalletLinked},
        refusals=(
            *_TAKING_BACK,
            outcomes.NoSuchAccount,
            outcomes.LinkedElsewhere,
            outcomes.LinkChained,
            outcomes.AccountClosed,
            outcomes.Frozen,
            outcomes.BeyondRange,
        ),
        repeatable=True,
        run=wallets.link,
    ),
    Endpoint(
        method="GET",
        path="/v1/wallets",
        name="list-wallets",
        summary="The wallets that earn for an account, by address",
        scopes=("balance:read",),
        body=NoBody,
        query=wire.WalletsQuery,
        answers={200: wire.LinkedWallets},
        refusals=(outcomes.NoSuchAccount,),
        run=wallets.wallets,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/wallets/{address}",
        name="unlink-wallet",
        summary="Let a wallet earn for its own account again; what it earned stays",
        scopes=("wallets:write",),
        body=NoBody,
        query=wire.UnlinkQuery,
        answers={200: wire.WalletUnlinked},
        refusals=(outcomes.NoSuchAccount, outcomes.LinkedElsewhere),
        run=wallets.unlink,
    ),
)
