"""The commands that run until they are told to stop.

Each imports what it runs when it is called: a watcher has no use for the API, nor the API for web3.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import structlog
import uvloop

from daemon.command_line.configured import config_of
from daemon.processes.postgres import database
from daemon.processes.stopping import stop_event

log = structlog.get_logger()


def _up(options: Namespace) -> int:
    from daemon.command_line.up import prepare, price_list, up

    config = config_of(options)
    prices = price_list(config.api.prices)  # before a database is made for what has a mistake
    with database(config.database, os.environ, make=True) as url:
        prepare(url, prices)

        async def run() -> int:
            async with stop_event(os.environ) as stop:
                return await up(options.config, os.environ, stop)

        return uvloop.run(run())


def _watch(options: Namespace) -> int:
    config = config_of(options)
    from daemon.jobs.watch import watch

    async def run(url: str) -> None:
        async with stop_event(os.environ) as stop:
            await watch(config, url, stop)

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _serve(options: Namespace) -> int:
    config = config_of(options)
    from daemon.command_line.replaying import Replayer
    from daemon.command_line.serving import serve

    async def run(url: str) -> None:
        async with stop_event(os.environ) as stop:
            await serve(config, url, stop, Replayer(options.config, os.environ))

    with database(config.database, os.environ) as url:
        uvloop.run(run(url))
    return 0


def _demo(options: Namespace) -> int:
    try:
        from daemon import demo
    except ModuleNotFoundError as error:
        raise OSError(f"the demo needs the package {error.name}: run `make setup`") from error
    return demo.run(check=options.check)


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {"up": _up, "watch": _watch, "serve": _serve, "demo": _demo}
)
