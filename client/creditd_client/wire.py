"""One request to creditd: sent a bounded number of times under one key, and its answer."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from itertools import count
from typing import Final

import httpx2

from creditd_client.errors import CreditsUnavailable, InsufficientCredits, OverBudget, Refused
from creditd_client.keys import quote_key

# Waits between the attempts of one call: enough for a restart of creditd, not for an outage.
BACKOFF_SECONDS: Final = (0.1, 0.5, 2.0)
ATTEMPTS_MAX: Final = len(BACKOFF_SECONDS) + 1
# As long as creditd ever asks for; a longer wish comes from elsewhere, and a request is waiting.
RETRY_AFTER_SECONDS_MAX: Final = 5
ANSWER_BYTES_MAX: Final = 16_384  # four times what creditd answers to these calls
CONNECTIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object that creditd answered, and how it came about.

    `retried` says that an earlier attempt of the same call may have arrived too. Reading a member
    that is not there, or not what it should be, raises CreditsUnavailable.
    """

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, object]
    key: str | None
    retried: bool = False

    @property
    def replayed(self) -> bool:
        """Whether an earlier request under the same key was answered again."""
        return self.headers.get("idempotent-replayed") == "true"

    def text(self, name: str) -> str:
        """Return a member that is a string."""
        value = self.document.get(name)
        if not isinstance(value, str):
            raise self._nonsense(name)
        return value

    def number(self, name: str) -> int:
        """Return a member that is an integer."""
        value = self.document.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._nonsense(name)
        return value

    def credits(self, name: str) -> Decimal:
        """Return a member that is an amount of credits, written as a decimal string."""
        try:
            amount = Decimal(self.text(name))
        except InvalidOperation as wrong:
            raise self._nonsense(name) from wrong
        if not amount.is_finite():
            raise self._nonsense(name)
        return amount

    def time(self, name: str) -> datetime:
        """Return a member that is a time of RFC 3339."""
        try:
            moment = datetime.fromisoformat(self.text(name))
        except ValueError as wrong:
            raise self._nonsense(name) from wrong
        if moment.tzinfo is None:
            raise self._nonsense(name)
        return moment

    def _nonsense(self, name: str) -> CreditsUnavailable:
        return CreditsUnavailable(
            f"the answer {self.status} has {name!r}: {self.document.get(name)!r};"
            " is base_url really creditd's, of a version that goes with this client?",
            maybe_taken=self.status < HTTPStatus.BAD_REQUEST,
            key=self.key,
        )


@dataclass(frozen=True, slots=True)
class _Unanswered:
    reason: str
    maybe_taken: bool
    may_pass: bool = True
    retry_after_seconds: int | None = None


class Wire:
    """creditd's address, an API key and a pool of connections."""

    def __init__(self, base_url: str, api_key: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        # Half the time for connecting: what never got through is then known not to have arrived.
        connect_seconds = timeout_seconds / 2
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}", "Accept": "application/json"},
            timeout=httpx2.Timeout(None, connect=connect_seconds, pool=connect_seconds),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
        )

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        await self._http.aclose()

    async def get(self, path: str) -> Answer:
        """Ask for a document. Raises Refused, CreditsUnavailable."""
        return await self._ask("GET", path, None, {}, None)

    async def post(self, path: str, body: Mapping[str, object], key: str) -> Answer:
        """Ask for a write, once per key. Raises as `get` (402: InsufficientCredits, OverBudget)."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote_key(key)}
        return await self._ask("POST", path, json.dumps(body).encode(), headers, key)

    async def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        key: str | None,
    ) -> Answer:
        request = self._http.build_request(method, path, content=content, headers=headers)
        maybe_taken = False
        for attempt in count():  # until `_pause_seconds` gives none, at ATTEMPTS_MAX
            outcome = await self._attempt(request, key)
            if isinstance(outcome, Answer):
                return _accepted(replace(outcome, retried=maybe_taken))
            maybe_taken = maybe_taken or outcome.maybe_taken
            pause_seconds = _pause_seconds(attempt, outcome)
            if pause_seconds is None:
                raise CreditsUnavailable(
                    f"{method} {request.url}: {outcome.reason}",
                    maybe_taken=maybe_taken,
                    key=key,
                    retry_after_seconds=outcome.retry_after_seconds,
                )
            await asyncio.sleep(pause_seconds)
        raise AssertionError  # count() does not end

    async def _attempt(self, request: httpx2.Request, key: str | None) -> Answer | _Unanswered:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._http.send(request, stream=True)
                try:
                    content = await _content(response)
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as failure:
            return _Unanswered(f"no connection ({failure!r})", maybe_taken=False)
        except TimeoutError:
            reason = f"no answer within {self._timeout_seconds} s"
            return _Unanswered(reason, maybe_taken=True)
        except httpx2.RequestError as failure:
            return _Unanswered(f"the connection broke ({failure!r})", maybe_taken=True)
        return _read(response, content, key)


async def _content(response: httpx2.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            return b""  # not creditd's: no JSON
    return content


def _read(response: httpx2.Response, content: bytes, key: str | None) -> Answer | _Unanswered:
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Unanswered(
            f"creditd answered {status}",
            maybe_taken=status != HTTPStatus.TOO_MANY_REQUESTS,
            retry_after_seconds=_retry_after_seconds(response.headers),
        )
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):  # the latter: nested beyond what anyone means
        document = None
    if not isinstance(document, dict):
        return _Unanswered(
            f"the answer {status} is not creditd's (no JSON object): is base_url right?",
            maybe_taken=status < HTTPStatus.BAD_REQUEST,
            may_pass=False,
        )
    return Answer(status, dict(response.headers), document, key)


def _accepted(answer: Answer) -> Answer:
    if answer.status < HTTPStatus.BAD_REQUEST:
        return answer
    if answer.status == HTTPStatus.PAYMENT_REQUIRED:
        raise _unpaid(answer)
    raise Refused(answer.status, answer.document, answer.headers)


def _unpaid(answer: Answer) -> InsufficientCredits | OverBudget:
    if str(answer.document.get("type")).endswith("/over-budget"):
        return OverBudget(
            answer.document,
            answer.headers,
            required=answer.credits("required"),
            left=answer.credits("left"),
        )
    return InsufficientCredits(
        answer.document,
        answer.headers,
        required=answer.credits("required"),
        available=answer.credits("available"),
        missing=answer.credits("missing"),
        pending=answer.credits("pending"),
    )


def _pause_seconds(attempt: int, outcome: _Unanswered) -> float | None:
    """Return how long to wait before another attempt, or None where there is to be none."""
    if not outcome.may_pass or attempt >= len(BACKOFF_SECONDS):
        return None
    if outcome.retry_after_seconds is None:
        # Up to twice the wait, so that those who failed together do not come back together.
        return BACKOFF_SECONDS[attempt] * (1 + secrets.randbelow(1000) / 1000)
    if outcome.retry_after_seconds > RETRY_AFTER_SECONDS_MAX:
        return None
    return outcome.retry_after_seconds


def _retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "")
    # The form with a date needs a clock that agrees with the sender's: left alone.
    return int(text) if text.isascii() and text.isdigit() else None
