"""HTTP connections with bounds: how many there are, how large a head is, how long it may take.

Uvicorn bounds none of the three where httptools parses: a peer could keep connections open without
asking anything, or send headers that never end.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import MEDIA_TYPE, problem_type
from api.refusals import Cause, HeadMalformed, HeadTooLarge, TooManyRequests

HEAD_BYTES_MAX: Final = 16_384  # request line and headers; what we ask for takes less than 1 KiB
HEAD_SECONDS: Final = 10  # from the connection, or the head's first byte, to its end
CONNECTIONS_MAX: Final = 4_096  # about 20 KiB each; a connection has one request open at a time

_REASONS: Final = {400: b"Bad Request", 431: b"Headers Too Large", 503: b"Service Unavailable"}


class HeadOverflow(Exception):
    """Request line and headers are longer than HEAD_BYTES_MAX."""


class BoundedConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection."""

    _head_open = True
    _head_bytes = 0
    _read_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _fault: Cause = HeadMalformed()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection on, or refuse it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._refuse(TooManyRequests())
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and watch a head that has begun but not ended."""
        self._read_bytes = len(data)
        super().data_received(data)
        if not self._head_open or self.transport.is_closing():
            return
        self._head_bytes += self._read_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(HeadTooLarge())
        elif self._head_timer is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        self._head_open = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin answering. Raises HeadOverflow, which ends the parsing."""
        self._head_open = False
        self._stop_head_timer()
        if len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > HEAD_BYTES_MAX:
            self._fault = HeadTooLarge()
            raise HeadOverflow
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request. What this read brought up to here is no part of the next one's head."""
        self._read_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence says less
        """Answer what could not be parsed."""
        self._refuse(self._fault)

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
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
