"""`creditd watch` as a program that runs while a test looks at what it does."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.processes.stopping import LIFELINE

ROOT = Path(__file__).parent.parent
SECONDS_MAX = 30


@asynccontextmanager
async def program(config: Path, database_url: str, **environ: str) -> AsyncIterator[Process]:
    """Run `creditd watch`, killed at the end if it still runs."""
    lifeline = environ.get(LIFELINE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon", "--json-logs", "--config", str(config), "watch"),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url, **environ},
        pass_fds=() if lifeline is None else (int(lifeline),),
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ends(process: Process) -> tuple[int, str]:
    """Wait until it ends; return its exit code and the last line it said."""
    async with asyncio.timeout(SECONDS_MAX):
        _, said = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in said
    return process.returncode, said.decode().strip().rpartition("\n")[2]
