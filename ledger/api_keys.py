"""API keys: what one may do, and making, replacing and ending one's own.

The books keep digests; what one may do never changes, and its successor may do the same.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ledger.api_key_terms import TERMS, ApiKeyTerms
from ledger.ids import AccountRef
from ledger.outcomes import KeyReused, NoSuchAccount
from ledger.requests import digest128, key_digest
from ledger.session import Session

# The app of people's and operators' API keys. No other may have the name.
SELF_SERVICE_APP: Final = "creditd"
# As `creditd.longest_overlap` says, and why.
OVERLAP_MAX: Final = timedelta(days=7)
OVERLAP_DEFAULT: Final = timedelta(hours=24)  # time to hand the successor out, and little more
# As `creditd.most_api_keys` says, and why.
API_KEYS_MAX: Final = 100


_CREATE_OWN: Final = (
    "select * from creditd.create_own_api_key(%s::bigint, %s::bigint, %s::integer, "  # noqa: S608
    + TERMS
    + ", %s::uuid, %s::uuid)"
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A new API key as the books keep it: SHA-256 of its text, and what people know it by."""

    digest: bytes
    hint: str


@dataclass(frozen=True, slots=True)
class Manager:
    """Who manages API keys: an app its own, a person (`account`) those of its account.

    `api_key_id` is by which API key it does so, None for a session; `scopes` are its own.
    """

    app_id: int
    account: AccountRef | None
    api_key_id: int | None
    scopes: frozenset[str]

    def digest(self, key: str) -> UUID:
        """Return what an idempotency key of this manager is stored as."""
        return UUID(bytes=key_digest(self.app_id, self.account or AccountRef(0, 0), key))


@dataclass(frozen=True, slots=True)
class ApiKeyMade:
    """The API key was made now, or (`replayed`) earlier under the same key."""

    key_id: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class ApiKeyRotated:
    """The API key has a successor, `key_id`, and is good itself until `old_ends_at`."""

    key_id: int
    old_ends_at: datetime
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class NoSuchApiKey:
    """There is no such API key, or it is another's: both look alike from outside."""


@dataclass(frozen=True, slots=True)
class ApiKeyEnded:
    """The API key has expired or was revoked: it has no successor."""


@dataclass(frozen=True, slots=True)
class ApiKeyReplaced:
    """The API key has a successor already."""

    by: int


@dataclass(frozen=True, slots=True)
class BeyondOwnRights:
    """An API key gives nobody rights that it does not have itself."""


@dataclass(frozen=True, slots=True)
class CappedAlready:
    """What a capped API key makes shares its caps, and has none of its own."""


@dataclass(frozen=True, slots=True)
class TooManyApiKeys:
    """The account has as many API keys in force as it may."""

    most: int


MakeOutcome = (
    ApiKeyMade | KeyReused | NoSuchAccount | BeyondOwnRights | CappedAlready | TooManyApiKeys
)
RotateOutcome = (
    ApiKeyRotated | KeyReused | NoSuchApiKey | ApiKeyEnded | ApiKeyReplaced | BeyondOwnRights
)


class OwnApiKeys:
    """What the owners of API keys do with them, over an API process. Made by `OwnApiKeys.open`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["OwnApiKeys"]:
        """Give it a session, which is opened when it is needed first."""
        session = Session(database_url, "creditd_api")
        try:
            yield cls(session)
        finally:
            await session.close()

    async def create(
        self, manager: Manager, account: AccountRef, terms: ApiKeyTerms, secret: Secret, *, key: str
    ) -> MakeOutcome:
        """Make a personal API key for the manager's account, once per idempotency key.

        Raises LedgerBusy and LedgerUnavailable: the same key tells then.
        """
        asked = digest128("api key", repr(terms))
        rows = await self._session.rows(
            _CREATE_OWN,
            (
                *(*account, manager.api_key_id or 0, *terms.parameters(*_kept(secret))),
                *(manager.digest(key), UUID(bytes=asked)),
            ),
        )
        outcome, key_id = rows[0]
        if outcome in {"made", "replayed"}:
            return ApiKeyMade(key_id, replayed=outcome == "replayed")
        return _NOT_MADE[outcome]

    async def rotate(
        self, manager: Manager, key_id: int, overlap: timedelta, secret: Secret, *, key: str
    ) -> RotateOutcome:
        """Give an API key its successor, once per idempotency key, to expire when it would have.

        The old one is good for `overlap` (up to OVERLAP_MAX) more. Raises LedgerBusy and
        LedgerUnavailable: the same key tells then.
        """
        asked = digest128("rotate", str(key_id), str(overlap))
        rows = await self._session.rows(
            "select * from creditd.rotate_own_api_key(%s::integer, %s::integer, %s::bigint,"
            " %s::bigint, %s::integer, %s::text[], %s, %s, %s::interval, %s::uuid, %s::uuid)",
            (
                *(key_id, manager.app_id, *(manager.account or (None, None))),
                *(manager.api_key_id or 0, sorted(manager.scopes), *_kept(secret), overlap),
                *(manager.digest(key), UUID(bytes=asked)),
            ),
        )
        return rotate_outcome(*rows[0])

    async def revoke(self, manager: Manager, key_id: int) -> bool | NoSuchApiKey:
        """End an API key. Returns whether it was not revoked already."""
        rows = await self._session.rows(
            "select creditd.revoke_own_api_key(%s::integer, %s::integer, %s::bigint, %s::bigint)",
            (key_id, manager.app_id, *(manager.account or (None, None))),
        )
        return NoSuchApiKey() if rows[0][0] is None else bool(rows[0][0])


def rotate_outcome(outcome: str, key_id: int, old_ends_at: datetime) -> RotateOutcome:
    """Return what the books' functions that rotate say."""
    match outcome:
        case "rotated" | "replayed":
            return ApiKeyRotated(key_id, old_ends_at, replayed=outcome == "replayed")
        case "replaced":
            return ApiKeyReplaced(key_id)
    return _NOT_ROTATED[outcome]


def _kept(secret: Secret) -> tuple[bytes, str]:
    return secret.digest, secret.hint


_NOT_MADE: Final[dict[str, MakeOutcome]] = {
    "key_reused": KeyReused(),
    "no_account": NoSuchAccount(),
    "beyond_own": BeyondOwnRights(),
    "capped_already": CappedAlready(),
    "too_many": TooManyApiKeys(API_KEYS_MAX),
}
_NOT_ROTATED: Final[dict[str, RotateOutcome]] = {
    "key_reused": KeyReused(),
    "no_api_key": NoSuchApiKey(),
    "ended": ApiKeyEnded(),
    "beyond_own": BeyondOwnRights(),
}
