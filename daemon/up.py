"""Everything on one machine: watcher and API as programs of their own, under one that ends them."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from daemon.children import child

log = structlog.get_logger()


async def up(
    config_path: Path, database_url: str, environ: Mapping[str, str], stop: asyncio.Event
) -> int:
    """Run `creditd watch` and `creditd serve` until `stop` is set or one of them ends.

    They are separate processes because proving blocks must not stall charges. Returns the exit
    code: 0 when told to stop, that of the program that ended otherwise.
    """
    environ = {**environ, "DATABASE_URL": database_url}
    async with AsyncExitStack() as stack:
        running: dict[asyncio.Task[int], str] = {}
        for name in ("watch", "serve"):
            process: Process = await stack.enter_async_context(
                child(["--config", str(config_path), name], environ)
            )
            running[asyncio.create_task(process.wait())] = name
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task, name in running.items():
            if task in done:
                log.error("a part ended: stopping the others", part=name, exit_code=task.result())
        codes = [task.result() for task in running if task in done]
    await asyncio.gather(*running)
    return max((abs(code) for code in codes), default=0)
