"""Blocks that are read and proven while those before them are being written."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Final

from daemon.reading import Block, Moved

# A step is one transaction, and holds the accounts it grants to until it commits: charges wait.
LOGS_PER_STEP_MAX: Final = 1_000
# One batch of headers; and what is read again if its node fails in the middle.
BLOCKS_PER_PART_MAX: Final = 100
# Enough to hide a round trip of a twentieth of a second behind the writing.
PARTS_AT_ONCE_MAX: Final = 6
# Some ten megabytes of logs wait in memory. A part that is being read may add its own.
LOGS_AHEAD_MAX: Final = 10_000

Read = Callable[[int, int], Awaitable[Sequence[Block]]]


class Ahead:
    """What `read` gives of a chain from some block on, in order and linked, before it is asked for.

    `read` takes the first and the last number of a part. After any error nothing is kept.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ready: deque[Block] = deque()
        self._parts: deque[asyncio.Task[Sequence[Block]]] = deque()
        self._next = 0  # the number of the first block in `_ready`, or to be read
        self._end = 0  # one beyond the last block that is read or being read
        self._width = BLOCKS_PER_PART_MAX

    async def take(self, first: int, last: int, until: int) -> Sequence[Block]:
        """Return blocks from `first` to at most `last`, one at least, as many as a step may write.

        Those up to `until` go on being read. Raises what `read` raises, and Moved where two parts
        do not link.
        """
        if first != self._next:
            self.forget()
            self._next = self._end = first
        try:
            self._reach(until)
            while not self._ready or (self._parts and self._parts[0].done() and self._has_room()):
                self._add(await self._parts.popleft())
                self._reach(until)
        except BaseException:
            self.forget()
            raise
        count = min(_fitting(self._ready), last - first + 1)
        taken = [self._ready.popleft() for _ in range(count)]
        self._next = taken[-1].number + 1
        self._reach(until)
        return taken

    def forget(self) -> None:
        """Drop what was read, and stop reading."""
        for part in self._parts:
            part.cancel()
        self._parts.clear()
        self._ready.clear()
        self._next = self._end = 0

    async def close(self) -> None:
        """Drop everything, and return when nothing is being read any more."""
        parts = tuple(self._parts)
        self.forget()
        await asyncio.gather(*parts, return_exceptions=True)

    def _has_room(self) -> bool:
        return sum(len(block.logs) for block in self._ready) < LOGS_PER_STEP_MAX

    def _reach(self, until: int) -> None:
        """Begin to read parts up to `until`, as far as they may be ahead."""
        logs = sum(len(block.logs) for block in self._ready)
        while self._end <= until and len(self._parts) < PARTS_AT_ONCE_MAX and logs < LOGS_AHEAD_MAX:
            last = min(until, self._end + self._width - 1)
            part = asyncio.ensure_future(self._read(self._end, last))
            part.add_done_callback(_heed)
            self._parts.append(part)
            self._end = last + 1

    def _add(self, blocks: Sequence[Block]) -> None:
        if self._ready and blocks[0].parent != self._ready[-1].hash:
            raise Moved(f"block {blocks[0].number} does not follow the block read before it")
        self._ready.extend(blocks)
        self._fit_width(sum(len(block.logs) for block in blocks))

    def _fit_width(self, logs: int) -> None:
        """Read shorter parts where blocks are full, so that few logs are beyond the bound."""
        if logs > LOGS_AHEAD_MAX // PARTS_AT_ONCE_MAX:
            self._width = max(1, self._width // 2)
        elif logs < LOGS_AHEAD_MAX // PARTS_AT_ONCE_MAX // 4:
            self._width = min(BLOCKS_PER_PART_MAX, 2 * self._width)


def _fitting(blocks: Sequence[Block] | deque[Block]) -> int:
    """Return how many of the blocks, one at least, have no more logs than one step may write."""
    logs = accumulate(len(block.logs) for block in blocks)
    return max(1, sum(so_far <= LOGS_PER_STEP_MAX for so_far in logs))


def _heed(part: "asyncio.Task[Sequence[Block]]") -> None:
    """Take note of how a part ended: one that is dropped has nobody else to do so."""
    if not part.cancelled():
        part.exception()
