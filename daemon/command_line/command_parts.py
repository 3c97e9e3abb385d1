"""What the command line is put together of."""

import argparse
from pathlib import Path

from ledger.ids import AccountRef, parse_account

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse names the type of it nowhere else


def options_of_all() -> argparse.ArgumentParser:
    """Return the options that may stand before the command or after it."""
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: CREDITD_CONFIG, else creditd.toml in this folder)",
    )
    options.add_argument(
        "--json-logs",
        action="store_true",
        help="log JSON to a terminal as well, not only to files and pipes",
    )
    return options


def add(
    commands: "Commands[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    *,
    group: str = "",
) -> argparse.ArgumentParser:
    """Add a command, of a group if one is named, with the help that teaches it."""
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[options_of_all()],
    )
    command.set_defaults(command=f"{group} {name}".strip())
    return command


def add_group(
    commands: "Commands[argparse.ArgumentParser]", name: str, summary: str, description: str
) -> "Commands[argparse.ArgumentParser]":
    """Add a word that stands before several commands."""
    group = commands.add_parser(name, help=summary, description=description)
    group.set_defaults(help_of=group)
    return group.add_subparsers(title="commands", metavar="COMMAND")


def add_json(command: argparse.ArgumentParser) -> None:
    """Let a command print JSON."""
    command.add_argument("--json", action="store_true", help="print JSON, for scripts")


def account(text: str) -> AccountRef:
    """Return the account that an argument names."""
    try:
        return parse_account(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}: give it as the API did, acct_ and 13 or 26 letters and digits"
        ) from error


def count_of(number: int, noun: str) -> str:
    """Return how many of something there are, in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
