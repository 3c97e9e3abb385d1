"""The command line: it puts the parts together and turns what goes wrong into one clear line."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import uvloop

from api.keys import new_api_key
from api.prices import PricesError, parse_prices
from api.serve import CannotListen, listening
from contracts.catalogue import EVENTS
from daemon.anvil import AnvilFailed, AnvilMissing
from daemon.config import Config, ConfigError, example_config, example_prices, load_config
from daemon.logs import configure_logs
from daemon.mistakes import Unfit
from daemon.postgres import database
from daemon.status import StatusReport, read_status
from daemon.stopping import stop_event
from daemon.up import up
from ledger.audit import as_json, audit, render
from ledger.errors import LedgerError
from ledger.ids import parse_account
from ledger.migrate import migrate
from ledger.operating import Operating, PriceChange, PriceRow
from ledger.scopes import SCOPES

EXPLAINED: Final = (
    ConfigError,
    PricesError,
    LedgerError,
    Unfit,
    CannotListen,
    AnvilMissing,
    AnvilFailed,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 if all is well, 1 if something is wrong, 2 if not to be done."""
    options = _parser().parse_args(arguments)
    configure_logs(json=options.json_logs or None)
    try:
        return int(options.run(options))
    except EXPLAINED as error:
        print(f"creditd: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _config(options: argparse.Namespace) -> Config:
    return load_config(options.config, os.environ, events=EVENTS.keys())


def _up(options: argparse.Namespace) -> int:
    config = _config(options)
    with database(config.database, os.environ) as url:
        migrate(url)
        if config.api.prices.exists():
            _print_prices(asyncio.run(_apply_prices(url, _prices(config.api.prices))))

        async def run() -> int:
            async with stop_event(os.environ) as stop:
                return await up(options.config, url, os.environ, stop)

        return uvloop.run(run())


def _watch(options: argparse.Namespace) -> int:
    from daemon.watch import watch  # noqa: PLC0415 - web3 takes a second that the others save

    config = _config(options)

    async def run(url: str) -> None:
        async with stop_event(os.environ) as stop:
            await watch(config, url, stop)

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _serve(options: argparse.Namespace) -> int:
    config = _config(options)

    async def run(url: str) -> None:
        async with (
            stop_event(os.environ) as stop,
            listening(
                url,
                host=config.api.host,
                port=config.api.port,
                lanes=config.api.lanes,
                queue_max=config.api.queue_max,
            ),
        ):
            await stop.wait()

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _migrate(options: argparse.Namespace) -> int:
    with database(_config(options).database, os.environ) as url:
        before, after = migrate(url)
    print(f"the books are at version {after}" + ("" if before == after else f" (were at {before})"))
    return 0


def _status(options: argparse.Namespace) -> int:
    with database(_config(options).database, os.environ) as url:
        report: StatusReport = asyncio.run(read_status(url))
    print(json.dumps(report.as_json(), indent=2) if options.json else report.render())
    return 0 if report.well else 1


def _audit(options: argparse.Namespace) -> int:
    account = parse_account(options.account) if options.account else None
    with database(_config(options).database, os.environ) as url:
        report = asyncio.run(audit(url, account=account))
    print(json.dumps(as_json(report), indent=2) if options.json else render(report))
    return 0 if report.balanced else 1


def _config_check(options: argparse.Namespace) -> int:
    config = _config(options)
    sources = sum(len(chain.sources) for chain in config.chains)
    print(f"{options.config}: {len(config.chains)} chains, {sources} sources, no mistakes")
    return 0


def _config_example(options: argparse.Namespace) -> int:
    print(example_prices() if options.prices else example_config(), end="")
    return 0


def _key_create(options: argparse.Namespace) -> int:
    key = new_api_key()
    expires_at = (
        datetime.now(UTC) + timedelta(days=options.expires_days) if options.expires_days else None
    )

    async def run(url: str) -> int:
        async with Operating.open(url) as operating:
            return await operating.create_app_key(
                app=options.app,
                scopes=options.scope or sorted(SCOPES),
                digest=key.digest,
                hint=key.hint,
                expires_at=expires_at,
            )

    with database(_config(options).database, os.environ) as url:
        key_id = asyncio.run(run(url))
    if options.json:
        print(json.dumps({"key_id": key_id, "app": options.app, "key": key.text}))
    else:
        print(f"API key {key_id} of {options.app}, shown this once:\n\n  {key.text}\n")
    return 0


def _prices_apply(options: argparse.Namespace) -> int:
    config = _config(options)
    prices = _prices(options.file or config.api.prices)
    with database(config.database, os.environ) as url:
        _print_prices(asyncio.run(_apply_prices(url, prices)))
    return 0


async def _apply_prices(url: str, prices: Sequence[PriceRow]) -> list[PriceChange]:
    async with Operating.open(url) as operating:
        return await operating.apply_prices(prices)


def _prices(file: Path) -> list[PriceRow]:
    return parse_prices(file.read_text(encoding="utf-8"))


def _print_prices(changes: Sequence[PriceChange]) -> None:
    for change in changes:
        word = "new, in force now" if change.changed else "unchanged"
        print(f"{change.operation}: version {change.version}, {word}")


def _demo(options: argparse.Namespace) -> int:
    try:
        from daemon import demo  # noqa: PLC0415 - what it needs, servers have no use for
    except ModuleNotFoundError as error:
        raise OSError(f"the demo needs the package {error.name}: run `make setup`") from error
    return demo.run(check=options.check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="creditd",
        description="Earn credits on-chain, spend them on an API.",
        epilog="First steps: `creditd demo` shows the whole story on a local chain;"
        " `creditd config example > creditd.toml` begins a configuration of your own.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("CREDITD_CONFIG", "creditd.toml")),
        help="the configuration (default: CREDITD_CONFIG, or creditd.toml here)",
    )
    parser.add_argument("--json-logs", action="store_true", help="logs as JSON on a terminal too")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: object, teach: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=teach, description=teach)
        command.set_defaults(run=run)
        return command

    add("up", _up, "migrate, then run the watcher and the API until Ctrl-C")
    add("watch", _watch, "follow the configured chains and grant what they earn")
    add("serve", _serve, "serve the API")
    add("migrate", _migrate, "bring the database to this release (safe to run again)")
    status = add(
        "status", _status, "show how far each chain is followed; exits 1 if one is not well"
    )
    status.add_argument("--json", action="store_true", help="for scripts")
    auditing = add("audit", _audit, "replay the books and check every promise; exits 1 on a breach")
    auditing.add_argument("--account", metavar="acct_…", help="one account only")
    auditing.add_argument("--json", action="store_true", help="for scripts")
    showing = add("demo", _demo, "run the whole story on a local chain, with an app to pay for")
    showing.add_argument("--check", action="store_true", help="run it once, verify each step, exit")
    _add_nested(commands)
    return parser


def _add_nested(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    config = commands.add_parser("config", help="check a configuration, or begin one")
    config_commands = config.add_subparsers(metavar="COMMAND", required=True)
    check = config_commands.add_parser(
        "check", help="report every mistake; exits 2 if there is one"
    )
    check.set_defaults(run=_config_check)
    example = config_commands.add_parser("example", help="print a configuration that teaches")
    example.add_argument("--prices", action="store_true", help="print a price list instead")
    example.set_defaults(run=_config_example)

    key = commands.add_parser("key", help="API keys of apps")
    create = key.add_subparsers(metavar="COMMAND", required=True).add_parser(
        "create", help="make an API key and show it once"
    )
    create.add_argument("--app", required=True, help="the app's name; a new one is entered")
    create.add_argument(
        "--scope",
        action="append",
        choices=sorted(SCOPES),
        help="what it may do, repeatable (default: everything an app can)",
    )
    create.add_argument("--expires-days", type=int, metavar="N", help="(default: never)")
    create.add_argument("--json", action="store_true", help="for scripts")
    create.set_defaults(run=_key_create)

    prices = commands.add_parser("prices", help="what operations cost")
    apply = prices.add_subparsers(metavar="COMMAND", required=True).add_parser(
        "apply", help="put a price list in force, without a restart"
    )
    apply.add_argument("file", type=Path, nargs="?", help="(default: prices of the configuration)")
    apply.set_defaults(run=_prices_apply)
