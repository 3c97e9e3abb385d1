"""Telling receivers over HTTP what happens in the books: at least once, in each account's order.

The requests follow Standard Webhooks: `webhook-id` names the message through all its tries,
`webhook-timestamp` is the try's, and `webhook-signature` has an HMAC-SHA256 under each of the
receiver's secrets, so that a secret can be changed while both are good. Each receiver is served by
itself: one that is down keeps nobody else waiting.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from daemon.configuration.receivers import Receiver
from ledger.credits import format_credits
from ledger.errors import LedgerError
from ledger.ids import AccountRef, format_account
from ledger.outbox import AMOUNTS, TIDY_ROWS_MAX, Dead, Delivered, Failed, Message, Outbox, Outcome

PAYLOAD_VERSION: Final = 1
OPERATORS: Final = 0  # the root under which messages for operators have their lines
# Standard Webhooks gives receivers 15 to 30 seconds for an answer.
ANSWER_SECONDS_MAX: Final = 15.0
# Of one receiver: accounts told side by side. More would be an attack on a small one.
CONNECTIONS_MAX: Final = 8
# Between the tries of a message: 5 s, 20 s, 80 s … to half a day, about a day in all.
FIRST_WAIT_SECONDS: Final = 5.0
WAIT_GROWS: Final = 4
WAIT_SECONDS_MAX: Final = 43_200.0
TRIES_MAX: Final = 10
# A message that is older than this is dead with its next failure, so that a line of them gets on.
AGE_MAX: Final = timedelta(days=7)
# A receiver that is down is asked again by one message at a time, with pauses from 1 s to 5 min.
PAUSE_SECONDS_MAX: Final = 300.0
DOUBLINGS_MAX: Final = 20  # past both bounds; a larger power would only be a larger number
# A receiver that wants a longer rest is asked again after a day all the same.
RETRY_AFTER_SECONDS_MAX: Final = 86_400.0
# One program of several delivers to a receiver; the others look whether it still does.
STAND_BY_SECONDS: Final = 10.0
OUTAGE_SECONDS: Final = 2.0  # of the database; its return is not announced
TIDY_SECONDS: Final = 3_600.0
# A receiver that could be told nothing while a day's messages pile up is no use to anybody: what it
# finds wrong with one message is that message's trouble, everything else is its own.
_OF_THE_MESSAGE: Final = frozenset(
    {
        *(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        *(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY),
    }
)

log = structlog.get_logger()
_chance = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a try failed. `is_outage`: the receiver as such, not this message."""

    said: str
    is_outage: bool
    retry_after_seconds: float = 0.0


@asynccontextmanager
async def delivering(receivers: Sequence[Receiver], database_url: str) -> AsyncIterator[None]:
    """Deliver to the receivers, and keep the outbox tidy, while the context lasts.

    A database that does not answer is waited for. What was on its way at the end is finished or,
    if it takes longer than the program's end may, delivered again later.
    """
    running = asyncio.create_task(_deliver(receivers, database_url))
    running.add_done_callback(_tell_defect)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)  # told already


def _tell_defect(ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and ended.exception() is not None:
        log.error("deliveries ended", exc_info=ended.exception())


async def _deliver(receivers: Sequence[Receiver], database_url: str) -> None:
    wanted = {receiver.name: receiver.topics for receiver in receivers}
    async with Outbox.open(database_url) as outbox:
        numbers = await _entered(outbox, wanted)
        async with asyncio.TaskGroup() as group:
            for receiver in receivers:
                courier = Courier(receiver, numbers[receiver.name])
                group.create_task(courier.run(database_url))
            group.create_task(_tidy(outbox))


async def _entered(outbox: Outbox, wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
    trouble = ""
    while True:
        try:
            return await outbox.enter(wanted)
        except LedgerError as error:  # books of another release end the program elsewhere
            if str(error) != trouble:
                trouble = str(error)
                log.warning("receivers wait", trouble=trouble)
        await asyncio.sleep(OUTAGE_SECONDS)


async def _tidy(outbox: Outbox) -> None:
    while True:
        try:
            while await outbox.tidy() >= TIDY_ROWS_MAX:
                pass
        except LedgerError as error:
            log.warning("outbox not tidied", trouble=str(error))
        await asyncio.sleep(TIDY_SECONDS)


class Courier:
    """Delivers to one receiver, turn after turn."""

    def __init__(self, receiver: Receiver, receiver_id: int) -> None:
        self._receiver = receiver
        self._receiver_id = receiver_id
        self._failures = 0  # turns in a row that ended because the receiver is down
        self._rest_seconds = 0.0  # as long as it asked for
        self._trouble = ""

    async def run(self, database_url: str) -> None:
        """Deliver until cancelled. Troubles that pass by themselves are logged once."""
        async with (
            Outbox.open(database_url) as outbox,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX),
            ) as http,
        ):
            while True:
                try:
                    pause = await self.turn(outbox, http)
                except LedgerError as error:
                    self._over(str(error))
                    pause = OUTAGE_SECONDS
                except Exception:  # a defect of one: the others are served
                    log.exception("defect", receiver=self._receiver.name)
                    pause = PAUSE_SECONDS_MAX
                if pause > 0:
                    await asyncio.sleep(pause)

    async def turn(self, outbox: Outbox, http: aiohttp.ClientSession) -> float:
        """Deliver what is due, or wait for it. Returns the seconds to pause afterwards."""
        if not await outbox.lead(self._receiver_id):
            return STAND_BY_SECONDS
        lines = await outbox.due(self._receiver_id)
        if not lines:
            await outbox.wait(self._receiver_id)
            return 0.0
        outcomes: list[tuple[Message, Outcome]] = []
        down = asyncio.Event()
        try:
            at_once = asyncio.Semaphore(CONNECTIONS_MAX)
            async with asyncio.TaskGroup() as group:
                for line in lines:
                    group.create_task(self._tell(http, line, outcomes, at_once, down))
        finally:
            # Cancelled, too: what was delivered need not be delivered again.
            await outbox.end(self._receiver_id, outcomes)
        return self._pause(is_down=down.is_set())

    async def _tell(
        self,
        http: aiohttp.ClientSession,
        line: Sequence[Message],
        outcomes: list[tuple[Message, Outcome]],
        at_once: asyncio.Semaphore,
        down: asyncio.Event,
    ) -> None:
        """Tell the messages of one account in their order, up to the first that fails."""
        for message in line:
            async with at_once:
                if down.is_set():
                    return
                trouble = await post(http, self._receiver, message)
            outcome = outcome_of(message, trouble, datetime.now(UTC))
            outcomes.append((message, outcome))
            if trouble is None:
                self._over("")
                continue
            self._log_failure(message, trouble, is_dead=isinstance(outcome, Dead))
            if trouble.is_outage:
                self._over(trouble.said)
                self._rest_seconds = max(self._rest_seconds, trouble.retry_after_seconds)
                down.set()
            return

    def _pause(self, *, is_down: bool) -> float:
        self._failures = self._failures + 1 if is_down else 0
        rest, self._rest_seconds = self._rest_seconds, 0.0
        if not is_down:
            return 0.0
        doublings = min(self._failures - 1, DOUBLINGS_MAX)
        return max(rest, _jittered(min(2.0**doublings, PAUSE_SECONDS_MAX)))

    def _log_failure(self, message: Message, trouble: Trouble, *, is_dead: bool) -> None:
        if trouble.is_outage and not is_dead:
            return  # told of the receiver, once
        say = log.error if is_dead else log.warning
        say(
            "message is dead: `creditd webhooks retry` revives it" if is_dead else "refused",
            receiver=self._receiver.name,
            topic=message.topic,
            about=about(message),
            message=message.message_id.hex,
            tries=message.tries + 1,
            trouble=trouble.said,
        )

    def _over(self, trouble: str) -> None:
        """Log a trouble when it begins or changes, and its end; not once a try."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("receiver fails", receiver=self._receiver.name, trouble=trouble)
        else:
            log.info("receiver answers", receiver=self._receiver.name, after=self._trouble)
        self._trouble = trouble


async def post(http: aiohttp.ClientSession, receiver: Receiver, message: Message) -> Trouble | None:
    """Tell a receiver one message. Returns what went wrong, None if the receiver has it."""
    body = payload(message)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "creditd",
        **signed(receiver.secrets, f"msg_{message.message_id.hex}", int(time.time()), body),
    }
    # What is said is made from known parts: the text of an aiohttp error holds the URL.
    try:
        async with http.post(
            receiver.url.reveal(), data=body, headers=headers, allow_redirects=False
        ) as response:
            status, retry_after = response.status, response.headers.get("Retry-After")
    except TimeoutError:
        return Trouble(f"no answer within {ANSWER_SECONDS_MAX:g} seconds", is_outage=True)
    except (aiohttp.ClientError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Trouble(f"the connection failed ({reason})", is_outage=True)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    said = f"HTTP status {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        said += ": a redirect is not followed, configure where it leads"
    return Trouble(said, status not in _OF_THE_MESSAGE, seconds_to_rest(retry_after))


def payload(message: Message) -> bytes:
    """Return a message as receivers get it: JSON, the same bytes at every try.

    Amounts are decimal strings of credits, accounts their public names; of no account are the
    messages for operators.
    """
    root_id = message.account.root_id
    return msgspec.json.encode(
        {
            "type": message.topic,
            "timestamp": message.at.astimezone(UTC),
            "version": PAYLOAD_VERSION,
            "data": {
                **({"account": about(message)} if root_id != OPERATORS else {}),
                "order": {"entry": message.seq, "place": message.place},
                **{key: _outside(key, value, root_id) for key, value in message.body.items()},
            },
        }
    )


def about(message: Message) -> str:
    """Return whom a message is about, as people name it."""
    if message.account.root_id == OPERATORS:
        return str(message.body.get("chain", "the books"))
    return format_account(message.account)


def _outside(key: str, value: object, root_id: int) -> Any:  # noqa: ANN401 - JSON is any
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if key in AMOUNTS:
        return format_credits(value)
    return format_account(AccountRef(root_id, value)) if key == "member" else value


def signed(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that say which message this is, when it is sent, and by whom.

    There is a signature for each key; a receiver accepts any one that it can verify.
    """
    said = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.new(key, said, hashlib.sha256).digest() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(digest).decode()}" for digest in digests
        ),
    }


def outcome_of(message: Message, trouble: Trouble | None, now: datetime) -> Outcome:
    """Return what becomes of a message after a try."""
    if trouble is None:
        return Delivered()
    if message.tries + 1 >= TRIES_MAX or now - message.at > AGE_MAX:
        return Dead(trouble.said)
    wait = min(FIRST_WAIT_SECONDS * WAIT_GROWS**message.tries, WAIT_SECONDS_MAX)
    return Failed(trouble.said, max(_jittered(wait), trouble.retry_after_seconds))


def seconds_to_rest(retry_after: str | None) -> float:
    """Return what a Retry-After header asks for, in seconds: 0 if there is none to be read.

    At most RETRY_AFTER_SECONDS_MAX.
    """
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdecimal():
        seconds = float(retry_after[:10])
    else:
        try:
            moment = parsedate_to_datetime(retry_after).astimezone(UTC)
        except (ValueError, OverflowError):  # no date, or none that UTC has
            return 0.0
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), RETRY_AFTER_SECONDS_MAX)


def _jittered(seconds: float) -> float:
    # Receivers that failed together are not all asked again at one moment.
    return seconds * _chance.uniform(0.5, 1.0)
