"""Charge API calls to creditd, by hand (`Credits`) or around an ASGI app (`Metering`)."""

from creditd_client.answers import Balance, Charged, ChargeRecord, Refunded
from creditd_client.calls import Credits
from creditd_client.errors import (
    CreditsError,
    CreditsUnavailable,
    InsufficientCredits,
    OverBudget,
    Refused,
)
from creditd_client.keys import caller_key, new_key, refund_key
from creditd_client.metering import LostRefund, Metered, Metering

__all__ = [
    "Balance",
    "ChargeRecord",
    "Charged",
    "Credits",
    "CreditsError",
    "CreditsUnavailable",
    "InsufficientCredits",
    "LostRefund",
    "Metered",
    "Metering",
    "OverBudget",
    "Refunded",
    "Refused",
    "caller_key",
    "new_key",
    "refund_key",
]
