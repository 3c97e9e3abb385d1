"""Why a request is refused, where the ledger's own outcomes do not say it already."""

from dataclasses import dataclass

from api.problems.shortfall import Shortfall
from ledger.api_keys import (
    ApiKeyEnded,
    ApiKeyReplaced,
    BeyondOwnRights,
    CappedAlready,
    NoSuchApiKey,
    TooManyApiKeys,
)
from ledger.errors import LedgerBusy, LedgerUnavailable, SchemaMismatch
from ledger.outcomes import (
    AccountClosed,
    AlreadyEnded,
    BeyondRange,
    ConsentWithdrawn,
    DurationRefused,
    Frozen,
    KeyReused,
    LinkChained,
    LinkedElsewhere,
    MoreThanTaken,
    NameTaken,
    NoConsentNeeded,
    NoSuchAccount,
    NoSuchApp,
    NoSuchCharge,
    NoSuchConsent,
    NoSuchGrant,
    NoSuchReservation,
    NoSuchSource,
    NotCovered,
    NotCoveredBeyond,
    OverBound,
    OverBudget,
    OverKeyCap,
    PriceChanged,
    TooExpensive,
)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A field of the body, a parameter of the query or a header is not what it must be."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """The body is not JSON."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoSuchEarning:
    """The account has no such earning."""


@dataclass(frozen=True, slots=True)
class TooManyStreams:
    """The caller follows as much as it may already."""

    most: int


@dataclass(frozen=True, slots=True)
class VersionAhead:
    """The books have not reached the version of the account that the caller names."""

    asked: int
    reached: int


@dataclass(frozen=True, slots=True)
class KeyMissing:
    """A write came without an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class KeyMalformed:
    """The Idempotency-Key is not one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """No API key, or one that is not good (any more)."""

    reason: str


@dataclass(frozen=True, slots=True)
class ScopeMissing:
    """The API key, or the session, lacks the scope."""

    scope: str
    by_session: bool = False


@dataclass(frozen=True, slots=True)
class ForAppsOnly:
    """This is for apps: people could give themselves back what they paid."""


@dataclass(frozen=True, slots=True)
class OperationNotAllowed:
    """The API key is for other operations."""

    operation: str


@dataclass(frozen=True, slots=True)
class ForOwnersOnly:
    """What only the account's owner decides was asked by an app."""


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The cookie names no session, or none that goes on."""


@dataclass(frozen=True, slots=True)
class OriginRefused:
    """A browser was made to send this by a page that is not of the origin `own`."""

    own: str


@dataclass(frozen=True, slots=True)
class SignInNotOffered:
    """The operator has not said by which origin people know the API."""


@dataclass(frozen=True, slots=True)
class TooManyChallenges:
    """More texts were asked for than the process gives out at once."""


@dataclass(frozen=True, slots=True)
class ChainUnserved:
    """No chain of this id is configured."""

    chain_id: int


@dataclass(frozen=True, slots=True)
class ChainUnreachable:
    """The signature may be a contract's, and the nodes of its chain do not answer."""

    chain_id: int


@dataclass(frozen=True, slots=True)
class ChallengeUnknown:
    """The signed text was not given out for this, was used, was tried too often or is over."""


@dataclass(frozen=True, slots=True)
class SignatureRefused:
    """The signature is not that of the wallet that the text names."""

    address: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class QuotaExceeded:
    """The API key has made as many requests as it may for now: `requests` in `seconds`.

    The next one is let through in `retry_after` seconds.
    """

    requests: int
    seconds: int
    retry_after: int


@dataclass(frozen=True, slots=True)
class NotPriced:
    """No price is in force for the operation.

    `known` are some operations that have one.
    """

    operation: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelNotPriced:
    """The operation has prices by model, and none for this one.

    `model` is None where none was named; `known` are some that have a price.
    """

    operation: str
    model: str | None
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotFound:
    """Nothing lives under the path."""


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """The path knows other methods."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BodyTimedOut:
    """The body did not arrive in time."""


@dataclass(frozen=True, slots=True)
class BodyTooLarge:
    """The body is larger than any request of ours."""


@dataclass(frozen=True, slots=True)
class MediaTypeUnsupported:
    """The body is said to be something else than JSON."""


@dataclass(frozen=True, slots=True)
class HeadMalformed:
    """What came is not HTTP."""


@dataclass(frozen=True, slots=True)
class HeadTooLarge:
    """Request line and headers are larger than any request of ours."""


@dataclass(frozen=True, slots=True)
class TooManyRequests:
    """More requests or connections are open than the process takes on."""


@dataclass(frozen=True, slots=True)
class AuthorizationReplayed:
    """A proxy asks about one call again, which was paid for when it asked first.

    `paid_by` names the charge or reservation; None if the call was another operation's then.
    """

    paid_by: str | None


@dataclass(frozen=True, slots=True)
class ReplaysNotOffered:
    """The process was put together without what decodes logs again."""


@dataclass(frozen=True, slots=True)
class ReplayUnderWay:
    """The process decodes logs again already, and does one replay at a time."""


@dataclass(frozen=True, slots=True)
class ReplayNotCarriedOut:
    """Logs could not be decoded again, for a reason that stays until somebody mends it."""

    said: str


@dataclass(frozen=True, slots=True)
class ReplayCutShort:
    """Not all logs were decoded again. `granted_events` came in by then; None: nobody knows."""

    said: str
    granted_events: int | None = None


@dataclass(frozen=True, slots=True)
class Draining:
    """The process is about to stop: no more should be sent to it."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The process stops and did not wait for the answer."""


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """A defect of ours; the log has it under the request id."""


Cause = (
    Invalid
    | VersionAhead
    | NoSuchEarning
    | TooManyStreams
    | Malformed
    | KeyMissing
    | KeyMalformed
    | KeyReused
    | Unauthenticated
    | ScopeMissing
    | QuotaExceeded
    | ForAppsOnly
    | SessionOver
    | OriginRefused
    | SignInNotOffered
    | TooManyChallenges
    | ChainUnserved
    | ChainUnreachable
    | ChallengeUnknown
    | SignatureRefused
    | OperationNotAllowed
    | Shortfall
    | OverBudget
    | ForOwnersOnly
    | ConsentWithdrawn
    | NoSuchApp
    | NoSuchConsent
    | NoConsentNeeded
    | LinkChained
    | LinkedElsewhere
    | NoSuchGrant
    | NoSuchSource
    | ReplaysNotOffered
    | ReplayUnderWay
    | ReplayNotCarriedOut
    | ReplayCutShort
    | OverKeyCap
    | ApiKeyEnded
    | ApiKeyReplaced
    | BeyondOwnRights
    | CappedAlready
    | NoSuchApiKey
    | TooManyApiKeys
    | NotPriced
    | ModelNotPriced
    | PriceChanged
    | TooExpensive
    | NoSuchAccount
    | NoSuchCharge
    | NoSuchReservation
    | AlreadyEnded
    | OverBound
    | NotCoveredBeyond
    | DurationRefused
    | MoreThanTaken
    | Frozen
    | AccountClosed
    | NameTaken
    | NotCovered
    | BeyondRange
    | NotFound
    | MethodNotAllowed
    | BodyTimedOut
    | BodyTooLarge
    | MediaTypeUnsupported
    | HeadMalformed
    | HeadTooLarge
    | TooManyRequests
    | AuthorizationReplayed
    | Draining
    | Stopping
    | Unforeseen
    | LedgerBusy
    | LedgerUnavailable
    | SchemaMismatch
)


class Refused(Exception):
    """The request is answered with the problem of its cause (`api.problems`)."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class Denied(Refused):
    """A call that a proxy asks about is refused by a status that the proxy can pass on."""

    def __init__(self, cause: Cause, status: int) -> None:
        super().__init__(cause)
        self.status = status
