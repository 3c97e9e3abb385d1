"""When a program of ours should end: on a signal, or when the program that started it is gone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

# A parent hands its children the reading end of a pipe. However the parent ends, the pipe closes.
LIFELINE: Final = "CREDITD_LIFELINE"


@asynccontextmanager
async def stop_event(environ: Mapping[str, str]) -> AsyncIterator[asyncio.Event]:
    """Give an event that SIGINT, SIGTERM or the end of the parent sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    lifeline = int(environ[LIFELINE]) if LIFELINE in environ else None
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if lifeline is not None:
            loop.remove_reader(lifeline)
            os.close(lifeline)
