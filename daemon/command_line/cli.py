"""The command line: it finds the command, and turns what goes wrong into one clear line.

The modules of commands are imported as they are needed: most are called by scripts, and often.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from types import MappingProxyType
from typing import Final

from daemon.command_line.arguments import parser
from daemon.processes.log_lines import configure_logs
from daemon.processes.stopping import stop_on_signals
from ledger.errors import LedgerError, LedgerUnavailable, RuleConflict

# The module of this package that has the commands of a first word.
MODULES: Final = MappingProxyType(
    {
        **dict.fromkeys(("up", "watch", "serve", "demo"), "running"),
        **dict.fromkeys(("migrate", "status", "audit", "exposure", "export"), "books_commands"),
        **dict.fromkeys(("config", "chains"), "config_commands"),
        "key": "key_commands",
        "prices": "prices_commands",
        "webhooks": "webhooks_commands",
        **dict.fromkeys(
            ("account", "organisation", "member", "budget", "consent"), "account_commands"
        ),
        **dict.fromkeys(
            ("reorg", "set-aside", "replay", "verify", "backfill", "rewind", "evidence"),
            "chain_commands",
        ),
    }
)
# What says itself what is wrong, beside OSError and LedgerError, by its module.
EXPLAINED: Final = (
    ("daemon.configuration.mistakes", "ConfigError"),
    ("api.pricing.price_file", "PricesError"),
    ("daemon.processes.postgres", "EmbeddedFailed"),
    ("daemon.chain.unfit", "Unfit"),
    ("api.serve", "CannotListen"),
    ("daemon.processes.anvil", "AnvilMissing"),
    ("daemon.processes.anvil", "AnvilFailed"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 if all is well, 1 if something is wrong, 2 if not to be done."""
    stop_on_signals()
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal's alphabet may lack a letter of ours
        sys.stdout.reconfigure(errors="replace")
    options = parser(os.environ).parse_args(arguments)
    if options.command is None:
        options.help_of.print_help(sys.stderr)
        return 2
    configure_logs(json=options.json_logs or None)
    try:
        code = command_named(options.command)(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not isinstance(error, (LedgerError, OSError, *_explained())):
            raise
        for line in _explanation(error).splitlines():
            print(f"creditd: {line}", file=sys.stderr)
        return 2
    return code


def command_named(name: str) -> Callable[[Namespace], int]:
    """Return what carries out a command, by its words. Raises KeyError."""
    module = import_module(f"daemon.command_line.{MODULES[name.partition(' ')[0]]}")
    commands: Mapping[str, Callable[[Namespace], int]] = module.COMMANDS
    return commands[name]


def _explained() -> tuple[type[Exception], ...]:
    # A module that is not imported has raised nothing.
    return tuple(
        getattr(sys.modules[module], name) for module, name in EXPLAINED if module in sys.modules
    )


def _explanation(error: Exception) -> str:
    match error:
        case LedgerUnavailable():
            said = " ".join(str(error).split())
            return f"{said}\ncheck that it runs, and DATABASE_URL (or url under [database])"
        case RuleConflict():
            return (
                f"{error}: put back what it said, or give what is new a name of its own and a"
                " from_block that has not been read yet"
            )
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}"
        case _:
            return str(error)
