"""What secrets stand for, looked up in the ledger and remembered for a moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from api.problems.refusals import Refused, TooManyRequests

# Secrets that nobody was given are made up as fast as they are refused. Whoever presents them
# takes no more than this of the database sessions that all reading shares,
STRANGERS_LOOKED_UP_MAX: Final = 2
# and what waits behind takes a fraction of a second: whoever came later is better sent away.
STRANGERS_WAITING_MAX: Final = 64

_OVER: Final = 0.0  # of the monotonic clock: in the past

Found = TypeVar("Found")


class _Remembered(NamedTuple, Generic[Found]):
    found: Found
    until: float  # of the monotonic clock


class LookUps(Generic[Found]):
    """What was found in the last `seconds`, by the SHA-256 of its secret, and `most` of it."""

    def __init__(
        self, ask: Callable[[bytes], Awaitable[Found | None]], *, seconds: float, most: int
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._most = most
        self._remembered: OrderedDict[bytes, _Remembered[Found]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Found | None]] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_LOOKED_UP_MAX)
        self._waiting = 0

    async def get(self, digest: bytes) -> Found | None:
        """Return what the secret of this digest stands for, None if nothing does.

        Raises Refused(TooManyRequests) if too many strangers are looked up, and what `ask` raises.
        """
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered.until > time.monotonic():
            self._remembered.move_to_end(digest)
            return remembered.found
        # Requests that arrive together share one look-up, and outlive whoever asked first.
        under_way = self._under_way.get(digest)
        if under_way is None:
            under_way = asyncio.create_task(self._look_up(digest))
            self._under_way[digest] = under_way
            under_way.add_done_callback(lambda task: self._ended(digest, task))
        return await asyncio.shield(under_way)

    def forget(self, digest: bytes) -> None:
        """Ask the ledger again when this secret comes next; what is asked now may be older.

        That it was good is remembered: whoever has it is no stranger.
        """
        remembered = self._remembered.get(digest)
        if remembered is not None:
            self._remembered[digest] = remembered._replace(until=_OVER)
        self._under_way.pop(digest, None)

    def forget_all(self) -> None:
        """Ask the ledger again for every secret."""
        for digest, remembered in self._remembered.items():
            self._remembered[digest] = remembered._replace(until=_OVER)
        self._under_way.clear()

    def _ended(self, digest: bytes, task: asyncio.Task[Found | None]) -> None:
        if self._under_way.get(digest) is task:
            del self._under_way[digest]

    async def _look_up(self, digest: bytes) -> Found | None:
        if digest in self._remembered:  # whose time is up, but which was good
            return await self._look_up_now(digest)
        if self._waiting >= STRANGERS_WAITING_MAX:
            raise Refused(TooManyRequests())
        self._waiting += 1
        try:
            async with self._strangers:
                return await self._look_up_now(digest)
        finally:
            self._waiting -= 1

    async def _look_up_now(self, digest: bytes) -> Found | None:
        asked_at = time.monotonic()
        found = await self._ask(digest)
        if self._under_way.get(digest) is not asyncio.current_task():
            return found  # forgotten meanwhile: for those who wait for it, nobody later
        if found is None:
            self._remembered.pop(digest, None)
            return None
        self._remembered[digest] = _Remembered(found, asked_at + self._seconds)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > self._most:
            self._remembered.popitem(last=False)
        return found
