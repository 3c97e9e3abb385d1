"""Answers that are sent piece by piece: how many at once, and how each comes to its end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec
import structlog

from api.calling.caller import Caller
from api.calling.calls import Stream
from api.problems.refusals import Refused, TooManyRequests, TooManyStreams
from ledger.ids import AccountRef

# Each holds a connection, a task or two and what it last sent: some 30 KiB.
STREAMS_MAX: Final = 1_024
# An app may follow many accounts, but leaves room for others, whatever API keys it has.
STREAMS_PER_CALLER_MAX: Final = 128
# A person follows one account, from a few pages and machines. Whoever makes up wallets is as many
# people as they like: all of them together leave room for apps.
STREAMS_PER_PERSON_MAX: Final = 16
STREAMS_OF_PEOPLE_MAX: Final = STREAMS_MAX // 2

log = structlog.get_logger(__name__)

Message = MutableMapping[str, Any]  # of ASGI
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
StillGood = Callable[[], Awaitable[object]]
"""Raises Refused once the caller may not call any more."""


Who = tuple[int, AccountRef | None]
"""An app, or a person by the account they act for."""


class Streamed(msgspec.Struct, frozen=True):
    """A stream as an answer, and whose it is."""

    status: int
    headers: tuple[tuple[str, str], ...]
    stream: Stream
    who: Who
    still_good: StillGood


class Streaming:
    """The streams of one process."""

    def __init__(self) -> None:
        self._of_caller: Counter[Who] = Counter()
        self._pumps: set[asyncio.Task[None]] = set()
        self._stopping = False

    def admit(self, stream: Stream, caller: Caller, still_good: StillGood) -> Streamed:
        """Return the stream as an answer to the caller, for as long as that one is `still_good`.

        Raises Refused if there are too many streams, of all or of this caller.
        """
        is_person = caller.account is not None
        if self._of_caller.total() >= STREAMS_MAX or (
            is_person and self._of_people() >= STREAMS_OF_PEOPLE_MAX
        ):
            raise Refused(TooManyRequests())
        who = (caller.app_id, caller.account)
        most = STREAMS_PER_PERSON_MAX if is_person else STREAMS_PER_CALLER_MAX
        if self._of_caller[who] >= most:
            raise Refused(TooManyStreams(most))
        headers = (("Content-Type", stream.media_type), *stream.headers)
        return Streamed(200, headers, stream, who, still_good)

    def _of_people(self) -> int:
        return sum(n for (_, account), n in self._of_caller.items() if account is not None)

    def stop(self) -> None:
        """End every stream, as if it had no more to say, and each that comes yet at once.

        Who is refused instead might not come back, to another process.
        """
        self._stopping = True
        for pump in self._pumps:
            pump.cancel()

    async def send(self, streamed: Streamed, method: str, receive: Receive, send: Send) -> None:
        """Send a body whose head is sent, until it ends or its reader is gone.

        One that fails is cut off: its reader can tell that from an end.
        """
        if method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        stream, who = streamed.stream, streamed.who
        # Whatever comes of it, it is a body in pieces, whose end is told.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        pump = asyncio.create_task(_pump(stream, send, streamed.still_good))
        gone = asyncio.create_task(_until_gone(receive))
        self._of_caller[who] += 1
        self._pumps.add(pump)
        if self._stopping:
            pump.cancel()
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pumps.discard(pump)
            self._of_caller[who] -= 1
            if not self._of_caller[who]:
                del self._of_caller[who]
            pump.cancel()
            gone.cancel()
            (failed, _) = await asyncio.gather(pump, gone, return_exceptions=True)
            await stream.pieces.aclose()
        if failed is None or isinstance(failed, Refused | asyncio.CancelledError):
            await send({"type": "http.response.body", "body": b""})
        else:
            log.warning("stream_cut_off", error=f"{type(failed).__name__}: {failed}")


async def _pump(stream: Stream, send: Send, still_good: StillGood) -> None:
    async for piece in stream.pieces:
        await still_good()
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)  # pieces that wait for nothing leave others their turn


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
