"""A line between the client and creditd that loses what goes over it: a small TCP proxy."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

# What befalls one request: it is lost, its answer is, or neither comes while the line stays up.
Fault = Literal["passes", "lost before", "lost after", "silent"]

SEEN_SECONDS_MAX = 20  # requests that are waited for come within a second or two
_REQUEST = re.compile(rb"(?:GET|POST) (\S+) HTTP/1\.1\r\n")


@dataclass
class BrokenLine:
    """The way to creditd. Each fault befalls one request, in order; then requests pass.

    While it is `down`, whoever connects is cut off at once.
    """

    host: str
    port: int
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    down: bool = False
    url: str = ""
    _seen: asyncio.Condition = field(default_factory=asyncio.Condition)

    def loses(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def count(self, ending: str) -> int:
        """How many requests were for paths that end so."""
        return sum(request.endswith(ending) for request in self.requests)

    async def seen(self, ending: str, times: int) -> None:
        """Wait for requests of paths that end so."""
        async with asyncio.timeout(SEEN_SECONDS_MAX), self._seen:
            await self._seen.wait_for(lambda: self.count(ending) >= times)

    async def carry(self, near: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        """Carry one connection's requests and answers, one at a time, until either side ends it."""
        try:
            if self.down:
                return
            far, creditd = await asyncio.open_connection(self.host, self.port)
            try:
                await self._carry(near, caller, far, creditd)
            finally:
                creditd.close()
        finally:
            caller.close()

    async def _carry(
        self,
        near: asyncio.StreamReader,
        caller: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        creditd: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                asked = await _message(near)
                begins = _REQUEST.match(asked)
                assert begins is not None, asked[:100]
                async with self._seen:
                    self.requests.append(begins.group(1).decode())
                    self._seen.notify_all()
                fault = self.faults.popleft() if self.faults else "passes"
                if self.down or fault == "lost before":
                    return
                if fault == "silent":
                    await near.read()  # until the caller gives up
                    return
                creditd.write(asked)
                answered = await _message(far)
                if fault == "lost after":
                    return
                caller.write(answered)
                await caller.drain()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read one message of HTTP/1.1 that says its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    body = await reader.readexactly(int(length.group(1))) if length else b""
    return head + body


@asynccontextmanager
async def broken_line(creditd_url: str, faults: Iterable[Fault] = ()) -> AsyncIterator[BrokenLine]:
    """Lay a line to creditd on a free port of the loopback."""
    parts = urlsplit(creditd_url)
    assert parts.hostname is not None
    assert parts.port is not None
    line = BrokenLine(parts.hostname, parts.port, deque(faults))
    carrying: set[asyncio.Task[None]] = set()

    def accept(near: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(line.carry(near, caller))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)
