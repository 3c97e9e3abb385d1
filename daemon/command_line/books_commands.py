"""The commands that look at the books, check them and hand them out."""

import asyncio
import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Final

import structlog

from daemon.command_line.configured import config_of
from daemon.command_line.exporting import write_export
from daemon.command_line.exposure_report import exposure_as_json, exposure_as_text
from daemon.command_line.status import read_status
from daemon.processes.postgres import database
from ledger.alarms import note_audit
from ledger.audit import as_json, audit, render
from ledger.errors import LedgerError
from ledger.export import verifier
from ledger.exposure import exposure

log = structlog.get_logger()


def _migrate(options: Namespace) -> int:
    from ledger.migrate import migrate  # noqa: PLC0415 - half a second that the others save

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


def _exposure(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        report = asyncio.run(exposure(url, options.chain, options.block))
    if report is None:
        raise LedgerError(f"the books know no chain {options.chain}: `creditd status` lists them")
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


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "migrate": _migrate,
        "status": _status,
        "audit": _audit,
        "exposure": _exposure,
        "export": _export,
    }
)
