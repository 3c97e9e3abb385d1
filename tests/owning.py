"""The owner of an account, who calls by a personal API key."""

from live_api import LiveApi

from ledger.scopes import PERSONAL_SCOPES


def owner(api: LiveApi, account: str) -> str:
    """An API key that is its account's alone."""
    return api.api_key(sorted(PERSONAL_SCOPES), kind="personal", account=account)
