"""Blocks that are read and proven while those before them are being written."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Final

from daemon.chain.reading import Block, Moved

# A step is one transaction, and holds the accounts it grants to until it commits: charges wait.
LOGS_PER_STEP_MAX: Final = 1_000
# One batch of headers; and what is read again if its node fails in the middle.
BLOCKS_PER_PART_MAX: Final = 100
BLOCKS_PER_PART_AT_FIRST: Final = 20
# Enough to hide a round trip of a twentieth of a second behind the writing.
PARTS_AT_ONCE_MAX: Final = 4
# Some megabytes of logs wait in memory. Parts that are being read add theirs, of which each stops
# beyond its share.
LOGS_AHEAD_MAX: Final = 10_000
LOGS_PER_PART_MAX: Final = LOGS_AHEAD_MAX // PARTS_AT_ONCE_MAX

Read = Callable[[int, int], Awaitable[Sequence[Block]]]


class Ahead:
    """What `read` gives of a chain from some block on, in order and linked, before it is asked for.

    `read` takes the first and the last number of a part, and gives these blocks or, where they are
    full, as many of the first of them as it likes. After any error nothing is kept.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ready: deque[Block] = deque()
        self._parts: deque[tuple[asyncio.Task[Sequence[Block]], int]] = deque()  # and their ends
        self._next = 0  # the number of the first block in `_ready`, or to be read
        self._end = 0  # one beyond the last block that is read or being read
        self._before: bytes | None = None  # hash of the block before `_next`, once it was given
        self._width = BLOCKS_PER_PART_AT_FIRST

    @property
    def end(self) -> int:
        """One beyond the last block that is read or being read; 0 where there is none."""
        return self._end

    @property
    def last(self) -> Block | None:
        """The last of the blocks that are read, from the next one on and linked without a gap."""
        last = self._ready[-1] if self._ready else None
        for part, end in self._parts:
            before = self._before if last is None else last.hash
            if not _is_read(part, before):
                break
            last = part.result()[-1]
            if last.number < end:
                break
        return last

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
            while not self._ready or self._more_is_there():
                part, end = self._parts.popleft()
                self._add(await part, end)
                self._reach(until)
        except BaseException:
            self.forget()
            raise
        count = min(_fitting(self._ready), last - first + 1)
        taken = [self._ready.popleft() for _ in range(count)]
        self._next, self._before = taken[-1].number + 1, taken[-1].hash
        self._reach(until)
        return taken

    def forget(self) -> None:
        """Drop what was read, and stop reading."""
        self._stop_reading()
        self._ready.clear()
        self._next, self._end, self._before = 0, 0, None

    async def close(self) -> None:
        """Drop everything, and return when nothing is being read any more."""
        parts = [part for part, _ in self._parts]
        self.forget()
        await asyncio.gather(*parts, return_exceptions=True)

    def _more_is_there(self) -> bool:
        """Return whether the next part can join what is ready: it is read, and fits in a step."""
        if not self._parts or self._logs_ready() > LOGS_PER_STEP_MAX:
            return False
        return _is_read(self._parts[0][0], self._ready[-1].hash)

    def _logs_ready(self) -> int:
        return sum(block.size for block in self._ready)

    def _reach(self, until: int) -> None:
        """Begin to read parts up to `until`, as far as they may be ahead."""
        if self._logs_ready() >= LOGS_AHEAD_MAX:
            return
        while self._end <= until and len(self._parts) < PARTS_AT_ONCE_MAX:
            last = min(until, self._end + self._width - 1)
            part = asyncio.ensure_future(self._read(self._end, last))
            part.add_done_callback(_heed)
            self._parts.append((part, last))
            self._end = last + 1

    def _add(self, blocks: Sequence[Block], end: int) -> None:
        before = self._ready[-1].hash if self._ready else self._before
        if before is not None and blocks[0].parent != before:
            raise Moved(f"block {blocks[0].number} does not follow the block read before it")
        self._ready.extend(blocks)
        if blocks[-1].number < end:  # full: what is being read behind it does not follow it
            self._stop_reading()
            self._end = blocks[-1].number + 1
            self._width = max(1, len(blocks) // 2)
        elif len(blocks) == self._width and self._is_light(blocks):
            self._width = min(BLOCKS_PER_PART_MAX, 2 * self._width)

    def _is_light(self, blocks: Sequence[Block]) -> bool:
        return 2 * sum(block.size for block in blocks) <= LOGS_PER_PART_MAX

    def _stop_reading(self) -> None:
        for part, _ in self._parts:
            part.cancel()
        self._parts.clear()


def _is_read(part: "asyncio.Task[Sequence[Block]]", before: bytes | None) -> bool:
    """Return whether a part is read, and follows the block with this hash, if one is named."""
    if not part.done() or part.cancelled() or part.exception() is not None:
        return False
    return before is None or part.result()[0].parent == before


def _fitting(blocks: Sequence[Block] | deque[Block]) -> int:
    """Return how many of the blocks, one at least, have no more logs than one step may write."""
    logs = accumulate(block.size for block in blocks)
    return max(1, sum(so_far <= LOGS_PER_STEP_MAX for so_far in logs))


def _heed(part: "asyncio.Task[Sequence[Block]]") -> None:
    """Take note of how a part ended: one that is dropped has nobody else to do so."""
    if not part.cancelled():
        part.exception()
