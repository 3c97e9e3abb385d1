"""HTTP connections with bounds: how many, how large a head, how long until a request is there.

Uvicorn bounds none of them where httptools parses: a peer could keep connections open without
asking anything, send headers that never end, or a body that never comes; it could ask ten thousand
things in one packet, or never read what it is answered.
"""

import asyncio
import re
from typing import Final

from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.problems.problem_type import MEDIA_TYPE
from api.problems.refusals import BodyTimedOut, Cause, HeadMalformed, HeadTooLarge, TooManyRequests
from api.problems.table import problem_type

HEAD_BYTES_MAX: Final = 16_384  # request line and headers; what we ask for takes less than 1 KiB
HEAD_SECONDS: Final = 10  # from the connection, or the head's first byte, to its end
BODY_SECONDS: Final = 10  # a body comes right after its head, or never
# About 20 KiB each, and 250 KiB at most: what waits to be sent, and PIPELINED_MAX requests.
CONNECTIONS_MAX: Final = 4_096
# Requests sent before the answer to the one before; those who do it at all send a handful.
PIPELINED_MAX: Final = 16
# What is still coming of a body that nobody asked for is let pass, so that the connection can be
# used again; where it is more than this, that is no longer worth it.
UNREAD_BYTES_MAX: Final = 1_048_576
READ_SECONDS: Final = 10  # an answer is read while it is sent, or its reader is gone

_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


# What no header's value may hold: it would end the header, or the head.
_CONTROL_CHARACTERS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CLOSE: Final = (b"connection", b"close")


class HeadOverflow(Exception):
    """Request line and headers are longer than HEAD_BYTES_MAX."""


class PipelineOverflow(Exception):
    """More than PIPELINED_MAX requests wait for the answer to the one before."""


class _InOneWrite(RequestResponseCycle):
    """A request and its answer, whose head and body leave together.

    One write instead of two is a system call less, and one packet for whoever asked. The API
    answers with two messages: a head that says how long the body is, and the whole body. A body
    that comes in pieces leaves piece by piece, after its head, as Uvicorn sends it.
    """

    _head: HTTPResponseStartEvent | None = None
    _in_pieces = False

    async def send(self, message: ASGISendEvent) -> None:
        """Keep the head until the body is there, then write both."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        if self._in_pieces:
            await super().send(message)
            return
        if message["type"] != "http.response.body" or self._head is None or self.response_complete:
            raise RuntimeError(f"an answer is a head and a body, and this is {message['type']}")
        if message.get("more_body"):
            self._in_pieces = True
            await super().send(self._head)
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        answer = self._text(self._head, message["body"])
        self.response_started = True
        self.waiting_for_100_continue = False
        self.transport.write(answer)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _text(self, head: HTTPResponseStartEvent, body: bytes) -> bytes:
        headers = list(head["headers"])
        if _CONTROL_CHARACTERS.search(b"".join([value for _, value in headers])):
            raise RuntimeError("a header's value has control characters")
        if _CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append(_CLOSE)
        parts = [STATUS_LINE[head["status"]]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n")
        if self.scope["method"] != "HEAD":
            parts.append(body)
        return b"".join(parts)


class BoundedConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection.

    The timer runs while a request is awaited or incomplete. It is not armed for one that arrives
    in one read, which is nearly every one.
    """

    _head_open = True
    _body_open = False
    _head_bytes = 0
    _read_bytes = 0
    _unread_bytes = 0
    _data_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None
    _fault: Cause = HeadMalformed()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection on, or refuse it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._cut_off(TooManyRequests())
            return
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self.resume_writing()
        if self._answering is not None:
            # Uvicorn tells only the last of pipelined requests.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the peer to read what it was answered, but not for ever."""
        super().pause_writing()
        self._reader_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on answering."""
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; at once if its peer has not read its answers in all this time."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and watch a request that has begun but not ended."""
        self._read_bytes = self._data_bytes = len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_open:
            self._head_bytes += self._read_bytes
            if self._head_bytes > HEAD_BYTES_MAX:
                self._cut_off(HeadTooLarge())
            elif self._timer is None:
                self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        elif self._body_open and self._timer is None:
            self._timer = self.loop.call_later(BODY_SECONDS, self._give_body_up)

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        self._head_open = True
        self._head_bytes = 0
        self._unread_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin answering. Raises HeadOverflow or PipelineOverflow, which end the parsing."""
        self._head_open = False
        self._body_open = True
        self._stop_timer()
        # It lies within what came before this read and what came by it: nearly always little.
        if self._head_bytes + self._data_bytes > HEAD_BYTES_MAX and (
            len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > HEAD_BYTES_MAX
        ):
            self._fault = HeadTooLarge()
            raise HeadOverflow
        if len(self.pipeline) >= PIPELINED_MAX:
            raise PipelineOverflow
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; cut it off where it goes on and on after the answer."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES_MAX:
                self.transport.close()

    def on_message_complete(self) -> None:
        """End a request. What this read brought up to here is no part of the next one's head."""
        self._body_open = False
        self._read_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence says less
        """Answer what could not be parsed."""
        self._cut_off(self._fault)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        # Uvicorn makes its cycles itself, of its own class.
        cycle.__class__ = _InOneWrite
        super()._start_asgi_task(cycle, app)

    def _cut_off(self, cause: Cause) -> None:
        """Refuse the request whose head is open, unless another's answer is due before."""
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(cause)
        self.transport.close()

    def _give_body_up(self) -> None:
        """Refuse the request whose body is open, unless it is answered or another's turn."""
        if not self.pipeline and not self.cycle.response_started:
            self._refuse(BodyTimedOut())
        self.transport.close()

    def _refuse(self, cause: Cause) -> None:
        row = problem_type(cause)
        body, headers = row.render(cause, "")
        head = [b"HTTP/1.1 %d %s" % (row.status, _REASONS[row.status])]
        head += [f"{name}: {value}".encode("latin-1") for name, value in headers]
        head += [
            b"content-type: " + MEDIA_TYPE.encode(),
            b"content-length: %d" % len(body),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
