"""A process that charges while another is measured, and tells it of what it changes."""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import Final

import uvloop
from filled_books import OPERATION
from placing import OTHERS_CORE, placed_here

from ledger.changes import Changes
from ledger.ids import AccountRef
from ledger.spending import Spending

WRITES_PER_SECOND: Final = 200


@contextmanager
def writing(url: str, accounts: Sequence[AccountRef]) -> Iterator[None]:
    """Let a process of its own charge WRITES_PER_SECOND times while the context lasts."""
    stop = get_context("spawn").Event()
    process = get_context("spawn").Process(target=write, args=(url, list(accounts), stop))
    with placed_here(OTHERS_CORE):
        process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def write(url: str, accounts: Sequence[AccountRef], stop: Event) -> None:
    """Charge one account after the other, at an even pace, and tell other processes so."""

    async def run() -> None:
        async with (
            Changes.open(url) as changes,
            Spending.open(url, changes=changes) as spending,
        ):
            for number, account in enumerate(itertools.cycle(accounts)):
                if stop.is_set():
                    return
                await spending.charge(
                    app_id=1,
                    account=account,
                    key=f"{os.getpid()} {number}",
                    operation=OPERATION,
                    units=1,
                )
                await asyncio.sleep(1 / WRITES_PER_SECOND)

    uvloop.run(run())
