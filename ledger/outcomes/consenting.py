"""What comes of letting an app act for an account, and of taking that back."""

from dataclasses import dataclass

from ledger.outcomes.accounts import AccountClosed
from ledger.outcomes.charging import NoSuchAccount


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    """The app may act for the account: since now, or (`replayed`) since earlier.

    `number` names the consent among those of its account.
    """

    number: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class NoSuchApp:
    """No app has this name."""


@dataclass(frozen=True, slots=True)
class NoConsentNeeded:
    """The app reaches the account as its own, or the account is an organisation's pool."""


@dataclass(frozen=True, slots=True)
class ConsentEnded:
    """The app may not act for the account any more: since now, or (`replayed`) since earlier."""

    replayed: bool


@dataclass(frozen=True, slots=True)
class NoSuchConsent:
    """The account has no consent of this number."""


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """The owner has withdrawn what the app may do: its own word does not bring it back."""


ConsentOutcome = ConsentGiven | NoSuchAccount | NoSuchApp | NoConsentNeeded | AccountClosed
EndOutcome = ConsentEnded | NoSuchConsent
