"""A program that is struck at each thing it waits for in turn: it makes no difference."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest
from books import Books
from simulation.drawn import Drawn
from simulation.history import History
from simulation.oracle import MINING, STAKES
from simulation.process import Blow, Plan, mortal
from simulation.telling import books_in_haste, staged

# A turn has some two dozen points.
POINTS_MAX = 100
POINTS_MIN = 10
DEPTH = 2

Story = Callable[[History], Awaitable[None]]


def drawn(number: int) -> Drawn:
    return Drawn(
        chain_id=910_000_000 + number,
        depth=DEPTH,
        on_deep_reorg="reverse",
        machines=(1, 1),
        agree=2,
        span_max=100,
        remembered=1_000,
        verify="bloom",
        breaks=True,
        sockets=False,
        sources=(STAKES, MINING),
    )


async def beginning(history: History) -> None:
    """Nothing has been read yet."""
    history.world.mine(6)


async def growing(history: History) -> None:
    await at_the_tip(history)
    history.world.mine(3)


async def reorganised(history: History) -> None:
    """Blocks that are pending have left."""
    await at_the_tip(history)
    history.world.reorg(history.world.head.number - 2)
    history.world.mine(2)


async def reorganised_deeply(history: History) -> None:
    """Blocks that are confirmed have left."""
    await at_the_tip(history)
    history.finality_held = False
    history.world.reorg(2)
    history.world.mine(4)


async def at_the_tip(history: History) -> None:
    history.world.mine(6)
    await history.start()
    for _ in range(2):
        await history.take_turn(history.processes[0], None, still=True)


async def struck(database_url: str, books: Books, number: int, story: Story, plan: Plan) -> int:
    """Tell the story, strike the turn after it, and hold the end. Returns that turn's points."""
    async with AsyncExitStack() as stack:
        history = staged(drawn(number), Random(1), books, database_url, stack=stack)
        await story(history)
        if not history.processes:
            await history.start()
        process = history.processes[0]
        await history.take_turn(process, plan, still=True)
        points = process.points
        assert await history.settle() == "equal"
        return points


@pytest.mark.parametrize("blow", ["killed", "killed after", "cut off after"])
@pytest.mark.parametrize("story", [beginning, growing, reorganised, reorganised_deeply])
def test_whatever_a_program_waits_for_when_it_ends_makes_no_difference(
    database_url: str, story: Story, blow: Blow
) -> None:
    with books_in_haste(database_url) as books, mortal():
        for at in range(1, POINTS_MAX):
            plan = Plan(at, blow)
            points = asyncio.run(struck(database_url, books, at, story, plan))
            if points < at:
                break
        else:
            raise AssertionError(f"more than {POINTS_MAX} points")
    assert at > POINTS_MIN
