"""What travels of API keys."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.shapes import AccountName, Credits, CreditsAsked, OperationName, Utc
from ledger.api_key_terms import ApiKeyKind
from ledger.api_keys import OVERLAP_DEFAULT, OVERLAP_MAX
from ledger.periods import Period

SCOPES_MAX = 16  # more than there are
OPERATIONS_MAX = 100  # an API key for more than these is one for all


class CapRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that the API key may spend in a period, by UTC."""

    period: Period
    amount: CreditsAsked


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """So many requests in so many seconds, of each process that serves the API."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class ApiKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new API key for your account may do; `operations` left out: charge for all.

    One that is made by another API key may do no more than that one, and not for longer.
    """

    scopes: Annotated[list[str], Meta(min_length=1, max_length=SCOPES_MAX)]
    operations: Annotated[list[OperationName], Meta(max_length=OPERATIONS_MAX)] | None = None
    caps: Annotated[list[CapRequest], Meta(max_length=4)] = []
    rate: Rate | None = None
    expires_at: Utc | None = None


class RotateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds more the old API key is good beside its successor."""

    overlap: Annotated[int, Meta(ge=0, le=int(OVERLAP_MAX.total_seconds()))] = int(
        OVERLAP_DEFAULT.total_seconds()
    )


class Cap(Struct, frozen=True):
    """A cap, what is used of it, and when it begins anew."""

    period: Period
    amount: Credits
    used: Credits
    renews_at: Utc | None


class ApiKey(Struct, frozen=True):
    """An API key: what it may do, and what it did. Its `hint` is how it begins and ends.

    `replaced_by` is its successor, `made_by` the API key by which it was made.
    """

    id: int
    hint: str
    kind: ApiKeyKind
    state: Literal["good", "expired", "revoked"]
    account: AccountName | None
    scopes: list[str]
    operations: list[str] | None
    caps: list[Cap]
    rate: Rate | None
    created_at: Utc
    expires_at: Utc | None
    revoked_at: Utc | None
    replaced_by: int | None
    made_by: int | None
    last_used_at: Utc | None
    charges: int
    spent: Credits
    refunded: Credits


class ApiKeyPage(Struct, frozen=True):
    """API keys, newest first."""

    data: list[ApiKey]
    next_cursor: str | None


class NewApiKey(Struct, frozen=True):
    """A new API key. `key` is it itself, shown this once: a replay has null in its place."""

    id: int
    key: str | None
    api_key: ApiKey


class ReplacedApiKey(Struct, frozen=True):
    """An API key's successor. `key` is it itself, shown this once: a replay has null in its place.

    The old one is good until `old_ends_at`.
    """

    id: int
    key: str | None
    api_key: ApiKey
    old_ends_at: Utc
