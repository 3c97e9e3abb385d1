"""Programs of ours run by another of ours: started, watched, and always ended."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Final

from daemon.processes.stopping import LIFELINE

# Ctrl-C ends everything within five seconds: what has not ended by itself by then is ended.
STOP_SECONDS_MAX: Final = 3.5


@asynccontextmanager
async def child(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    output: IO[bytes] | None = None,
    *,
    is_read: bool = False,
) -> AsyncIterator[Process]:
    """Run `creditd` with these arguments while the context lasts; `output` None is the parent's.

    Where it `is_read`, what it says comes by the process's `stdout` and `stderr` instead.
    It has a process group of its own, so that a Ctrl-C reaches only its parent, which then stops
    it in order; and a lifeline, so that it stops too when its parent is killed.
    """
    reading, writing = os.pipe()
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "daemon", *arguments),
                env={**environ, LIFELINE: str(reading)},
                pass_fds=(reading,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE if is_read else output,
                stderr=PIPE if is_read else output,
                start_new_session=True,
            )
        finally:
            os.close(reading)
        try:
            yield process
        finally:
            await _end(process)
    finally:
        os.close(writing)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as error:
        # Whoever waits for it may have to stop at once, and leaves nothing behind either.
        if process.returncode is None:
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
