"""What can be typed about prices."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Final

from daemon.command_line.command_parts import Commands, add, add_group, add_json

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
