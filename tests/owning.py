"""The owner of an account, who calls by a personal API key."""

import pytest
from live_api import LiveApi

from api.calling.caller import Caller
from api.identity import callers
from ledger.ids import parse_account
from ledger.reading import ApiKeyRow


def owner(monkeypatch: pytest.MonkeyPatch, api: LiveApi, account: str) -> str:
    """An API key that is its account's alone."""
    key = api.api_key(app="person")
    known = callers._still_good

    def still_good(row: ApiKeyRow | None) -> Caller:
        caller = known(row)
        if row is None or row.app != "person":
            return caller
        return Caller(
            app_id=caller.app_id,
            scopes=caller.scopes,
            api_key_id=caller.api_key_id,
            kind="personal",
            account=parse_account(account),
        )

    monkeypatch.setattr(callers, "_still_good", still_good)
    return key
