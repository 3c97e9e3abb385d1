"""Blocks are read ahead of who writes them: all of them, in order, linked, and not too many."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.logs import Log
from daemon.chain.reading import Block, Moved
from daemon.chain.rpc import NodeUnavailable
from daemon.watching import ahead
from daemon.watching.ahead import (
    BLOCKS_PER_PART_AT_FIRST,
    LOGS_PER_PART_MAX,
    LOGS_PER_STEP_MAX,
    PARTS_AT_ONCE_MAX,
    Ahead,
)


def hash_of(number: int, fork: int = 0) -> bytes:
    return (number + 1).to_bytes(16) + fork.to_bytes(16)


def block_of(number: int, log_count: int = 0, fork: int = 0) -> Block:
    logs = tuple(Log(bytes(20), (), b"", bytes(32), place, place) for place in range(log_count))
    return Block(number, hash_of(number, fork), hash_of(number - 1, fork), 0, logs)


@dataclass
class Shown:
    """A chain whose blocks have so many logs, read in as many turns of the loop as are wanted."""

    log_counts: Sequence[int]
    asked: list[tuple[int, int]] = field(default_factory=list)
    fork: int = 0
    gate: asyncio.Event | None = None

    async def read(self, first: int, last: int) -> Sequence[Block]:
        self.asked.append((first, last))
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        blocks: list[Block] = []
        logs = 0
        for number in range(first, last + 1):
            if logs > LOGS_PER_PART_MAX:
                break
            blocks.append(block_of(number, self.log_counts[number], self.fork))
            logs += self.log_counts[number]
        return blocks


async def turns_of_the_loop() -> None:
    """Let all be read that may be."""
    for _ in range(50):
        await asyncio.sleep(0)


async def take_all(blocks: Ahead, first: int, until: int) -> None:
    while first <= until:
        first += len(await blocks.take(first, until, until))


@given(
    log_counts=st.lists(
        st.sampled_from([0, 0, 0, 1, 30, LOGS_PER_STEP_MAX, LOGS_PER_STEP_MAX + 1]),
        min_size=1,
        max_size=300,
    ),
    span=st.integers(1, 300),
    width=st.integers(1, 20),
)
@settings(deadline=None)
def test_every_block_is_taken_once_in_order_and_no_step_takes_too_much(
    log_counts: list[int], span: int, width: int
) -> None:
    async def main() -> None:
        blocks = Ahead(Shown(log_counts).read)
        taken: list[Block] = []
        until = len(log_counts) - 1
        while len(taken) <= until:
            last = min(until, len(taken) + span - 1)
            step = await blocks.take(len(taken), last, until)
            assert 1 <= len(step) <= span
            assert len(step) == 1 or sum(len(b.logs) for b in step) <= LOGS_PER_STEP_MAX
            taken += step
        assert [(b.number, len(b.logs)) for b in taken] == list(enumerate(log_counts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "BLOCKS_PER_PART_AT_FIRST", width)
        asyncio.run(main())


def test_what_is_ahead_is_read_at_once_but_no_more_than_may_wait() -> None:
    async def main() -> None:
        shown = Shown([0] * 10_000, gate=asyncio.Event())
        blocks = Ahead(shown.read)
        taking = asyncio.create_task(blocks.take(0, 9, 9_999))
        await turns_of_the_loop()
        assert shown.asked[1] == (BLOCKS_PER_PART_AT_FIRST, 2 * BLOCKS_PER_PART_AT_FIRST - 1)
        assert len(shown.asked) == PARTS_AT_ONCE_MAX
        assert shown.gate is not None
        shown.gate.set()
        assert [block.number for block in await taking] == list(range(10))
        await blocks.close()

    asyncio.run(main())


def test_full_blocks_wait_in_bounded_number() -> None:
    async def main() -> None:
        shown = Shown([LOGS_PER_STEP_MAX] * 5_000)
        blocks = Ahead(shown.read)
        for number in range(200):
            await blocks.take(number, number, 4_999)
            await turns_of_the_loop()
            parts = sum(last - first + 1 for first, last in shown.asked[-PARTS_AT_ONCE_MAX:])
            if number > 20:  # parts have become short
                assert shown.asked[-1][1] - number <= 10 + parts
                assert parts <= 2 * PARTS_AT_ONCE_MAX
        await blocks.close()

    asyncio.run(main())


def test_who_goes_back_or_on_elsewhere_has_it_read_again() -> None:
    async def main() -> None:
        shown = Shown([0] * 400)
        blocks = Ahead(shown.read)
        await blocks.take(0, 9, 399)
        shown.fork = 1
        again = await blocks.take(5, 9, 399)
        assert [block.hash for block in again] == [hash_of(n, 1) for n in range(5, 10)]
        await blocks.close()

    asyncio.run(main())


def test_parts_that_do_not_link_are_dropped_with_all_behind_them() -> None:
    async def main() -> None:
        shown = Shown([0] * 400)
        blocks = Ahead(shown.read)

        async def forking(first: int, last: int) -> Sequence[Block]:
            shown.fork = 1 if first >= BLOCKS_PER_PART_AT_FIRST else 0
            return [block_of(n, 0, shown.fork) for n in range(first, last + 1)]

        blocks = Ahead(forking)
        until = 4 * BLOCKS_PER_PART_AT_FIRST - 1
        first = len(await blocks.take(0, BLOCKS_PER_PART_AT_FIRST - 2, until))
        with pytest.raises(Moved, match="does not follow"):
            await take_all(blocks, first, until)
        assert [b.number for b in await blocks.take(0, 9, 399)] == list(range(10))
        await blocks.close()

    asyncio.run(main())


def test_the_last_block_that_is_read_is_the_one_before_the_first_gap() -> None:
    first_of_fork = 3 * BLOCKS_PER_PART_AT_FIRST
    lasts: list[int | None] = []

    async def main(late: int) -> None:
        gate = asyncio.Event()

        async def read(first: int, last: int) -> Sequence[Block]:
            if first == late * BLOCKS_PER_PART_AT_FIRST:
                await gate.wait()
            fork = int(first >= first_of_fork)
            return [block_of(number, 0, fork) for number in range(first, last + 1)]

        blocks = Ahead(read)
        assert blocks.last is None
        until = PARTS_AT_ONCE_MAX * BLOCKS_PER_PART_AT_FIRST - 1
        await blocks.take(0, BLOCKS_PER_PART_AT_FIRST - 1, until)
        await turns_of_the_loop()
        lasts.append(None if blocks.last is None else blocks.last.number)
        await blocks.close()
        assert blocks.last is None

    for late in (1, 2, PARTS_AT_ONCE_MAX):
        asyncio.run(main(late))
    # Nothing is read; a part is being read; none is, but the last one follows another block.
    assert lasts == [None, 2 * BLOCKS_PER_PART_AT_FIRST - 1, first_of_fork - 1]


def test_a_part_that_fails_fails_its_step_and_is_read_again_by_the_next() -> None:
    async def main() -> None:
        fails = [True]

        async def read(first: int, last: int) -> Sequence[Block]:
            if first == BLOCKS_PER_PART_AT_FIRST and fails.pop():
                raise NodeUnavailable("http://node", "no answer")
            return [block_of(n) for n in range(first, last + 1)]

        blocks = Ahead(read)
        until = 3 * BLOCKS_PER_PART_AT_FIRST - 1
        first = len(await blocks.take(0, BLOCKS_PER_PART_AT_FIRST - 1, until))
        assert first == BLOCKS_PER_PART_AT_FIRST
        with pytest.raises(NodeUnavailable):
            await blocks.take(first, until, until)
        fails.append(False)
        taken = await blocks.take(first, until, until)
        assert taken[0].number == first
        await blocks.close()

    asyncio.run(main())


def test_nothing_is_being_read_any_more_once_it_is_closed() -> None:
    async def main() -> None:
        shown = Shown([0] * 1_000, gate=asyncio.Event())
        blocks = Ahead(shown.read)
        taking = asyncio.create_task(blocks.take(0, 9, 999))
        await turns_of_the_loop()
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        await blocks.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
