"""The commands that look after chains."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from contracts.catalogue import EVENTS
from daemon.config import Chain, Config, load_config
from daemon.mistakes import nearest
from daemon.postgres import database
from daemon.reorgs import decided, read_report
from ledger.errors import LedgerError
from ledger.operating import Operating, ReorgDecision


def _config(options: Namespace) -> Config:
    return load_config(options.config, os.environ, events=EVENTS)


def _chain(config: Config, name: str) -> Chain:
    """Return the chain of the configuration by its name. Raises LedgerError if there is none."""
    chains = {chain.name: chain for chain in config.chains}
    if name not in chains:
        raise LedgerError(f"{name} is no chain of the configuration: {nearest(name, chains)}")
    return chains[name]


def _reorg_show(options: Namespace) -> int:
    config = _config(options)
    chain = _chain(config, options.chain)
    with database(config.database, os.environ) as url:
        report = asyncio.run(read_report(url, chain))
    if report is None:
        print(f"creditd: the books know no chain {chain.name}", file=sys.stderr)
        return 1
    print(report.as_json() if options.json else report.render())
    return 1 if report.is_halted else 0


def _reorg_accept(options: Namespace) -> int:
    async def run(url: str) -> ReorgDecision:
        async with Operating.open(url) as operating:
            return await operating.accept_reorg(
                options.chain, options.block, options.hash, by=options.by, reason=options.reason
            )

    with database(_config(options).database, os.environ) as url:
        decision = asyncio.run(run(url))
    code, said = decided(options.chain, decision)
    if code:
        print(f"creditd: {said}", file=sys.stderr)
    else:
        print(said)
    return code


CHAIN_COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "reorg show": _reorg_show,
        "reorg accept": _reorg_accept,
    }
)
