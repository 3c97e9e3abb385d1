"""What can be typed: the commands, their options, and the help that teaches them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from daemon.command_line.account_arguments import add_account_commands
from daemon.command_line.chain_arguments import add_chain_commands
from daemon.command_line.command_parts import (
    Commands,
    account,
    add,
    add_group,
    add_json,
    options_of_all,
)
from daemon.command_line.key_arguments import add_key_commands
from daemon.command_line.prices_arguments import add_prices_arguments

_FIRST_STEPS: Final = """\
first steps:
  creditd demo                            the whole story, on a local chain
  creditd config example > creditd.toml   begin a configuration
  creditd config example --prices > prices.toml
  creditd config check                    every mistake at once
  creditd up                              follow the chains, serve the API

The books are in the PostgreSQL that DATABASE_URL (or url under [database])
names, else in an embedded one. Exit codes: 0 all is well, 1 something that was
looked at is not, 2 the command cannot be carried out.
"""
_UP: Final = """\
Bring the database to this release, put the configured prices in force, then run
`creditd watch` and `creditd serve` until Ctrl-C or SIGTERM. If one of the two
ends, so does the other, and the exit code is not 0. Where neither DATABASE_URL
nor url under [database] names a PostgreSQL, an embedded one keeps the books in
data_dir; it ends with its last user.
"""
_WATCH: Final = """\
Follow the configured chains and grant what they earn, until Ctrl-C or SIGTERM.
A node or a database that does not answer is waited for. Of several watchers of
one chain one leads, and the others stand by. Exits with 2 for what cannot pass
by itself: a node on another chain, a source that says otherwise than the books,
a finalized tag that the node does not have, books of another release.
"""
_SERVE: Final = """\
Serve the API where [api] says, until Ctrl-C or SIGTERM; what is on its way is
answered first. Run as many as you like on one database.
"""
_MIGRATE: Final = """\
Make the books in an empty database, or bring older ones to this release, in one
transaction. Safe to run again, and beside another migration.
"""
_STATUS: Final = """\
Show how far each configured chain is followed, and the alarms, each with what
helps: a chain that is halted, never followed, not watched (not heard of for its
poll_ms and alarm_after_seconds more) or behind; finality that stalls, a node
that fails, logs set aside, and books that an audit found wrong or unlike the
chain.
Exits with 1 if there is any. The same alarms are in /status, in the metric
creditd_alarm, in the log of `creditd watch`, and told to receivers of
alarm.raised and alarm.cleared.
"""
_AUDIT: Final = """\
Replay the books and check every promise, beside live traffic; nothing of them
is written but the outcome, which `creditd status` shows as an alarm if it is
not good. Exits with 1 if a promise is broken, and shows where.
"""
_EXPOSURE: Final = """\
Show what would come of it if a chain left a block and all above it: what is
left of their grants would be taken back; what was spent would be owed, or
absorbed, as each source says; what is reserved is decided when that ends.

example:
  creditd exposure --chain ethereum --block 21000000
"""
_DEMO: Final = """\
Run the whole story on this machine: a local chain with earners, the books, the
watcher, the API and an app that charges for its calls. Ctrl-C ends it, and
nothing of it stays.
"""
_CHAINS: Final = """\
Show what is known of some chains by their id, and taken for them where the
configuration leaves it out: when a block is confirmed, and how much of what a
node says is proven (verify). A depth below the one shown is allowed, and the
watcher warns of it at its start.

recomputes: yes, tested with such blocks; untested, the chain halts, or goes by
the agreement of its nodes, where hash or receipts do not come out; no, it does.
"""
_CONFIG: Final = "Check a configuration, or begin one."
_CHECK: Final = """\
Report every mistake of the configuration, and of its price list if there is
one, each with its place and its remedy. Asks neither a node nor a database.
Exits with 2 if there is a mistake.
"""
_EXAMPLE: Final = """\
Print a configuration that explains every setting. It is complete but for
rpc_url and the two contracts: put your node and your contracts in. They must be
there, or `creditd up` ends with 2. With --prices, print a whole price list.

examples:
  creditd config example > creditd.toml
  creditd config example --prices > prices.toml
"""
_EXPORT: Final = """\
Write the books, or one account of them, as JSON lines: everything that somebody
else needs to check them (docs/export.md). All of it is of one moment. It reads
for as long as it takes: where much is charged, name a standby by DATABASE_URL.

examples:
  creditd export --out books.jsonl
  creditd export --verifier > verify.py && python verify.py books.jsonl
  creditd export --account acct_…
"""
_WEBHOOKS: Final = "Look after the receivers under [[webhooks]]."
_WEBHOOKS_STATUS: Final = """\
Show what waits for each receiver, what is dead, and why. Exits with 1 if
messages are dead: they were tried for a day and are not tried again by
themselves.
"""
_WEBHOOKS_RETRY: Final = """\
Try a receiver's dead messages again. They come after what was delivered since.

example:
  creditd webhooks retry billing
"""


def parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    What it returns has `command` ("key create"; None if none was given, then `help_of` is the
    parser whose help says which there are) and the options of that command.
    """
    root = argparse.ArgumentParser(
        prog="creditd",
        description="Earn credits on-chain, spend them on an API.",
        epilog=_FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[options_of_all()],
    )
    root.set_defaults(
        command=None,
        help_of=root,
        config=Path(environ.get("CREDITD_CONFIG") or "creditd.toml"),
        json_logs=False,
    )
    commands = root.add_subparsers(title="commands", metavar="COMMAND")
    add(commands, "up", "run it all: migrate, then watcher and API until Ctrl-C", _UP)
    add(commands, "watch", "follow the chains and grant what they earn", _WATCH)
    add(commands, "serve", "serve the API", _SERVE)
    add(commands, "migrate", "bring the database to this release", _MIGRATE)
    status = add(commands, "status", "how far each chain is followed", _STATUS)
    add_json(status)
    audit = add(commands, "audit", "replay the books, check every promise", _AUDIT)
    audit.add_argument("--account", type=account, metavar="acct_…", help="check this account alone")
    add_json(audit)
    exposure = add(commands, "exposure", "what a reorg would take back", _EXPOSURE)
    exposure.add_argument("--chain", metavar="NAME", required=True, help="its configured name")
    exposure.add_argument(
        "--block", type=int, metavar="N", required=True, help="the first block that would go"
    )
    add_json(exposure)
    add_json(add(commands, "chains", "what is known of chains", _CHAINS))
    _add_export(commands)
    demo = add(commands, "demo", "the whole story, on a local chain", _DEMO)
    demo.add_argument("--check", action="store_true", help="tell it once, verify each step, end")
    _add_config(commands)
    add_key_commands(commands)
    add_prices_arguments(commands)
    _add_webhooks(commands)
    add_account_commands(commands)
    add_chain_commands(commands)
    return root


def _add_config(commands: "Commands[argparse.ArgumentParser]") -> None:
    config = add_group(
        commands,
        "config",
        "check a configuration, or begin one",
        "Check a configuration, or begin one.",
    )
    add(config, "check", "report every mistake", _CHECK, group="config")
    example = add(config, "example", "print one that explains itself", _EXAMPLE, group="config")
    example.add_argument("--prices", action="store_true", help="print a price list instead")


def _add_export(commands: "Commands[argparse.ArgumentParser]") -> None:
    export = add(commands, "export", "the books as a file that others can check", _EXPORT)
    export.add_argument("--account", type=account, metavar="acct_…", help="this account alone")
    export.add_argument(
        "--out", type=Path, metavar="FILE", help="where to (default: the standard output)"
    )
    export.add_argument(
        "--verifier", action="store_true", help="print the program that checks an export instead"
    )


def _add_webhooks(commands: "Commands[argparse.ArgumentParser]") -> None:
    webhooks = add_group(commands, "webhooks", "look after the receivers", _WEBHOOKS)
    status = add(webhooks, "status", "what waits for each", _WEBHOOKS_STATUS, group="webhooks")
    add_json(status)
    retry = add(webhooks, "retry", "try dead messages again", _WEBHOOKS_RETRY, group="webhooks")
    retry.add_argument("name", metavar="NAME", help="the receiver's name")
