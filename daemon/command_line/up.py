"""Everything on one machine: watcher and API as programs of their own, under one that ends them."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from api.pricing.price_file import read_prices
from daemon.command_line.prices_commands import apply_prices
from daemon.processes.children import child
from ledger.migrate import migrate
from ledger.price_book import PriceRow

PARTS: Final = ("watch", "serve")

log = structlog.get_logger()


def price_list(path: Path) -> list[PriceRow]:
    """Return the prices to put in force, none if there is no such list. Raises PricesError."""
    prices = read_prices(path) if path.exists() else []
    if not prices:
        remedy = f"creditd config example --prices > {path}"
        log.warning("no price list: the prices in the books stay", remedy=remedy)
    return prices


def prepare(url: str, prices: Sequence[PriceRow]) -> None:
    """Bring the books to this release, and put prices in force.

    Raises LedgerError: then no price is changed.
    """
    migrate(url)
    for price in asyncio.run(apply_prices(url, prices)):
        if price.changed:
            log.info(
                "price changed",
                operation=price.operation,
                model=price.model or None,
                change=price.kind,
                version=price.version,
                begins=price.begins.isoformat(),
            )


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
