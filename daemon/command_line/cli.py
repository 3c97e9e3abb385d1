"""The command line: it puts the parts together and turns what goes wrong into one clear line."""

import asyncio
import gc
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from io import TextIOWrapper
from types import MappingProxyType
from typing import Final

import structlog
import uvloop

from api.endpoints import ENDPOINTS, PUBLIC_ENDPOINTS
from api.metrics import Metrics
from api.pricing.price_file import PricesError, read_prices
from api.problems.shortfall import Helps
from api.serve import CannotListen, listening, operator_listening
from daemon.chain.known_chains import chains_as_json, chains_as_text
from daemon.chain.unfit import Unfit
from daemon.command_line.account_commands import ACCOUNT_COMMANDS
from daemon.command_line.arguments import parser
from daemon.command_line.chain_commands import CHAIN_COMMANDS
from daemon.command_line.command_parts import config_of
from daemon.command_line.exporting import write_export
from daemon.command_line.exposure_report import exposure_as_json, exposure_as_text
from daemon.command_line.key_commands import KEY_COMMANDS
from daemon.command_line.prices_commands import PRICES_COMMANDS, apply_prices
from daemon.command_line.receivers_status import receivers_as_json, receivers_as_text
from daemon.command_line.signing_in import sign_in_terms
from daemon.command_line.status import read_status
from daemon.command_line.up import up
from daemon.configuration.config import ConfigError, example_config, example_prices
from daemon.processes.anvil import AnvilFailed, AnvilMissing
from daemon.processes.log_lines import configure_logs
from daemon.processes.postgres import EmbeddedFailed, database
from daemon.processes.stopping import stop_event, stop_on_signals
from ledger.alarms import note_audit
from ledger.audit import as_json, audit, render
from ledger.errors import LedgerError, LedgerUnavailable, RuleConflict
from ledger.export import verifier
from ledger.exposure import exposure
from ledger.outbox import receiver_rows, retry_dead

EXPLAINED: Final = (
    ConfigError,
    PricesError,
    LedgerError,
    EmbeddedFailed,
    Unfit,
    CannotListen,
    AnvilMissing,
    AnvilFailed,
    OSError,
)

log = structlog.get_logger()


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
        code = COMMANDS[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except EXPLAINED as error:
        for line in _explanation(error).splitlines():
            print(f"creditd: {line}", file=sys.stderr)
        return 2
    return code


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


def _up(options: Namespace) -> int:
    from ledger.migrate import migrate  # noqa: PLC0415 - half a second that most commands save

    config = config_of(options)
    path = config.api.prices
    prices = read_prices(path) if path.exists() else []
    with database(config.database, os.environ, make=True) as url:
        migrate(url)
        if not prices:
            remedy = f"creditd config example --prices > {path}"
            log.warning("no price list: the prices in the books stay", remedy=remedy)
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

        async def run() -> int:
            async with stop_event(os.environ) as stop:
                return await up(options.config, os.environ, stop)

        return uvloop.run(run())


def _watch(options: Namespace) -> int:
    config = config_of(options)
    from daemon.jobs.watch import watch  # noqa: PLC0415 - web3 takes a second that the others save

    async def run(url: str) -> None:
        async with stop_event(os.environ) as stop:
            await watch(config, url, stop)

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _serve(options: Namespace) -> int:
    config = config_of(options)

    operator = config.operator

    async def run(url: str) -> None:
        metrics = Metrics()
        async with stop_event(os.environ) as stop, AsyncExitStack() as stack:
            sign_in = await stack.enter_async_context(sign_in_terms(config))
            api_url = await stack.enter_async_context(
                listening(
                    url,
                    host=config.api.host,
                    port=config.api.port,
                    lanes=config.api.lanes,
                    queue_max=config.api.queue_max,
                    rate_limit=config.api.rate_limit,
                    helps=Helps(config.api.earn_url, config.api.top_up_url),
                    endpoints=ENDPOINTS if operator is None else PUBLIC_ENDPOINTS,
                    sign_in=sign_in,
                    metrics=metrics,
                )
            )
            if operator is not None:
                operator_url = await stack.enter_async_context(
                    operator_listening(url, host=operator.host, port=operator.port, metrics=metrics)
                )
                log.info("listening for operators", url=operator_url)
            log.info("listening", url=api_url)
            # What is here now stays: no collection looks at all of it again, on charges' time.
            gc.collect()
            gc.freeze()
            await stop.wait()

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _migrate(options: Namespace) -> int:
    from ledger.migrate import migrate  # noqa: PLC0415 - as above

    with database(config_of(options).database, os.environ, make=True) as url:
        before, after = migrate(url)
    came = "" if before == after else f" (were at {before})" if before else " (they are new)"
    print(f"the books are at version {after}{came}")
    return 0


def _status(options: Namespace) -> int:
    config = config_of(options)
    with database(config.database, os.environ) as url:
        report = asyncio.run(read_status(url, config.chains))
    print(json.dumps(report.as_json(), indent=2) if options.json else report.render())
    return 0 if report.well else 1


def _audit(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        report = asyncio.run(audit(url, account=options.account))
        if options.account is None:
            try:
                asyncio.run(note_audit(url, report))
            except LedgerError as error:  # a standby cannot be written to
                log.warning("`creditd status` will not know of this audit", trouble=str(error))
    print(as_json(report) if options.json else render(report))
    return 0 if report.balanced else 1


def _chains(options: Namespace) -> int:
    print(chains_as_json() if options.json else chains_as_text())
    return 0


def _config_check(options: Namespace) -> int:
    config = config_of(options)
    prices = config.api.prices
    operations = (
        len({price.operation for price in read_prices(prices)}) if prices.exists() else None
    )
    sources = sum(len(chain.sources) for chain in config.chains)
    print(
        f"{options.config}: {_count(len(config.chains), 'chain')}, {_count(sources, 'source')},"
        " no mistakes"
    )
    if operations is None:
        print(f"{prices}: not there yet: `creditd config example --prices > {prices}` begins one")
    else:
        print(f"{prices}: {_count(operations, 'operation')}, no mistakes")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _config_example(options: Namespace) -> int:
    print(example_prices() if options.prices else example_config(), end="")
    return 0


def _exposure(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        report = asyncio.run(exposure(url, options.chain, options.block))
    if report is None:
        print(f"creditd: the books know no chain {options.chain}", file=sys.stderr)
        return 1
    print(exposure_as_json(report) if options.json else exposure_as_text(report))
    return 0


def _export(options: Namespace) -> int:
    if options.verifier:
        print(verifier(), end="")
        return 0
    with database(config_of(options).database, os.environ) as url:
        exported = write_export(url, options.out, options.account)
    log.info("exported", **asdict(exported))
    return 0


def _webhooks_status(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        rows = asyncio.run(receiver_rows(url))
    print(receivers_as_json(rows) if options.json else receivers_as_text(rows))
    return 1 if any(row.dead for row in rows) else 0


def _webhooks_retry(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        count = asyncio.run(retry_dead(url, options.name))
    print(f"{_count(count, 'message')} of {options.name} will be tried again")
    return 0


def _demo(options: Namespace) -> int:
    try:
        from daemon import demo  # noqa: PLC0415 - what it needs, servers have no use for
    except ModuleNotFoundError as error:
        raise OSError(f"the demo needs the package {error.name}: run `make setup`") from error
    return demo.run(check=options.check)


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "up": _up,
        "watch": _watch,
        "serve": _serve,
        "migrate": _migrate,
        "status": _status,
        "audit": _audit,
        "chains": _chains,
        "exposure": _exposure,
        "export": _export,
        "demo": _demo,
        "config check": _config_check,
        "config example": _config_example,
        **KEY_COMMANDS,
        "webhooks status": _webhooks_status,
        "webhooks retry": _webhooks_retry,
        **ACCOUNT_COMMANDS,
        **CHAIN_COMMANDS,
        **PRICES_COMMANDS,
    }
)
