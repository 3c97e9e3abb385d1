"""Everything on one machine: watcher and API as programs of their own, under one that ends them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from daemon.processes.children import child

PARTS: Final = ("watch", "serve")

log = structlog.get_logger()


async def up(config_path: Path, environ: Mapping[str, str], stop: asyncio.Event) -> int:
    """Run `creditd watch` and `creditd serve` until `stop` is set or one of them ends.

    They are separate processes because proving blocks must not stall charges. Returns the exit
    code: 0 when told to stop; otherwise that of the part that ended, or 1 if that was 0.
    """

    async def run(part: str) -> int:
        async with child(["--config", str(config_path), part], environ) as process:
            return await process.wait()

    running = {asyncio.create_task(run(part)): part for part in PARTS}
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
    codes = []
    for task, part in running.items():
        if task in done and not stop.is_set():
            log.error("a part ended: stopping the others", part=part, exit_code=task.result())
            codes.append(task.result())
    for task in (stopped, *running):
        task.cancel()  # which ends each part, all at the same time
    await asyncio.gather(stopped, *running, return_exceptions=True)
    return next((abs(code) or 1 for code in codes), 0)
