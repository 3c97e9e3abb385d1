"""When a program of ours should end: on a signal, or when the program that started it is gone."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Final, NoReturn

# A parent hands its children the reading end of a pipe. However the parent ends, the pipe closes.
LIFELINE: Final = "CREDITD_LIFELINE"


def stop_on_signals() -> None:
    """Leave by SystemExit on a signal, ending in order what was started; a loop may take over."""
    for number in _signals():
        signal.signal(number, _leave)


def _signals() -> list[signal.Signals]:
    """Return what ends a program: Ctrl-C, `kill`, and its terminal's end unless under `nohup`."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)  # as a shell reports a program that a signal ended


@contextmanager
def signals_postponed() -> Iterator[None]:
    """Let a signal wait for the end of what must not be cut in half. In the main thread only."""
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda came, _: arrived.append(came)) for number in _signals()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in arrived[:1]:
            signal.raise_signal(came)


@asynccontextmanager
async def stop_event(environ: Mapping[str, str]) -> AsyncIterator[asyncio.Event]:
    """Give an event that SIGINT, SIGTERM, SIGHUP or the end of the parent sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _signals()}
    for number in before:
        loop.add_signal_handler(number, stop.set)
    lifeline = int(environ[LIFELINE]) if LIFELINE in environ else None
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        if lifeline is not None:
            loop.remove_reader(lifeline)
            os.close(lifeline)


@contextmanager
def ended_with_parent(environ: Mapping[str, str]) -> Iterator[None]:
    """Leave the running loop by SystemExit when the program that started this one is gone.

    For what takes a while and ends by itself; where nobody handed a lifeline it just runs.
    """
    lifeline = int(environ[LIFELINE]) if LIFELINE in environ else None
    if lifeline is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(lifeline, sys.exit, 1)
    try:
        yield
    finally:
        loop.remove_reader(lifeline)
