"""The commands that look after chains."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from daemon.command_line.configured import config_of
from daemon.configuration.config import Chain, Config
from daemon.configuration.mistakes import nearest
from daemon.configuration.sources import Source
from daemon.processes.postgres import database
from daemon.processes.stopping import ended_with_parent
from ledger.errors import LedgerError
from ledger.late import aside_rows
from ledger.operating import Operating, ReorgDecision


def _chain(config: Config, name: str) -> Chain:
    """Return the chain of the configuration by its name. Raises LedgerError if there is none."""
    chains = {chain.name: chain for chain in config.chains}
    if name not in chains:
        raise LedgerError(f"{name} is no chain of the configuration: {nearest(name, chains)}")
    return chains[name]


def _source(config: Config, name: str) -> tuple[Chain, Source]:
    """Return a source of the configuration, and its chain. Raises LedgerError if there is none."""
    sources = {each.name: (chain, each) for chain in config.chains for each in chain.sources}
    if name not in sources:
        raise LedgerError(f"{name} is no source of the configuration: {nearest(name, sources)}")
    return sources[name]


def _reorg_show(options: Namespace) -> int:
    from daemon.command_line.reorgs import read_report  # noqa: PLC0415 - web3 takes a second others save

    config = config_of(options)
    chain = _chain(config, options.chain)
    with database(config.database, os.environ) as url:
        report = asyncio.run(read_report(url, chain))
    if report is None:
        raise LedgerError(f"the books know no chain {chain.name} yet: start `creditd watch` first")
    print(report.as_json() if options.json else report.render())
    return 1 if report.is_halted else 0


def _reorg_accept(options: Namespace) -> int:
    from daemon.command_line.reorgs import decided  # noqa: PLC0415 - as above

    async def run(url: str) -> ReorgDecision:
        async with Operating.open(url) as operating:
            return await operating.accept_reorg(
                options.chain, options.block, options.hash, by=options.by, reason=options.reason
            )

    with database(config_of(options).database, os.environ) as url:
        decision = asyncio.run(run(url))
    code, said = decided(options.chain, decision)
    if code:
        print(f"creditd: {said}", file=sys.stderr)
    else:
        print(said)
    return code


def _set_aside(options: Namespace) -> int:
    from daemon.command_line.making_good_report import aside_as_json, aside_as_text  # noqa: PLC0415 - as above

    with database(config_of(options).database, os.environ) as url:
        rows = asyncio.run(aside_rows(url, options.source))
    print(aside_as_json(rows) if options.json else aside_as_text(rows))
    return 1 if rows else 0


def _replay(options: Namespace) -> int:
    from daemon.command_line.making_good_report import replayed_as_json, replayed_as_text  # noqa: PLC0415
    from daemon.rereading.making_good import Replayed, replay  # noqa: PLC0415 - as above

    config = config_of(options)
    chain, source = _source(config, options.source)

    async def run(url: str) -> Replayed:
        with ended_with_parent(os.environ):
            return await replay(url, chain, source, options.first, options.last)

    with database(config.database, os.environ) as url:
        replayed = asyncio.run(run(url))
    said = replayed_as_json if options.json else replayed_as_text
    print(said(replayed, options.list))
    if replayed.trouble is not None:
        print(f"creditd: {replayed.trouble}: run it again for what is left", file=sys.stderr)
        return 2
    return 1 if replayed.kept else 0


def _verify(options: Namespace) -> int:
    from daemon.command_line.making_good_report import verified_as_json, verified_as_text  # noqa: PLC0415
    from daemon.rereading.making_good import verify  # noqa: PLC0415 - as above

    config = config_of(options)
    chain = _chain(config, options.chain)
    urls = [] if options.rpc is None else [options.rpc]
    with database(config.database, os.environ) as url:
        verified = asyncio.run(
            verify(url, chain, options.first, options.last, urls=urls, repair=options.repair)
        )
    print(verified_as_json(verified) if options.json else verified_as_text(verified))
    return 1 if verified.differences.any else 0


def _backfill(options: Namespace) -> int:
    from daemon.rereading.making_good import backfill  # noqa: PLC0415 - as above

    config = config_of(options)
    chain, source = _source(config, options.source)
    with database(config.database, os.environ) as url:
        done = asyncio.run(backfill(url, chain, source))
    print(
        f"{done.source}: blocks {done.first} to {done.last} are read, {done.admitted} event(s)"
        f" granted; {done.forgotten} pending event(s) of the chain will be read again: start the"
        " watcher with this configuration"
    )
    return 0


def _evidence(options: Namespace) -> int:
    from daemon.evidence_files.evidence_file import NoEvidence  # noqa: PLC0415 - as above

    try:
        return _check_evidence(options.check) if options.check else _gather_evidence(options)
    except (NoEvidence, UnicodeDecodeError) as error:
        raise LedgerError(str(error)) from error


def _check_evidence(path: Path) -> int:
    from daemon.evidence_files.evidence_file import FILE_BYTES_MAX  # noqa: PLC0415 - as above
    from daemon.evidence_files.grant_evidence import check  # noqa: PLC0415 - as above

    with path.open(encoding="utf-8") as file:
        checked = check(file.read(FILE_BYTES_MAX))
    print(checked.render())
    return 0 if checked.broken is None else 1


def _gather_evidence(options: Namespace) -> int:
    from daemon.evidence_files.gathering import gather  # noqa: PLC0415 - as above

    if options.account is None or options.grant is None:
        raise LedgerError("name --account and --grant, or --check and a file")
    config = config_of(options)
    with database(config.database, os.environ) as url:
        print(asyncio.run(gather(url, config, options.account, options.grant)))
    return 0


def _rewind(options: Namespace) -> int:
    from daemon.rereading.making_good import rewind  # noqa: PLC0415 - as above

    config = config_of(options)
    chain = _chain(config, options.chain)
    with database(config.database, os.environ) as url:
        count = asyncio.run(rewind(url, chain, options.to))
    print(
        f"{chain.name}: what is above block {options.to} is forgotten, with {count} pending"
        " event(s): its watcher reads it again"
    )
    return 0


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "reorg show": _reorg_show,
        "reorg accept": _reorg_accept,
        "set-aside": _set_aside,
        "replay": _replay,
        "verify": _verify,
        "backfill": _backfill,
        "rewind": _rewind,
        "evidence": _evidence,
    }
)
