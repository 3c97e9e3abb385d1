"""The commands that look after the price book."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from api.pricing.price_file import read_prices
from daemon.command_line.configured import config_of
from daemon.command_line.prices_report import (
    changes_as_json,
    changes_as_text,
    prices_as_json,
    prices_as_text,
    refusal_of,
)
from daemon.processes.postgres import database
from ledger.errors import LedgerError
from ledger.operating import Operating
from ledger.price_book import BookPrice, PriceChange, PriceRow
from ledger.reading import PAGE_MAX, Reading


async def apply_prices(
    url: str, prices: Sequence[PriceRow], *, withdraw: bool = False, dry_run: bool = False
) -> list[PriceChange]:
    """Put a price list in force. Raises LedgerError if it cannot be: nothing is written then."""
    async with Operating.open(url) as operating:
        changes = await operating.apply_prices(prices, withdraw=withdraw, dry_run=dry_run)
    refusal = refusal_of(changes)
    if refusal is not None:
        raise LedgerError(refusal)
    return changes


def _apply(options: Namespace) -> int:
    config = config_of(options)
    prices = read_prices(options.file or config.api.prices)
    with database(config.database, os.environ) as url:
        changes = asyncio.run(
            apply_prices(url, prices, withdraw=options.withdraw, dry_run=options.dry_run)
        )
    told = changes_as_json if options.json else changes_as_text
    print(told(changes, dry_run=options.dry_run))
    return 0


def _show(options: Namespace) -> int:
    async def run(url: str) -> list[BookPrice]:
        prices: list[BookPrice] = []
        async with Reading.open(url, role="creditd_reader") as reading:
            while True:
                after = prices[-1].operation_id if prices else None
                page = await reading.prices(at=options.at, after=after, limit=PAGE_MAX)
                if not page:
                    return prices
                prices += page

    with database(config_of(options).database, os.environ) as url:
        prices = asyncio.run(run(url))
    print((prices_as_json if options.json else prices_as_text)(prices))
    if not prices and not options.json:
        print("creditd: `creditd prices apply` puts a price list in force", file=sys.stderr)
    return 0


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {"prices apply": _apply, "prices show": _show}
)
