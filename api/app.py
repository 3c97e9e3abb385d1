"""The app: HTTP on one side, endpoints on the other. The only file that knows the framework.

A request is matched, authenticated, decoded and answered here; whatever an endpoint cannot answer
comes back as a cause and leaves as the problem of `api.problems`.
"""

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import msgspec
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from api.caching import NO_STORE
from api.calling.caller import Caller, CallerKind
from api.calling.calls import (
    Answer,
    AnyEndpoint,
    Call,
    Document,
    Endpoint,
    OpenEndpoint,
    Process,
    Stream,
    Visit,
    VisitorEndpoint,
)
from api.calling.decoding import decode_body, decode_query, required_fields
from api.calling.idempotency import parse_idempotency_key
from api.endpoints import ENDPOINTS
from api.identity.callers import CALLERS, Callers
from api.identity.rate_limits import RateLimits
from api.identity.sessions import require_own_page, session_digest
from api.openapi import openapi_endpoint
from api.problems.causes import cause_of
from api.problems.denials import denial_headers
from api.problems.pages import STYLE_HASH
from api.problems.problem_type import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from api.problems.refusals import (
    BodyTooLarge,
    Denied,
    MediaTypeUnsupported,
    MethodNotAllowed,
    NotFound,
    Refused,
    SessionOver,
)
from api.problems.table import problem_type
from api.streaming import Streamed, Streaming
from ledger.api_key_terms import Rate

BODY_BYTES_MAX: Final = 65_536  # the largest body anyone needs to send is under 1 KiB
# A sender that overshoots is read to its end, if that is near: closing on it would lose the answer.
BODY_BYTES_DRAINED_MAX: Final = 1_048_576

# An operation's name may hold slashes, so it takes all that is left of a path.
_SLASHES_IN = re.compile(r"\{operation\}$")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HEADER_NAMES_KNOWN_MAX: Final = 64  # we send a dozen
_JSON: Final = ("Content-Type", "application/json")
_PROBLEM: Final = ("Content-Type", PROBLEM_MEDIA_TYPE)
_DOCUMENT_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'",
    ),
)

Headers = dict[bytes, list[bytes]]
"""The headers of a request by name, in small letters, each with its values."""

RATE: Final = "creditd.rate"  # where a request's scope has the headers that tell of its rate
Headings = tuple[tuple[str, str], ...]

_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class _Reply(msgspec.Struct, frozen=True):
    """What is sent: the same for answers, documents and problems."""

    status: int
    content: bytes
    headers: tuple[tuple[str, str], ...]


class Api:
    """The ASGI application of one process."""

    def __init__(
        self,
        parts: Process,
        endpoints: Sequence[AnyEndpoint] = ENDPOINTS,
        *,
        kinds: frozenset[CallerKind] = CALLERS,
        rate_limit: Rate | None = None,
    ) -> None:
        """Serve `endpoints`, which work with `parts`, to callers of these kinds alone."""
        self._metrics = parts.metrics
        self._draining = parts.draining
        self._streaming = Streaming()
        guard = _Guard(Callers(parts.reading, kinds), RateLimits(rate_limit), self._streaming)
        by_path: dict[str, list[AnyEndpoint]] = defaultdict(list)
        for endpoint in (*endpoints, openapi_endpoint(endpoints)):
            by_path[endpoint.path].append(endpoint)
        paths = {path: _Path(found, parts, guard) for path, found in by_path.items()}
        # Most requests charge, and name a path without parts: it is looked up, not tried in turn.
        self._fixed = {path: found for path, found in paths.items() if "{" not in path}
        self._patterns = [
            (compile_path(_SLASHES_IN.sub("{operation:path}", path))[0], found)
            for path, found in paths.items()
            if "{" in path
        ]

    def drain(self) -> None:
        """Say from now on that no more should be sent, and end what would not end by itself.

        Each answer is its connection's last.
        """
        self._draining.set()
        self._streaming.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong is answered with a problem."""
        headers = _by_name(scope)
        request_id = _request_id(headers)
        name = ""
        notices: Headings = ()
        reply: _Reply | Streamed
        try:
            path = self._fixed.get(scope["path"]) or self._matched(scope)
            endpoint = path.endpoint(scope["method"])
            name, notices = endpoint.name, endpoint.notices
            answer = await endpoint.answer(scope, headers, receive, request_id)
            reply = answer if isinstance(answer, Streamed) else _reply(answer)
        except ClientGone:
            return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the one error table
            reply = _refusal(error, request_id)
        self._metrics.answered(name, reply.status)
        sent = [(b"x-request-id", request_id.encode())]
        if isinstance(reply, _Reply):
            sent.append((b"content-length", b"%d" % len(reply.content)))
        said = (*reply.headers, *notices)
        sent += [(_header_name(name), value.encode("latin-1")) for name, value in said]
        if self._draining.is_set():
            sent.append((b"connection", b"close"))
        if RATE in scope:
            sent += [(_header_name(name), value.encode("ascii")) for name, value in scope[RATE]]
        await send({"type": "http.response.start", "status": reply.status, "headers": sent})
        if isinstance(reply, _Reply):
            await send({"type": "http.response.body", "body": reply.content})
        else:
            await self._streaming.send(reply, scope["method"], receive, send)

    def _matched(self, scope: Scope) -> "_Path":
        """Return a path with parts, which the scope has then. Raises Refused(NotFound)."""
        for pattern, path in self._patterns:
            match = pattern.fullmatch(scope["path"])
            if match is not None:
                scope["path_params"] = match.groupdict()
                return path
        raise Refused(NotFound())


def _reply(answer: Answer | Document) -> _Reply:
    if isinstance(answer, Answer):
        return _Reply(answer.status, _encode(answer.body), (_JSON, *answer.headers))
    return _Reply(200, answer.content, (("Content-Type", answer.media_type), *_DOCUMENT_HEADERS))


def _refusal(error: BaseException, request_id: str) -> _Reply:
    """Return the problem that answers an error."""
    cause = cause_of(error, request_id)
    row = problem_type(cause)
    body, headers = row.render(cause, request_id)
    if not any(name == "Cache-Control" for name, _ in headers):
        # A cache that keeps a 404 of one caller's answers others with it, whom it does not concern.
        headers = (*headers, NO_STORE)
    if isinstance(error, Denied):
        headers = (*headers, *denial_headers(row.status, body))
        return _Reply(error.status, body, (_PROBLEM, *headers))
    return _Reply(row.status, body, (_PROBLEM, *headers))


class _Path:
    """The endpoints of one path, by method."""

    def __init__(self, endpoints: Sequence[AnyEndpoint], parts: Process, guard: "_Guard") -> None:
        self._methods: dict[str, _Guarded | _Visited | _Open] = {}
        for endpoint in endpoints:
            if isinstance(endpoint, Endpoint):
                guarded = _Guarded(endpoint, parts, guard)
                self._methods |= dict.fromkeys(endpoint.methods, guarded)
            elif isinstance(endpoint, VisitorEndpoint):
                self._methods["POST"] = _Visited(endpoint, parts)
            else:
                self._methods["GET"] = _Open(endpoint, parts)
        if "GET" in self._methods:
            self._methods["HEAD"] = self._methods["GET"]

    def endpoint(self, method: str) -> "_Guarded | _Visited | _Open":
        """Return the endpoint of a method. Raises Refused if there is none."""
        found = self._methods.get(method)
        if found is None:
            raise Refused(MethodNotAllowed(tuple(self._methods)))
        return found


class _Guard(NamedTuple):
    """Who is let in, and how often."""

    callers: Callers
    rates: RateLimits
    streaming: Streaming


class _Guarded:
    """An endpoint for apps, and what is asked before it runs: 401, then 403, then the rest."""

    notices: Headings

    def __init__(self, endpoint: Endpoint[Any, Any], parts: Process, guard: _Guard) -> None:
        self.name = endpoint.name
        self.notices = endpoint.deprecated.headers() if endpoint.deprecated else ()
        self._endpoint = endpoint
        self._parts = parts
        self._callers, self._rates, self._streaming = guard
        self._body = _Body(endpoint.body)
        self._no_body = endpoint.body() if not endpoint.writes else None
        # None where a query is required: what is missing of an empty one is told as of any other.
        self._no_query = None if required_fields(endpoint.query) else endpoint.query()

    async def answer(
        self, scope: Scope, headers: Headers, receive: Receive, request_id: str
    ) -> Answer | Streamed:
        endpoint = self._endpoint
        caller = await self._caller(scope["method"], headers)
        rate = self._rates.admit(caller)
        if rate:
            scope[RATE] = rate
        self._require(caller)
        query = scope["query_string"]
        call = Call(
            caller=caller,
            path=scope.get("path_params", {}),
            query=(not query and self._no_query) or decode_query(query, endpoint.query),
            key=_key(headers) if endpoint.needs_key else "",
            body=self._no_body or await self._body.read(headers, receive),
            headers=scope["headers"],
            request_id=request_id,
        )
        answer = await endpoint.run(self._parts, call)
        if isinstance(answer, Stream):
            still_good = partial(self._still_good, scope["method"], headers)
            return self._streaming.admit(answer, caller, still_good)
        if caller.session is None or any(name == "Cache-Control" for name, _ in answer.headers):
            return answer
        # What comes by a cookie says nothing of itself to a cache that others share.
        return Answer(answer.status, answer.body, (*answer.headers, NO_STORE))

    def _require(self, caller: Caller) -> None:
        caller.require_scope(self._endpoint.scopes)
        if self._endpoint.for_apps:
            caller.require_app()
        if self._endpoint.for_sessions and caller.session is None:
            raise Refused(SessionOver())

    async def _still_good(self, method: str, headers: Headers) -> None:
        self._require(await self._caller(method, headers))

    async def _caller(self, method: str, headers: Headers) -> Caller:
        """Return who calls: by the API key, or, where there is none, by the session's cookie."""
        authorization = headers.get(b"authorization", ())
        signing = self._parts.signing
        terms = None if signing is None else signing.terms
        if authorization or signing is None or terms is None:
            return await self._callers.identify(authorization)
        digest = session_digest(headers.get(b"cookie", ()))
        if digest is None:
            if self._endpoint.for_sessions:  # no API key would do
                raise Refused(SessionOver())
            return await self._callers.identify(authorization)
        caller = await signing.sessions.identify(digest)
        require_own_page(method, terms.public_url, headers)
        return caller


class _Visited:
    """An endpoint that anyone who reaches the process may post to."""

    notices: Headings = ()

    def __init__(self, endpoint: VisitorEndpoint[Any], parts: Process) -> None:
        self.name = endpoint.name
        self._run = endpoint.run
        self._parts = parts
        self._body = _Body(endpoint.body)

    async def answer(
        self, _scope: Scope, headers: Headers, receive: Receive, _request_id: str
    ) -> Answer:
        return await self._run(self._parts, Visit(await self._body.read(headers, receive), headers))


class _Body:
    """The bodies of one endpoint, read as JSON of its shape."""

    def __init__(self, shape: type[msgspec.Struct]) -> None:
        self._decoder = msgspec.json.Decoder(shape)

    async def read(self, headers: Headers, receive: Receive) -> msgspec.Struct:
        body = await _read_body(headers, receive)
        if body and not _is_json(headers.get(b"content-type", ())):
            raise Refused(MediaTypeUnsupported())
        return decode_body(self._decoder, body)


class _Open:
    """An endpoint for anyone who reaches the process."""

    notices: Headings = ()

    def __init__(self, endpoint: OpenEndpoint, parts: Process) -> None:
        self.name = endpoint.name
        self._run = endpoint.run
        self._parts = parts

    async def answer(
        self, scope: Scope, _headers: Headers, _receive: Receive, _request_id: str
    ) -> Answer | Document:
        return await self._run(self._parts, scope.get("path_params", {}))


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """Return the whole body. Raises Refused if it is too large, ClientGone."""
    declared = headers.get(b"content-length")
    if declared and int(declared[0]) > BODY_BYTES_DRAINED_MAX:
        raise Refused(BodyTooLarge())
    chunks: list[bytes] = []
    size = 0
    while size <= BODY_BYTES_DRAINED_MAX:
        message = await receive()  # the connection bounds how long that takes
        if message["type"] == "http.disconnect":
            raise ClientGone
        size += len(message["body"])
        if size <= BODY_BYTES_MAX:
            chunks.append(message["body"])
        if not message["more_body"]:
            break
    if size > BODY_BYTES_MAX:
        raise Refused(BodyTooLarge())
    return b"".join(chunks)


def _by_name(scope: Scope) -> Headers:
    headers: Headers = {}
    for name, value in scope["headers"]:
        if name in headers:
            headers[name].append(value)
        else:
            headers[name] = [value]
    return headers


def _request_id(headers: Headers) -> str:
    """Return the sender's own request id if it is short and plain, else a new one."""
    for value in headers.get(b"x-request-id", ()):
        if _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"req_{random.getrandbits(64):016x}"  # to look for in logs; no secret


def _key(headers: Headers) -> str:
    return parse_idempotency_key(headers.get(b"idempotency-key", ()))


@lru_cache(_HEADER_NAMES_KNOWN_MAX)
def _header_name(name: str) -> bytes:
    return name.lower().encode()


def _is_json(media_types: Sequence[bytes]) -> bool:
    if len(media_types) != 1:
        return False
    return media_types[0].partition(b";")[0].strip().lower() == b"application/json"
