"""The load of the API's benchmark: connections that ask, wait for the answer, and ask again.

Each is a bare protocol on uvloop that writes prebuilt bytes and looks at no more of an answer than
its status and length: 10 to 20 µs of CPU a request, told with every figure (`load_us`).
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, cast

WARM_UP_SECONDS: Final = 0.7  # sessions are opened, statements prepared and planned
DRAINED_SECONDS_MAX: Final = 10  # answers to the last requests, or the run has failed

_GOOD: Final = (b"HTTP/1.1 200", b"HTTP/1.1 201")
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Request:
    """A request as bytes. `keys` idempotency keys go where the text has `KEY`, new each time."""

    KEY: Final = b"@" * 24

    def __init__(self, text: bytes) -> None:
        self._pieces = text.split(self.KEY)
        self._numbers = itertools.count()
        self._run = os.urandom(6).hex().encode()

    def fill(self) -> bytes:
        """Return the bytes to send, the same count of them each time."""
        first, *rest = self._pieces
        filled = [first]
        for piece in rest:
            filled += (b"%s%012d" % (self._run, next(self._numbers)), piece)
        return b"".join(filled)


class LoadFailed(Exception):
    """A request was refused, or a connection was lost."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of asking for a while: how many answers, and each one's time in seconds, sorted."""

    seconds: float
    times: Sequence[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return the time in seconds that so many of a hundred answers took at most."""
        return self.times[len(self.times) * percent // 100]


class _Asker(asyncio.Protocol):
    def __init__(self, driver: "_Driver") -> None:
        self._driver = driver
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        self._asked_at = perf_counter()
        self._transport.write(self._driver.next_request())

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head = received.find(_HEAD_END)
        if head < 0:
            return
        at = received.find(_LENGTH, 0, head) + len(_LENGTH)
        if len(received) < head + len(_HEAD_END) + int(received[at : received.index(b"\r", at)]):
            return
        self._received = b""
        if not received.startswith(_GOOD):
            self._driver.fail(received)
        elif self._driver.answered(perf_counter() - self._asked_at):
            self.ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._driver.lost(error)


async def drive(
    requests: Sequence[Request],
    *,
    port: int,
    connections: int,
    seconds: float,
    reading: Callable[[], None],
) -> Load:
    """Ask for so long after a warm-up. `reading` is called when it begins and when it ends.

    Raises LoadFailed.
    """
    return await _Driver(requests).run(port, connections, seconds, reading)


class _Driver:
    """The connections of one load and what they are answered."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = itertools.cycle(requests)
        self._is_over = False
        self._times: list[float] = []
        self._open = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(
        self, port: int, connections: int, seconds: float, reading: Callable[[], None]
    ) -> Load:
        """Ask over so many connections for so long, after a warm-up, until all is answered."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: _Asker(self), "127.0.0.1", port)
            self._open += 1
        await asyncio.wait({self._ended}, timeout=WARM_UP_SECONDS)
        reading()
        times = self._times = []
        began = perf_counter()
        await asyncio.wait({self._ended}, timeout=seconds)
        elapsed = perf_counter() - began
        reading()
        self._is_over = True
        self._times = []
        async with asyncio.timeout(DRAINED_SECONDS_MAX):
            await self._ended
        return Load(elapsed, sorted(times))

    def next_request(self) -> bytes:
        """Return what to send next."""
        return next(self._requests).fill()

    def answered(self, seconds: float) -> bool:
        """Note an answer; say whether to go on."""
        self._times.append(seconds)
        return not self._is_over

    def fail(self, answer: bytes) -> None:
        """End the run: a request was refused."""
        self._end(LoadFailed(f"a request failed: {answer[:600]!r}"))

    def lost(self, error: Exception | None) -> None:
        """Note that a connection has ended."""
        self._open -= 1
        if error is not None or not self._is_over:
            self._end(LoadFailed(f"a connection was lost: {error}"))
        elif self._open == 0:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
