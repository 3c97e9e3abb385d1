"""What an API key may do."""

from types import MappingProxyType
from typing import Final

SCOPES: Final = MappingProxyType(
    {
        "charge:write": "make charges and refund them, reserve credits and settle",
        "balance:read": "read balances, entries, earnings and charges",
        "accounts:write": "open the app's own accounts",
        "accounts:attest": "open wallets' accounts: the app has checked whose wallet it is",
    }
)
