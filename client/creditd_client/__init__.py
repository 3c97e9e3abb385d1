"""Charge API calls to creditd: by hand (`Credits`, `AsyncCredits`), around an app (`Metering`)."""

from creditd_client.answers import (
    Balance,
    Charged,
    ChargeRecord,
    Ended,
    Quote,
    Refunded,
    Reservation,
    ReservationRecord,
)
from creditd_client.async_client import AsyncCredits
from creditd_client.client import Credits
from creditd_client.errors import (
    CreditsError,
    CreditsUnavailable,
    InsufficientCredits,
    KeyReused,
    OverBudget,
    Refused,
    ReservationEnded,
    ReservationExceeded,
)
from creditd_client.holding import AsyncHeld, Held
from creditd_client.keys import caller_key, new_key, refund_key, release_key, settlement_key
from creditd_client.metering.asked import Meter, Metered, MeteredUpTo, metered
from creditd_client.metering.losses import LostRefund, LostSettlement
from creditd_client.metering.middleware import Metering
from creditd_client.passed import Passed, PassedFile, PassedFileFull, Replay, replay_passed
from creditd_client.wire.breaker import Breaker
from creditd_client.wire.requests import ChargeItem

__all__ = [
    "AsyncCredits",
    "AsyncHeld",
    "Balance",
    "Breaker",
    "ChargeItem",
    "ChargeRecord",
    "Charged",
    "Credits",
    "CreditsError",
    "CreditsUnavailable",
    "Ended",
    "Held",
    "InsufficientCredits",
    "KeyReused",
    "LostRefund",
    "LostSettlement",
    "Meter",
    "Metered",
    "MeteredUpTo",
    "Metering",
    "OverBudget",
    "Passed",
    "PassedFile",
    "PassedFileFull",
    "Quote",
    "Refunded",
    "Refused",
    "Replay",
    "Reservation",
    "ReservationEnded",
    "ReservationExceeded",
    "ReservationRecord",
    "caller_key",
    "metered",
    "new_key",
    "refund_key",
    "release_key",
    "replay_passed",
    "settlement_key",
]
