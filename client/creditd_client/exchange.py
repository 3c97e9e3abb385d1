"""One ASGI request on its way through the middleware: what was said, and whether anyone listens."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_DISCONNECT = "http.disconnect"


class Exchange:
    """Stands between the server and the app, and hears the caller hang up although the app may not.

    For that it asks the server one message ahead of the app, so at most one part of a body waits
    here. `before_start` is awaited with the message that starts the response, before it goes on.
    """

    def __init__(
        self, receive: Receive, send: Send, before_start: Callable[[Message], Awaitable[None]]
    ) -> None:
        self._receive = receive
        self._send = send
        self._before_start = before_start
        self._next = asyncio.create_task(self._hear())
        self._after_body: asyncio.Task[Message] | None = None
        self._broke = False
        self.started = False
        self.complete = False

    @property
    def hung_up(self) -> bool:
        """Whether the caller is known to have gone."""
        return self._broke or _disconnected(self._next) or _disconnected(self._after_body)

    def failed(self, failure: BaseException) -> bool:
        """Whether the app's failure left the caller without an answer, or with half of one.

        Half an answer is no failure of the app where the caller hung up, or where the app was
        cancelled, which servers do when the caller hangs up.
        """
        if not self.started:
            return True
        return isinstance(failure, Exception) and not self.complete and not self.hung_up

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
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True

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
