"""What an endpoint is, what it is called with and what it answers. HTTP stays in `api.app`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from api.calling.caller import Caller
from api.calling.signing import Signing
from api.metrics import Metrics
from api.problems.refusals import Cause
from api.problems.shortfall import NO_HELPS, Helps
from api.shapes import NoBody
from ledger.api_keys import OwnApiKeys
from ledger.balances import Balances
from ledger.consents import Consents
from ledger.reading import Reading
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.spending import Spending

ANY_METHOD: Final = "ANY"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

Body = TypeVar("Body", bound=msgspec.Struct)
Query = TypeVar("Query", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What endpoints of every port work with."""

    reading: Reading
    metrics: Metrics
    # Set when it is about to stop: what is under way is ended, and no more is taken on.
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    # What sessions need, where there are any.
    signing: Signing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Process):
    """What the endpoints of the API work with."""

    spending: Spending
    reserving: Reserving
    sharing: Sharing
    consents: Consents
    api_keys: OwnApiKeys
    balances: Balances
    signing: Signing
    helps: Helps = NO_HELPS


class Answer(msgspec.Struct, frozen=True):
    """A status, a body that is sent as JSON (or is JSON already), and headers."""

    status: int
    body: msgspec.Struct | msgspec.Raw
    headers: tuple[tuple[str, str], ...] = ()


def marked(headers: tuple[tuple[str, str], ...], *, replayed: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer, which say so if it was given before."""
    return (*headers, ("Idempotent-Replayed", "true")) if replayed else headers


@dataclass(frozen=True, slots=True)
class Document:
    """A body that is sent as it is."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that is sent piece by piece, as it comes.

    It ends with its pieces, when its reader goes or takes too long, and when the process stops.
    Between pieces it is looked whether its caller may still call: an empty one lets that happen.
    """

    media_type: str
    pieces: AsyncGenerator[bytes, None]
    headers: tuple[tuple[str, str], ...] = ()


class Call(msgspec.Struct, Generic[Body, Query], frozen=True):
    """One request of an app that may make it, decoded.

    `key` is the idempotency key, empty where none is needed; `path` holds the parts of the path
    by name, `headers` names (in lower case) and values as they came. `request_id` is for the log
    and for problems.
    """

    caller: Caller
    path: Mapping[str, str]
    body: Body
    query: Query
    key: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecated:
    """Since when an endpoint is deprecated, when it goes (if that is known), and what to use."""

    since: datetime
    instead: str
    gone_at: datetime | None = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what its answers say of it (RFC 9745, RFC 8594)."""
        told = (
            ("Deprecation", f"@{int(self.since.timestamp())}"),
            ("Link", f'<{self.instead}>; rel="successor-version"'),
        )
        if self.gone_at is None:
            return told
        return (*told, ("Sunset", format_datetime(self.gone_at, usegmt=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[Body, Query]):
    """An endpoint for apps: it needs an API key with one of `scopes` (any key if there are none).

    A `body` type makes it a write, which needs an idempotency key unless it is `repeatable`: then
    doing it again changes nothing more. `answers` says which shape goes with which status,
    or the media type of what is no JSON,
    `refusals` what it may refuse beside what all endpoints do. Where it is `for_apps`, no personal
    API key and no session will do; where it is `for_sessions`, nothing else will. `takes` are the
    headers it reads, `leads_to` endpoints by name, and which part of their path the `id` of its
    answer is. With `denied_as`, a refusal may come with that status instead of its own.
    """

    method: str
    path: str
    name: str
    summary: str
    scopes: tuple[str, ...]
    body: type[Body]
    query: type[Query]
    answers: Mapping[int, type[msgspec.Struct] | str]
    headers: tuple[str, ...] = ()
    refusals: tuple[type[Cause], ...] = ()
    for_apps: bool = False
    for_sessions: bool = False
    repeatable: bool = False
    takes: tuple[str, ...] = ()
    leads_to: Mapping[str, str] = field(default_factory=dict)
    denied_as: int | None = None
    deprecated: Deprecated | None = None
    # What it works with is `Parts`, or what the port that it is served on has instead.
    run: Callable[[Any, Call[Body, Query]], Awaitable[Answer | Stream]]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it is asked by; HEAD is asked like GET wherever that is one."""
        return METHODS if self.method == ANY_METHOD else (self.method,)

    @property
    def writes(self) -> bool:
        """Whether it changes the books."""
        return self.body is not NoBody

    @property
    def only_reads(self) -> bool:
        """Whether it is asked by methods alone that change nothing."""
        return SAFE_METHODS.issuperset(self.methods)

    @property
    def needs_key(self) -> bool:
        """Whether it needs an idempotency key."""
        return self.writes and not self.repeatable


@dataclass(frozen=True, slots=True)
class Visit(Generic[Body]):
    """One request of anybody, decoded. `headers` are values by name (in lower case)."""

    body: Body
    headers: Mapping[bytes, Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorEndpoint(Generic[Body]):
    """An endpoint that anyone who reaches the process may post to: its body is what proves it.

    Its fields are as those of `Endpoint`.
    """

    path: str
    name: str
    summary: str
    body: type[Body]
    answers: Mapping[int, type[msgspec.Struct]]
    headers: tuple[str, ...] = ()
    refusals: tuple[type[Cause], ...] = ()
    leads_to: Mapping[str, str] = field(default_factory=dict)
    run: Callable[[Any, Visit[Body]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEndpoint:
    """An endpoint that anyone who reaches the process may read.

    `shape` is that of its JSON; a document names its media type instead.
    """

    path: str
    name: str
    summary: str
    shape: type[msgspec.Struct] | str
    refusals: tuple[type[Cause], ...] = ()
    run: Callable[[Any, Mapping[str, str]], Awaitable[Answer | Document]]


AnyEndpoint = Endpoint[Any, Any] | VisitorEndpoint[Any] | OpenEndpoint
