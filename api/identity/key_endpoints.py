"""The endpoints of API keys."""

from typing import Final

from api.calling.calls import AnyEndpoint, Endpoint
from api.identity import api_keys
from api.identity import key_wire as wire
from api.problems import refusals
from api.shapes import NoBody, NoQuery, PageQuery
from ledger import api_keys as outcomes
from ledger.outcomes import KeyReused, NoSuchAccount

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="GET",
        path="/v1/keys",
        name="list-keys",
        summary="The app's API keys, or your own, with what they may do and spent",
        scopes=("keys:write",),
        body=NoBody,
        query=PageQuery,
        answers={200: wire.ApiKeyPage},
        run=api_keys.api_keys,
    ),
    Endpoint(
        method="POST",
        path="/v1/keys",
        name="create-key",
        summary="Make an API key for your own account, once per idempotency key",
        scopes=("keys:write",),
        body=wire.ApiKeyRequest,
        query=NoQuery,
        answers={201: wire.NewApiKey},
        headers=("Idempotent-Replayed",),
        refusals=(
            refusals.ForOwnersOnly,
            outcomes.BeyondOwnRights,
            NoSuchAccount,
            outcomes.CappedAlready,
            outcomes.TooManyApiKeys,
            KeyReused,
        ),
        run=api_keys.create,
    ),
    Endpoint(
        method="POST",
        path="/v1/keys/{key}/rotate",
        name="rotate-key",
        summary="Give an API key a successor that may do the same; both are good for a while",
        scopes=("keys:write",),
        body=wire.RotateRequest,
        query=NoQuery,
        answers={201: wire.ReplacedApiKey},
        headers=("Idempotent-Replayed",),
        refusals=(
            outcomes.BeyondOwnRights,
            outcomes.NoSuchApiKey,
            outcomes.ApiKeyEnded,
            outcomes.ApiKeyReplaced,
            KeyReused,
        ),
        run=api_keys.rotate,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/keys/{key}",
        name="revoke-key",
        summary="End an API key; API processes refuse it within 5 seconds",
        scopes=("keys:write",),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.ApiKey},
        headers=("Idempotent-Replayed",),
        refusals=(outcomes.NoSuchApiKey,),
        run=api_keys.revoke,
    ),
)
