"""The endpoints of consents."""

from typing import Final

from api.accounts import consent_wire as wire
from api.accounts import consents
from api.calling.calls import AnyEndpoint, Endpoint
from api.problems import refusals
from api.shapes import NoBody, NoQuery, PageQuery
from ledger import outcomes
from ledger.api_keys import BeyondOwnRights

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/accounts/{account}/consents",
        name="give-consent",
        summary="Let an app act for your account",
        scopes=("consents:write",),
        body=wire.ConsentRequest,
        query=NoQuery,
        answers={201: wire.Consent, 200: wire.Consent},
        refusals=(
            refusals.ForOwnersOnly,
            BeyondOwnRights,
            outcomes.NoSuchAccount,
            outcomes.NoSuchApp,
            outcomes.NoConsentNeeded,
            outcomes.AccountClosed,
            outcomes.NoSuchConsent,
        ),
        repeatable=True,
        run=consents.give,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/consents",
        name="list-consents",
        summary="Which apps may act for your account, or once might",
        scopes=("consents:write", "balance:read"),
        body=NoBody,
        query=PageQuery,
        answers={200: wire.ConsentPage},
        refusals=(refusals.ForOwnersOnly, outcomes.NoSuchAccount),
        run=consents.consents,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/accounts/{account}/consents/{consent}",
        name="withdraw-consent",
        summary="Let an app act for your account no more",
        scopes=("consents:write",),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.Consent},
        headers=("Idempotent-Replayed",),
        refusals=(refusals.ForOwnersOnly, outcomes.NoSuchAccount, outcomes.NoSuchConsent),
        run=consents.withdraw,
    ),
    Endpoint(
        method="GET",
        path="/v1/consents",
        name="list-granted-access",
        summary="The accounts whose owners let the app act for them",
        scopes=("balance:read",),
        body=NoBody,
        query=PageQuery,
        answers={200: wire.GrantedAccessPage},
        for_apps=True,
        run=consents.given,
    ),
)
