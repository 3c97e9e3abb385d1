"""One node's JSON-RPC endpoint over HTTP: the only file that speaks JSON-RPC.

web3's provider numbers, encodes and matches the calls; how they are posted, how often they are
tried and how much of an answer is read is decided here. What a node says is handed on as plain
JSON, unbelieved: `daemon.chain.reading` proves it.
"""

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Any, Final, NotRequired, Self, TypedDict, TypeVar, cast

import aiohttp
import msgspec
from web3 import AsyncHTTPProvider
from web3._utils.http_session_manager import HTTPSessionManager
from web3.types import RPCEndpoint, RPCResponse

from daemon.chain.log_range import LogRange
from daemon.chain.node_url import endpoint_of, secrets_of, split_node_url
from daemon.chain.pace import Pace

# py_ecc, which web3 imports, raises the limit a hundredfold: an answer of nested brackets would
# then overrun the stack and end the program, where it should end as an answer that is not JSON-RPC.
RECURSION_LIMIT: Final = 1_000
sys.setrecursionlimit(RECURSION_LIMIT)

# Four tries within about two seconds ride over a proxy's restart. What lasts longer is left to
# the caller's next turn, so that it can say what it waits for.
ATTEMPTS_MAX: Final = 4
BACKOFF_SECONDS: Final = (0.25, 0.5, 1.0)
# A node that asks for a longer pause gets one: the call fails and the caller comes back later.
RETRY_AFTER_SECONDS_MAX: Final = 5.0
# Hosted nodes commonly refuse batches above 100 calls.
BATCH_CALLS_MAX: Final = 100
# Receipts take about 2.5 kB a transaction as JSON; a batch of full blocks stays well below this.
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
# Each value of an answer takes some hundred bytes of memory, however few it has itself. In larger
# answers there must be so many for each comma and opening bracket: the least honest ones, of
# withdrawals or logs without data, have 25 to 30, receipts of full blocks 44 to 61.
DENSE_BYTES_MAX: Final = 8 * 1024 * 1024
BYTES_PER_VALUE_MIN: Final = 16
# One reader asks one thing at a time; the auditor and a second chain share the node with it.
CONNECTIONS_MAX: Final = 8
# A node's own words go into errors and pages: enough to recognise them, no more.
MESSAGE_LENGTH_MAX: Final = 200
# What providers say of their limits is some hundred characters long, with the number at its end.
DETAILS_LENGTH_MAX: Final = 2_000

# JSON-RPC errors that speak of the caller's pace alone. EIP-1474: -32005 is "limit exceeded".
RATE_LIMITED_CODES: Final = frozenset({429, -32005})

_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_NO_ENTRY_STATUSES: Final = frozenset({401, 403})
_REQUEST_TOO_LARGE: Final = 413


class NodeUnavailable(Exception):
    """The node did not answer, or not with JSON-RPC, in any of the tries.

    `endpoint` is scheme, host and port: credentials, path and query are never part of an error.
    With `too_much` it may well answer if less is asked for at once.
    """

    def __init__(self, endpoint: str, cause: str, *, too_much: bool = False) -> None:
        super().__init__(f"the node at {endpoint} is unavailable: {cause}")
        self.endpoint = endpoint
        self.cause = cause
        self.too_much = too_much


class NodeRefused(Exception):
    """The node answered a call with a JSON-RPC error; asking again would give the same.

    `details` is all that the node said, where `message` may be cut short: for programs to read.
    """

    def __init__(self, method: str, code: int, message: str, details: str = "") -> None:
        super().__init__(f"the node refused {method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.details = details or message


class _Answer(TypedDict):
    id: NotRequired[int | None]
    result: NotRequired[Any]
    error: NotRequired[Any]


class _BatchAnswer(TypedDict):
    id: int
    result: NotRequired[Any]
    error: NotRequired[Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a try failed, and what may help: another one, after a pause, or fewer calls at once."""

    cause: str
    again: bool = True
    again_after_seconds: int = 0
    fewer: bool = False


class _BadStatusError(Exception):
    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after


class _UnreadError(Exception):
    def __init__(self, failure: _Failure) -> None:
        super().__init__(failure)
        self.failure = failure


_T = TypeVar("_T")
_ANSWERS: Final = msgspec.json.Decoder(list[_BatchAnswer] | _Answer)


class _Posts(HTTPSessionManager):
    """Posts to the one URL, over connections kept open, and reads a bounded answer.

    In place of web3's own, whose lock can stay taken for good when a call is cancelled, and
    which logs the URL. This way the provider never learns more of the URL than its host.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        super().__init__(session_pool_max_workers=1)
        self._url = url
        self._session = session

    async def async_make_post_request(
        self,
        endpoint_uri: object,
        data: bytes | dict[str, Any],
        **kwargs: Any,  # noqa: ANN401 - web3's
    ) -> bytes:
        del endpoint_uri  # only the host: see above
        async with self._session.post(
            self._url, data=data, allow_redirects=False, **kwargs
        ) as response:
            if response.status != HTTPStatus.OK:
                raise _BadStatusError(response.status, response.headers.get("Retry-After"))
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    cause = f"an answer of more than {ANSWER_BYTES_MAX} bytes"
                    raise _UnreadError(_Failure(cause, again=False, fewer=True))
            if len(body) > DENSE_BYTES_MAX:
                values = sum(body.count(mark) for mark in b",[{")
                if values * BYTES_PER_VALUE_MIN > len(body):
                    cause = "a large answer of hardly anything but brackets"
                    raise _UnreadError(_Failure(cause, again=False))
            return bytes(body)


class _Provider(AsyncHTTPProvider):
    """web3's provider, over our posts; every answer has the shape of JSON-RPC or is refused."""

    # web3 logs answers whole; a node's words may repeat the key it was asked with.
    logger = logging.Logger(__name__, logging.CRITICAL)  # noqa: LOG001 - heard by nobody

    def __init__(self, endpoint: str, posts: _Posts) -> None:
        # No retries of web3's own: its list of methods lacks eth_getBlockReceipts, and it
        # knows nothing of Retry-After.
        super().__init__(endpoint, exception_retry_configuration=None)
        self._request_session_manager = posts
        self.request_counter = count(1)  # some servers take the id 0 for none

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        return cast("RPCResponse", _ANSWERS.decode(raw_response))

    def encode_batch_rpc_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> bytes:
        # Ids tell the calls of one batch apart: numbered anew in each, they are known here.
        self.request_counter = count(1)
        return super().encode_batch_rpc_request(requests)


class Node:
    """One node, as an async context manager: its connections close with it.

    `url` is http:// or https:// and may carry credentials, also in its path or query. Each try
    of a call takes at most `timeout_seconds`. No more than `requests_per_second` calls go out,
    each of a batch counted; None: as many as there are. Raises ValueError for any other URL.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = 10, requests_per_second: int | None = None
    ) -> None:
        parts = split_node_url(url)
        self.endpoint = endpoint_of(parts)
        self._url = url
        self._secrets = secrets_of(parts)
        self._timeout_seconds = timeout_seconds
        self._batch_calls_max = min(BATCH_CALLS_MAX, requests_per_second or BATCH_CALLS_MAX)
        self._batch_calls = self._batch_calls_max
        self._pace = Pace(requests_per_second)
        self.log_range = LogRange()  # what its answers taught
        self._session: aiohttp.ClientSession | None = None
        self._provider: _Provider | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
        )
        self._provider = _Provider(self.endpoint, _Posts(self._url, self._session))
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session, self._provider = self._session, None, None
        if session is not None:
            await session.close()

    async def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON is any
        """Return the result of one call, as JSON.

        Tries at most ATTEMPTS_MAX times where the transport fails or the node is overloaded, so
        a call may reach the node more than once. Raises NodeUnavailable then, and NodeRefused at
        once for a JSON-RPC error.
        """
        return await self._call(method, params)

    async def _call(
        self, method: str, params: tuple[object, ...], *, divisible: bool = False
    ) -> Any:  # noqa: ANN401 - JSON is any
        provider = self._open_provider()

        async def ask() -> RPCResponse | _Failure:
            answer = await provider.make_request(RPCEndpoint(method), params)
            return answer if isinstance(answer, dict) else _Failure("a list, to a single call")

        answer = await self._asked(ask, 1, divisible=divisible)
        if isinstance(answer, _Failure):
            too_much = answer.fewer and (divisible or not answer.again)
            raise NodeUnavailable(self.endpoint, answer.cause, too_much=too_much)
        return self._result(method, answer)

    async def together(self, calls: Sequence[tuple[str, tuple[object, ...]]]) -> list[Any]:
        """Return the results of a few calls in one batch, so that one server answers all of them.

        A node that does not take it is asked one by one. Where less may help, nothing is tried
        again: raises NodeUnavailable that says `too_much`, else as `call` does.
        """
        answers = await self._batch_of(calls, divisible=True)
        if not isinstance(answers, _Failure):
            return answers
        if answers.again or not answers.fewer:
            raise NodeUnavailable(self.endpoint, answers.cause, too_much=answers.fewer)
        return [await self._call(method, params, divisible=True) for method, params in calls]

    async def batch(self, calls: Sequence[tuple[str, tuple[object, ...]]]) -> list[Any]:
        """Return the results of the calls, in their order; at most BATCH_CALLS_MAX travel at once.

        A node that finds a batch too long is asked for half of it, down to single calls, and for
        one call more after each batch it answers. Raises as `call` does, for the first call
        refused; never returns a part.
        """
        results: list[Any] = []
        while len(results) < len(calls):
            part = calls[len(results) : len(results) + self._batch_calls]
            if len(part) == 1:
                method, params = part[0]
                results.append(await self.call(method, *params))
                continue
            answers = await self._batch_of(part)
            if isinstance(answers, _Failure):
                if answers.fewer:
                    # Where time ran out, two calls at least: at one, it would not grow again.
                    self._batch_calls = max(2 if answers.again else 1, len(part) // 2)
                if answers.again or not answers.fewer:
                    raise NodeUnavailable(self.endpoint, answers.cause)
                continue
            results.extend(answers)
            if len(part) == self._batch_calls:
                self._batch_calls = min(self._batch_calls_max, self._batch_calls + 1)
        return results

    async def _batch_of(
        self, part: Sequence[tuple[str, tuple[object, ...]]], *, divisible: bool = False
    ) -> list[Any] | _Failure:
        """Return the results of one batch, or why there are none."""
        provider = self._open_provider()
        calls = [(RPCEndpoint(method), params) for method, params in part]

        async def ask() -> list[RPCResponse] | RPCResponse | _Failure:
            answers = await provider.make_batch_request(
                cast("list[tuple[RPCEndpoint, Any]]", calls)
            )
            if isinstance(answers, list) and [answer["id"] for answer in answers] != list(
                range(1, len(calls) + 1)
            ):
                return _Failure(f"{len(answers)} answers to {len(calls)} calls, or to other ones")
            return answers

        answers = await self._asked(ask, len(calls), divisible=divisible)
        if isinstance(answers, _Failure):
            return answers
        if isinstance(answers, dict):
            refusal = self._refusal("a batch of calls", answers.get("error"))
            if refusal.code in RATE_LIMITED_CODES:
                raise refusal
            return _Failure(refusal.message, again=False, fewer=True)
        return [
            self._result(method, answer)
            for (method, _), answer in zip(part, cast("list[RPCResponse]", answers), strict=True)
        ]

    async def _asked(
        self, ask: Callable[[], Awaitable[_T | _Failure]], calls: int, *, divisible: bool
    ) -> _T | _Failure:
        """Return the answer, or the last failure once the tries are used up.

        What is `divisible` is not tried again where less at once may help.
        """
        for pause_seconds in (*BACKOFF_SECONDS[: ATTEMPTS_MAX - 1], None):
            await self._pace.take(calls)
            answer = await self._tried(ask)
            if not isinstance(answer, _Failure) or not answer.again or pause_seconds is None:
                return answer
            if divisible and answer.fewer:
                return answer
            await asyncio.sleep(max(pause_seconds, answer.again_after_seconds))
        raise AssertionError("the last try returns")

    async def _tried(self, ask: Callable[[], Awaitable[_T | _Failure]]) -> _T | _Failure:
        # Failures are values, made from known parts: the text of an aiohttp error holds the URL,
        # and so would the context of whatever is raised while one is handled.
        try:
            return await ask()
        except _BadStatusError as error:
            return _failure_of_status(error.status, error.retry_after)
        except _UnreadError as error:
            return error.failure
        except TimeoutError:
            return _Failure(f"no answer within {self._timeout_seconds} seconds", fewer=True)
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return _Failure(f"the connection failed ({reason})")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _Failure("its answer is not JSON-RPC; is this the URL of a node?")

    def _result(self, method: str, answer: RPCResponse) -> Any:  # noqa: ANN401 - JSON is any
        if answer.get("error") is not None:
            raise self._refusal(method, answer["error"])
        if "result" not in answer:
            raise NodeUnavailable(self.endpoint, f"its answer to {method} has no result")
        return answer["result"]

    def _refusal(self, method: str, error: object) -> NodeRefused:
        said = error if isinstance(error, dict) else {"message": str(error)}
        code, message, data = said.get("code"), str(said.get("message")), str(said.get("data", ""))
        for secret in self._secrets:
            message, data = message.replace(secret, "***"), data.replace(secret, "***")
        return NodeRefused(
            method,
            code if isinstance(code, int) else 0,
            _printable(message)[:MESSAGE_LENGTH_MAX],
            _printable(f"{message} {data}")[:DETAILS_LENGTH_MAX],
        )

    def _open_provider(self) -> _Provider:
        if self._provider is None:
            raise RuntimeError("the node is not open: use `async with Node(url) as node`")
        return self._provider


def _printable(said: str) -> str:
    """Return the first of a node's words, with nothing in them that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in said[:DETAILS_LENGTH_MAX])


def _failure_of_status(status: int, retry_after: str | None) -> _Failure:
    cause = f"HTTP status {status}"
    if status == _REQUEST_TOO_LARGE:
        return _Failure(cause, again=False, fewer=True)
    if status in _NO_ENTRY_STATUSES:
        return _Failure(f"{cause}; check the API key in its URL", again=False)
    if status not in _TRANSIENT_STATUSES and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Failure(f"{cause}; is this the URL of a node?", again=False)
    # RFC 9110 allows a date here too; nodes send seconds, and without them our own pause holds.
    if retry_after is None or not re.fullmatch("[0-9]{1,9}", retry_after):
        return _Failure(cause)
    if int(retry_after) > RETRY_AFTER_SECONDS_MAX:
        return _Failure(f"{cause}, asking for {retry_after} seconds of pause", again=False)
    return _Failure(cause, again_after_seconds=int(retry_after))
