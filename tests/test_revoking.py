"""An API key that is revoked lets nobody in any more."""

import asyncio

import pytest
from live_api import live_api

from ledger.operating import Operating


def test_a_revoked_api_key_is_refused_and_the_others_stay_good(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.identity.callers.API_KEY_CACHE_SECONDS", 0)

    async def revoke(key_id: int) -> bool:
        async with Operating.open(database_url) as operating:
            return await operating.revoke_api_key(key_id)

    with live_api(database_url) as api:
        leaked = api.api_key()  # the second one: the first is the default
        assert api.request("GET", "/v1/operations", api_key=leaked).status_code == 200
        assert asyncio.run(revoke(2))
        refused = api.request("GET", "/v1/operations", api_key=leaked)
        assert refused.status_code == 401
        assert "revoked" in refused.json()["detail"]
        assert api.get("/v1/operations").status_code == 200
        assert not asyncio.run(revoke(2))
