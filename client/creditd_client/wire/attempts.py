"""The attempts of one call: what each outcome leads to. Nothing is sent here."""

import json
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, Generic, TypeVar

from creditd_client.errors import CreditsUnavailable, retry_after_seconds
from creditd_client.wire.breaker import Breaker
from creditd_client.wire.reading import Answer
from creditd_client.wire.refusing import refusal
from creditd_client.wire.requests import Request

# The longest waits between the attempts of one call: enough for a restart of creditd, not for an
# outage. Each is drawn from zero to that, so that those who failed together do not come back so.
BACKOFF_SECONDS: Final = (0.2, 1.0, 4.0)
ATTEMPTS_MAX: Final = len(BACKOFF_SECONDS) + 1
# As long as a busy creditd asks for; a longer wish is not waited for: a request is waiting.
RETRY_AFTER_SECONDS_MAX: Final = 5
# All attempts and waits of a call: shorter than the minute after which proxies give callers up.
CALL_SECONDS_MAX: Final = 30.0
ANSWER_BYTES_MAX: Final = 131_072  # twice what creditd answers to a hundred charges

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An attempt that creditd gave no answer to.

    It `may_pass` if it is tried again; `busy` says that creditd is there and wants it later.
    """

    reason: str
    maybe_taken: bool
    may_pass: bool = True
    busy: bool = False
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Done(Generic[Meaning]):
    """The call is done, and this is what its answer means."""

    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Pause:
    """Another attempt is to be made after so many seconds."""

    seconds: float


class Call(Generic[Meaning]):
    """One request over its attempts, all under its key: what to do after each.

    Ask `before` every attempt whether to make it, and `after` it what its outcome leads to. There
    are at most ATTEMPTS_MAX, none of them after `within_seconds`.
    """

    def __init__(
        self, request: Request[Meaning], url: str, breaker: Breaker, within_seconds: float
    ) -> None:
        self._request = request
        self._url = url
        self._breaker = breaker
        self._ends_at = time.monotonic() + within_seconds
        self._attempts = 0
        self._maybe_taken = False

    def before(self) -> float | Pause:
        """Return how many seconds the next attempt may take, or how long not to make it yet.

        Raises CreditsUnavailable where the breaker is open: only what ends something waits it out.
        """
        left = max(self._ends_at - time.monotonic(), 0.0)
        open_seconds = self._breaker.wait_seconds()
        if open_seconds is None:
            return left
        if self._request.ends and open_seconds < left:
            return Pause(open_seconds)
        reason = "creditd did not answer lately and is not asked now"
        raise self._unavailable(
            Unanswered(reason, maybe_taken=False, retry_after_seconds=math.ceil(open_seconds))
        )

    def after(self, outcome: Answer | Unanswered) -> Done[Meaning] | Pause:
        """Return what an attempt leads to. Raises Refused, and CreditsUnavailable at the end."""
        if isinstance(outcome, Answer):
            self._breaker.answered()
            answer = replace(outcome, retried=self._maybe_taken)
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(answer)
            return Done(self._request.read(answer))
        if outcome.busy:
            self._breaker.answered()
        else:
            self._breaker.failed()
        self._maybe_taken = self._maybe_taken or outcome.maybe_taken
        seconds = self._pause_seconds(outcome)
        self._attempts += 1
        if seconds is None or time.monotonic() + seconds >= self._ends_at:
            raise self._unavailable(outcome)
        return Pause(seconds)

    def _unavailable(self, last: Unanswered) -> CreditsUnavailable:
        return CreditsUnavailable(
            f"{self._request.method} {self._url}{self._request.path}: {last.reason}",
            maybe_taken=self._maybe_taken,
            key=self._request.key,
            busy=last.busy,
            retry_after_seconds=last.retry_after_seconds,
        )

    def _pause_seconds(self, outcome: Unanswered) -> float | None:
        if not outcome.may_pass or self._attempts >= len(BACKOFF_SECONDS):
            return None
        wish = outcome.retry_after_seconds or 0
        if wish > RETRY_AFTER_SECONDS_MAX:
            return None
        return wish + BACKOFF_SECONDS[self._attempts] * secrets.randbelow(1001) / 1000


def outcome_of(
    status: int, headers: Mapping[str, str], content: bytes, key: str | None
) -> Answer | Unanswered:
    """Return what came back as an answer of creditd, or why it is none. Names are lower case."""
    busy = status == HTTPStatus.TOO_MANY_REQUESTS
    if busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unanswered(
            f"creditd answered {status}",
            maybe_taken=not busy,
            busy=busy,
            retry_after_seconds=retry_after_seconds(headers),
        )
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):  # the latter: nested beyond what anyone means
        document = None
    if not isinstance(document, dict):
        return Unanswered(
            f"the answer {status} is not creditd's (no JSON object): is base_url right?",
            maybe_taken=status < HTTPStatus.BAD_REQUEST,
            may_pass=False,
        )
    return Answer(status, headers, document, key)
