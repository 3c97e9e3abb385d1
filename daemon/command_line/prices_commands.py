"""The commands that look after the price book, and their arguments."""

import argparse
import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from api.pricing.price_file import read_prices
from daemon.command_line.command_parts import Commands, add, add_group, add_json, config_of
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

_PRICES: Final = "Say what operations cost."
_APPLY: Final = """\
Put a price list in force at once, without a restart, and show what it changes.
A price that differs from the one in force becomes its next version; what the
list does not name stays as it is, unless --withdraw ends it. What was to begin
later, and the list has no more, is taken back. docs/prices.md tells it all.

examples:
  creditd prices apply
  creditd prices apply sale.toml --dry-run
"""
_SHOW: Final = """\
Print the prices that are in force, and those that are to begin later.

examples:
  creditd prices show
  creditd prices show --at 2030-01-01T00:00:00Z
"""


def add_prices_arguments(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the commands of prices."""
    prices = add_group(commands, "prices", "say what operations cost", _PRICES)
    apply = add(prices, "apply", "put a price list in force", _APPLY, group="prices")
    apply.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="the price list (default: prices under [api], a prices.toml beside the configuration)",
    )
    apply.add_argument(
        "--dry-run", action="store_true", help="show what would change, write nothing"
    )
    apply.add_argument(
        "--withdraw", action="store_true", help="end every price that the list does not have"
    )
    add_json(apply)
    show = add(prices, "show", "print what operations cost", _SHOW, group="prices")
    show.add_argument(
        "--at", type=_moment, metavar="TIME", help="as of a moment, with its zone (default: now)"
    )
    add_json(show)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment: write date, time and zone, such as 2030-01-01T00:00:00Z"
        )
    return moment


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


PRICES_COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {"prices apply": _apply, "prices show": _show}
)
