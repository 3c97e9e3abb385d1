"""What travels of consents."""

from typing import Annotated

from msgspec import Meta, Struct

from api.shapes import LINE_PATTERN, AccountName, Utc
from ledger.consents import May


class ConsentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which app may act for the account, by its name: charge and reserve, or only read."""

    app: Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE_PATTERN)]
    may: May = "spend"


class Consent(Struct, frozen=True):
    """That an app may act for an account. `withdrawn_at` is set once it may no more."""

    id: int
    account: AccountName
    app: str
    may: May
    given_by: str
    given_at: Utc
    withdrawn_by: str | None
    withdrawn_at: Utc | None


class ConsentPage(Struct, frozen=True):
    """An account's consents, withdrawn ones too, newest first."""

    data: list[Consent]
    next_cursor: str | None


class GrantedAccess(Struct, frozen=True):
    """An account whose owner lets the app act for it."""

    account: AccountName
    may: May
    given_at: Utc


class GrantedAccessPage(Struct, frozen=True):
    """Accounts whose owners let the app act, in no order but an unchanging one."""

    data: list[GrantedAccess]
    next_cursor: str | None
