"""What can be typed about API keys."""

import argparse
from collections.abc import Callable
from typing import Final, TypeVar

from daemon.command_line.command_parts import Commands, account, add, add_group, add_json
from daemon.configuration.rates import parse_cap, parse_rate, parse_span
from ledger.scopes import NEVER_BY_DEFAULT, OPERATOR_SCOPES, PERSONAL_SCOPES, SCOPES

APP_LENGTH_MAX: Final = 100  # the books allow no more
# A key for longer than a decade is one that was meant never to expire.
EXPIRES_DAYS_MAX: Final = 3_650

Value = TypeVar("Value")

_KEY: Final = "Make, list, replace and end API keys (docs/api-keys.md)."
_CREATE: Final = f"""\
Make an API key and show it once: the books keep only its digest. What it may do
never changes: make another one, and end this.

  --app       ck_…  for an app: it acts for the accounts that the app opened, or
                    whose owner lets it. An app may have several.
  --account   cp_…  for a person: it acts for this account and no other. It
                    charges, but gives nothing back.
  --operator  co_…  for operators, on the port under [operator] alone.

scopes (p: a personal API key may have it):
{
    chr(10).join(
        f"  {'p' if scope in PERSONAL_SCOPES else ' '} {scope:<19} {meaning}"
        for scope, meaning in SCOPES.items()
    )
}
of operators:
{chr(10).join(f"  {scope:<14} {meaning}" for scope, meaning in OPERATOR_SCOPES.items())}

examples:
  creditd key create --app shop
  creditd key create --app dashboard --scope balance:read --expires 90d
  creditd key create --app bot --operation chat --cap 100/day --rate 50/s
  creditd key create --account acct_… --cap 1000/month
  creditd key create --operator --scope operator:read
"""
_LIST: Final = """\
Show the API keys of all, of an app or of an account, newest first: what each
may do, when it was used last, and what it spent. No key is shown again.

examples:
  creditd key list
  creditd key list --app shop --json
"""
_SHOW: Final = """\
Show all that is known of an API key.

example:
  creditd key show 7
"""
_ROTATE: Final = """\
Make an API key's successor, which may do the same under the same caps, and show
it once. Both are good until the overlap ends; then only the successor is.

examples:
  creditd key rotate 7
  creditd key rotate 7 --overlap 0s        the old one leaked
  creditd key rotate 7 --overlap 2d --expires 90d
"""
_REVOKE: Final = """\
End an API key, for one that leaked or is not needed any more. Running API
processes refuse it within 5 seconds. Its successor, and the app's other keys,
stay good.

example:
  creditd key revoke 7
"""


def add_key_commands(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the commands about API keys."""
    key = add_group(commands, "key", "make, list, replace and end API keys", _KEY)
    create = add(key, "create", "make an API key, show it once", _CREATE, group="key")
    _add_owner(create.add_mutually_exclusive_group(required=True)).add_argument(
        "--operator", action="store_true", help="for operators, on the port under [operator]"
    )
    create.add_argument(
        "--scope",
        action="append",
        choices=sorted([*SCOPES, *OPERATOR_SCOPES]),
        metavar="SCOPE",
        help="what the key may do, once for each (default: all of its kind but"
        f" {', '.join(sorted(NEVER_BY_DEFAULT))})",
    )
    create.add_argument(
        "--operation",
        action="append",
        metavar="NAME",
        help="an operation it may charge for, once for each (default: all)",
    )
    create.add_argument(
        "--cap",
        action="append",
        type=_read(parse_cap),
        default=[],
        metavar="CREDITS/PERIOD",
        help="the most it spends in a day, week, month or ever, once for each; by UTC",
    )
    create.add_argument(
        "--rate",
        type=_read(parse_rate),
        metavar="N/s",
        help="how many requests it may make of each API process, in a s, min or h"
        " (default: rate_limit under [api])",
    )
    _add_expiry(create.add_mutually_exclusive_group(), "it does not expire")
    add_json(create)
    listed = add(key, "list", "what API keys there are, and what they spent", _LIST, group="key")
    _add_owner(listed.add_mutually_exclusive_group())
    add_json(listed)
    show = add(key, "show", "all that is known of one", _SHOW, group="key")
    _add_number(show)
    add_json(show)
    rotate = add(key, "rotate", "replace an API key by a new one", _ROTATE, group="key")
    _add_number(rotate)
    rotate.add_argument(
        "--overlap",
        type=_read(parse_span),
        default=parse_span("24h"),
        metavar="SPAN",
        help="for how long the old one stays good, up to 7d (default: 24h)",
    )
    _add_expiry(rotate.add_mutually_exclusive_group(), "when the old one would have")
    add_json(rotate)
    _add_number(add(key, "revoke", "end an API key", _REVOKE, group="key"))


def _add_owner(
    whose: "argparse._MutuallyExclusiveGroup",
) -> "argparse._MutuallyExclusiveGroup":
    whose.add_argument("--app", type=_app, metavar="NAME", help="of an app")
    whose.add_argument("--account", type=account, metavar="acct_…", help="of a person")
    return whose


def _add_number(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "number", type=_number, metavar="NUMBER", help="the key's number, as `key list` says it"
    )


def _add_expiry(whether: "argparse._MutuallyExclusiveGroup", else_: str) -> None:
    whether.add_argument(
        "--expires",
        type=_read(parse_span),
        metavar="SPAN",
        help=f"end it after 90d, 12h or so (default: {else_})",
    )
    whether.add_argument(
        "--expires-days", dest="expires", type=_days, metavar="N", help="the same, in days"
    )


def _read(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return what reads an argument, and tells argparse what is wrong with it."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):  # noqa: PLR2004 - 32 bits
        raise argparse.ArgumentTypeError("must be the number of an API key")
    return int(text)


def _app(text: str) -> str:
    if not 1 <= len(text) <= APP_LENGTH_MAX or not text.isprintable() or text != text.strip():
        raise argparse.ArgumentTypeError(
            f"must be 1 to {APP_LENGTH_MAX} printable characters without a blank at either end"
        )
    return text


def _days(text: str) -> object:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(EXPIRES_DAYS_MAX))
    days = int(text) if digits else 0
    if not 1 <= days <= EXPIRES_DAYS_MAX:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of days from 1 to {EXPIRES_DAYS_MAX};"
            " leave it out for a key that does not expire"
        )
    return parse_span(f"{days}d")
