"""The commands that tell of configurations, and need no database."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from api.pricing.price_file import read_prices
from daemon.chain.known_chains import chains_as_json, chains_as_text
from daemon.command_line.command_parts import count_of
from daemon.command_line.configured import config_of
from daemon.configuration.config import example_config, example_prices


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
        f"{options.config}: {count_of(len(config.chains), 'chain')}, {count_of(sources, 'source')},"
        " no mistakes"
    )
    if operations is None:
        print(f"{prices}: not there yet: `creditd config example --prices > {prices}` begins one")
    else:
        print(f"{prices}: {count_of(operations, 'operation')}, no mistakes")
    return 0


def _config_example(options: Namespace) -> int:
    print(example_prices() if options.prices else example_config(), end="")
    return 0


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "chains": _chains,
        "config check": _config_check,
        "config example": _config_example,
    }
)
