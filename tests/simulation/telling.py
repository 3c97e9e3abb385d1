"""Telling histories by their seeds: the database, the reproduction, the progress of many."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, MutableMapping
from contextlib import AsyncExitStack, contextmanager
from random import Random
from typing import Any

import pytest
import structlog
from books import Books
from conftest import run
from fakenode import listen

from ledger.audit import audit, render
from simulation.drawn import Drawn, small_limits
from simulation.history import History
from simulation.nodes import Machine, Seen, Url
from simulation.process import mortal
from simulation.promises import Promises
from simulation.wire import wired
from simulation.world import World

# Each history has a chain of its own; the books of many are in one database.
FIRST_CHAIN_ID = 900_000_000
# Of what has happened in a history that failed, so much of its end is shown.
SHOWN_OF_TRACE = 40
MODULES_WITH_CLOCKS = ("daemon.watching.follower", "daemon.chain.upstreams", "daemon.watching.view")


@contextmanager
def books_in_haste(database_url: str) -> Iterator[Books]:
    """Open books that wait for no disk: the server outlives every history."""
    with Books.open(database_url) as books:
        ((name,),) = books.rows("select current_database()")
        run(database_url, f'alter database "{name}" set synchronous_commit = off')
        yield books


def tell(seed: int, database_url: str, *, sockets: bool = False, at_once: bool = False) -> History:
    """Live through the history of a seed. What it raises says how to have it again.

    What the daemon does side by side is done one after the other, in an order that is drawn, which
    is nearer to telling the same history each time; `at_once` lets it be.
    """
    history: list[History] = []
    try:
        with books_in_haste(database_url) as books, mortal():
            asyncio.run(_told(seed, database_url, books, history, sockets=sockets, at_once=at_once))
    except BaseException as error:
        wire = " CREDITD_SIMULATION_SOCKETS=1" if sockets else ""
        error.add_note(
            f"again: CREDITD_SIMULATION_SEED={seed}{wire}"
            " python -m pytest tests/test_simulation.py -k one_history"
        )
        if history:
            error.add_note("\n".join([str(history[0].drawn), *history[0].trace[-SHOWN_OF_TRACE:]]))
        raise
    return history[0]


async def _told(
    seed: int,
    database_url: str,
    books: Books,
    history: list[History],
    *,
    sockets: bool,
    at_once: bool,
) -> None:
    rng, rare = Random(seed), Random(f"rare of {seed}")
    drawn = Drawn.by(rng, rare, FIRST_CHAIN_ID + seed, sockets=sockets)
    async with AsyncExitStack() as stack:
        made = staged(drawn, rng, books, database_url, stack=stack)
        made.rare = rare
        history.append(made)
        stack.enter_context(small_limits(rng))
        if not at_once:
            stack.enter_context(one_after_the_other(rng))
        if sockets:
            made.addresses = tuple(
                [await stack.enter_async_context(listen(url)) for url in made.urls]
            )
        await made.run()


def staged(
    drawn: Drawn, rng: Random, books: Books, database_url: str, *, stack: AsyncExitStack
) -> History:
    """Return a history in which nothing has happened yet; its nodes are asked in memory."""
    world = World(rng, drawn.chain_id, drawn.depth, holds=drawn.held is not None)
    seen = Seen(world)
    urls = [
        Url(f"node-{n}", [Machine(world) for _ in range(machines)], seen)
        for n, machines in enumerate(drawn.machines)
    ]
    stack.enter_context(wired({url.name: url for url in urls}))
    history = History(
        rng=rng,
        drawn=drawn,
        books=books,
        database_url=database_url,
        world=world,
        seen=seen,
        urls=urls,
        promises=Promises(world, seen, urls, drawn),
        addresses=tuple(f"http://{url.name}" for url in urls),
        stack=stack,
    )
    stack.enter_context(_on_its_clock(history))
    return history


@contextmanager
def _on_its_clock(history: History) -> Iterator[None]:
    """Let the daemon go by the history's clock, and count what it logs."""

    def count(_: object, __: str, said: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        history.told[f"log: {said['event']}"] += 1
        if said["event"] == "defect":
            history.trace.append(f"    defect: {said['exc_info']!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES_WITH_CLOCKS:
            patch.setattr(f"{module}.monotonic", history.clock.read)
        structlog.configure(
            processors=[count],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        try:
            yield
        finally:
            structlog.configure(**before)


@contextmanager
def one_after_the_other(rng: Random) -> Iterator[None]:
    """Let the daemon do what it does side by side in either order instead."""

    async def either_first(
        one: Coroutine[object, object, int], other: Coroutine[object, object, int]
    ) -> tuple[int, int]:
        try:
            if rng.random() < 0.5:
                return await one, await other
            second = await other
            return await one, second
        finally:
            one.close()
            other.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daemon.watching.watcher.side_by_side", either_first)
        yield


def tell_many(
    seeds: Iterable[int], database_url: str, *, sockets: bool = False, at_once: bool = False
) -> Counter[str]:
    """Live through many histories, then audit the books of all. Returns what happened, counted."""
    counted: Counter[str] = Counter()
    for seed in seeds:
        counted.update(tell(seed, database_url, sockets=sockets, at_once=at_once).told)
    require_balance(database_url)
    return counted


def require_balance(database_url: str) -> None:
    """Require that the books keep all of their own promises."""
    report = asyncio.run(audit(database_url))
    assert report.balanced, render(report)
