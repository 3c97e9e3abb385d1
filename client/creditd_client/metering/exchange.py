"""One ASGI request on its way through the middleware: what was said, and whether anyone listens."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from creditd_client.asgi import Message, Receive, Send

_DISCONNECT = "http.disconnect"


class Ending(Enum):
    """How a request ended."""

    ANSWERED = "the app gave its whole answer, whoever heard it"
    FAILED = "the app raised or returned, and left no answer or half of one"
    CUT_SHORT = "within the answer the caller hung up, or the app was cancelled"
    ABANDONED = "before the answer the caller hung up, or the app was cancelled, and none came"


class Exchange:
    """Stands between the server and the app, and hears the caller hang up although the app may not.

    For that it asks the server one message ahead of the app, so at most one part of a body waits
    here. `before_start` is awaited with the message that starts the response, before it goes on,
    `after_end` when the last byte of it has.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        before_start: Callable[[Message], Awaitable[None]],
        after_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._receive = receive
        self._send = send
        self._before_start = before_start
        self._after_end = after_end
        self._next = asyncio.create_task(self._hear())
        self._after_body: asyncio.Task[Message] | None = None
        self._broke = False
        self.started = False
        self.complete = False

    @property
    def hung_up(self) -> bool:
        """Whether the caller is known to have gone."""
        return self._broke or _disconnected(self._next) or _disconnected(self._after_body)

    def ending(self, failure: BaseException | None) -> Ending:
        """Return how the request ended, with what the app raised.

        A cancellation counts as hanging up: servers cancel the app when the caller does so.
        """
        if self.complete:
            return Ending.ANSWERED
        cancelled = failure is not None and not isinstance(failure, Exception)
        if not (self.hung_up or cancelled):
            return Ending.FAILED
        return Ending.CUT_SHORT if self.started else Ending.ABANDONED

    async def receive(self) -> Message:
        """Return the server's next message to the app."""
        await asyncio.wait({self._next})  # a wait that is cancelled loses no message
        message = self._next.result()
        if self._after_body is not None:
            self._next, self._after_body = self._after_body, None
        elif message["type"] != _DISCONNECT:
            self._next = asyncio.create_task(self._hear())
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app says."""
        if message["type"] == "http.response.start":
            await self._before_start(message)
            self.started = True
        try:
            await self._send(message)
        except OSError:
            self._broke = True
            raise
        if _is_last(message):
            self.complete = True
            await self._after_end()

    async def close(self) -> None:
        """Stop listening."""
        tasks = [task for task in (self._next, self._after_body) if task is not None]
        for task in tasks:
            task.cancel()
        # What the server could not say any more is nobody's concern now.
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            # The body is complete: what comes next can only be that the caller hangs up.
            self._after_body = asyncio.create_task(self._await_message())
        return message

    async def _await_message(self) -> Message:
        return await self._receive()


def _disconnected(task: asyncio.Task[Message] | None) -> bool:
    if task is None or not task.done() or task.cancelled() or task.exception() is not None:
        return False
    return bool(task.result()["type"] == _DISCONNECT)


def _is_last(message: Message) -> bool:
    """Whether the answer's body ends with a message; servers may offer to send files themselves."""
    if message["type"] == "http.response.pathsend":
        return True
    is_body = message["type"] in {"http.response.body", "http.response.zerocopysend"}
    return is_body and not message.get("more_body", False)
