"""What an API key may do."""

from types import MappingProxyType
from typing import Final

SCOPES: Final = MappingProxyType(
    {
        "charge:write": "make charges and refund them, reserve credits and settle",
        "balance:read": "read balances, entries, earnings and charges",
        "accounts:write": "open the app's own accounts",
        "organisations:write": "open organisations, add members, set their budgets",
        "consents:write": "of a personal API key: let apps act for the account",
        "wallets:write": "link wallets to the app's own accounts, and unlink them",
        "accounts:attest": "open the accounts of wallets that the app has checked",
        "keys:write": "make, replace and end API keys of one's own",
    }
)
# What a personal API key may have of them: it acts for one account, and gives nothing back to it.
# It links no wallet either: whoever signs in by one is the owner, whom no scope or cap holds.
PERSONAL_SCOPES: Final = frozenset(
    {"charge:write", "balance:read", "consents:write", "keys:write"}
) & frozenset(SCOPES)
# What must be asked for by name: whoever has it can hand on what the API key may do.
NEVER_BY_DEFAULT: Final = frozenset({"keys:write"})

OPERATOR_SCOPES: Final = MappingProxyType(
    {
        "operator:read": "look at sources, logs set aside, alarms, and what operators did",
        "operator:write": "adjust, take back, link wallets, freeze and unfreeze",
    }
)
"""What an operator's API key may do, on the operator's port alone."""
