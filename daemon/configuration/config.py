"""The configuration: one TOML file, read once at start into values that cannot be wrong."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.events import EventType
from daemon.chain.known_chains import Confirmation, Depth, Finalized
from daemon.configuration.addresses import read_url
from daemon.configuration.chain_settings import Chain, read_chain
from daemon.configuration.mistakes import ConfigError, Mistake, Mistakes, shown
from daemon.configuration.public_url import read_public_url
from daemon.configuration.rates import RATE_WANTED, parse_rate
from daemon.configuration.receivers import Receiver, read_receivers
from daemon.configuration.secret_url import SecretUrl
from daemon.configuration.sources import Source
from daemon.configuration.toml_reader import Table, parse_toml
from ledger.api_key_terms import Rate

__all__ = [
    "Api",
    "Chain",
    "Config",
    "ConfigError",
    "Confirmation",
    "Database",
    "Depth",
    "Finalized",
    "Mistake",
    "Receiver",
    "SecretUrl",
    "Source",
    "example_config",
    "example_prices",
    "load_config",
]

PORT_MAX: Final = 65_535
# Each lane holds one connection of the database, which has 100 by default.
LANES_MAX: Final = 64
# At a millisecond each, what waits longer has been given up by its caller.
QUEUE_MAX: Final = 1_000_000

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?", re.ASCII)

PAGE_URL_MAX: Final = 500  # every 402 carries it

_PAGE: Final = re.compile(r"https?://[^\s/?#]+[!-~]*", re.ASCII)
_PAGE_WANTED: Final = 'the address of a page, such as "https://credits.example/earn"'


@dataclass(frozen=True, slots=True)
class Database:
    """Where the books are: `url`, or None for the embedded PostgreSQL that lives in `data_dir`."""

    url: SecretUrl | None
    data_dir: Path


@dataclass(frozen=True, slots=True)
class Api:
    """How the API listens and how many charges it lets wait; `prices` is its price list's path.

    Port 0 lets the system choose one. `public_url` is the origin by which people know it, which
    signing in by a wallet needs. `earn_url` and `top_up_url` are pages for whoever lacks credits.
    """

    host: str
    port: int
    lanes: int
    queue_max: int
    prices: Path
    public_url: str | None = None
    rate_limit: Rate | None = None
    earn_url: str | None = None
    top_up_url: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """`[operator]`: where `creditd serve` listens for operators."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `creditd.toml` says. Without `operator` nobody listens for operators."""

    database: Database
    api: Api
    chains: tuple[Chain, ...]
    webhooks: tuple[Receiver, ...] = ()
    operator: Operator | None = None


def load_config(
    path: Path, environ: Mapping[str, str], *, events: Mapping[str, EventType]
) -> Config:
    """Return what the file at `path` says, complete and checked.

    `environ` fills in `$NAME` and `${NAME}` in addresses; `events` are those a source may follow
    by name. Relative paths in the file are relative to its folder. Raises ConfigError with every
    mistake in the file.
    """
    document = parse_toml(path)
    mistakes = Mistakes(path, document)
    root = Table(document, (), mistakes)
    chains: list[tuple[Table, Chain]] = []
    sources: list[tuple[Table, Source]] = []
    database = _read_database(root.table("database", wanted="a table, [database]"), path, environ)
    api = _read_api(root.table("api", wanted="a table, [api]"), path)
    operator = _read_operator(root.table("operator", wanted="a table, [operator]"), api)
    for table in root.tables("chains", wanted="one or more tables headed [[chains]]"):
        chain, followed = read_chain(table, environ, events)
        chains.append((table, chain))
        sources.extend(followed)
    webhooks = read_receivers(root, environ)
    root.refuse_unknown()
    _refuse_repeats("chain_id", ((table, chain.chain_id) for table, chain in chains))
    _refuse_repeats("name", ((table, chain.name) for table, chain in chains))
    _refuse_repeats("name", ((table, source.name) for table, source in sources))
    _refuse_repeats("name", ((table, receiver.name) for table, receiver in webhooks))
    mistakes.raise_any()
    return Config(
        database,
        api,
        tuple(chain for _, chain in chains),
        tuple(receiver for _, receiver in webhooks),
        operator,
    )


def example_config() -> str:
    """Return a configuration that works with a local chain, with every setting explained."""
    return Path(__file__).with_name("creditd.example.toml").read_text(encoding="utf-8")


def example_prices() -> str:
    """Return a price list with every kind of price explained."""
    return Path(__file__).with_name("prices.example.toml").read_text(encoding="utf-8")


def _read_database(table: Table, path: Path, environ: Mapping[str, str]) -> Database:
    url = None
    if table.value("url") is not None:
        url = read_url(table, "url", ("postgresql", "postgres"), environ)
    database = Database(url, _read_path(table, "data_dir", path, default=".creditd"))
    table.refuse_unknown()
    return database


def _read_api(table: Table, path: Path) -> Api:
    api = Api(
        host=_read_host(table),
        port=table.integer("port", at_least=0, at_most=PORT_MAX, default=8402),
        lanes=table.integer("lanes", at_least=1, at_most=LANES_MAX, default=1),
        queue_max=table.integer("queue_max", at_least=1, at_most=QUEUE_MAX, default=4096),
        prices=_read_path(table, "prices", path, default="prices.toml"),
        public_url=read_public_url(table, "public_url"),
        rate_limit=_read_rate(table),
        earn_url=_read_page(table, "earn_url"),
        top_up_url=_read_page(table, "top_up_url"),
    )
    table.refuse_unknown()
    return api


def _read_page(table: Table, key: str) -> str | None:
    """Return the address of a page that answers refer to, if one is given."""
    if table.value(key) is None:
        return None
    text = table.text(key, wanted=_PAGE_WANTED, default="https://credits.example")
    if len(text) > PAGE_URL_MAX or _PAGE.fullmatch(text) is None:
        table.mistake(key, f"is not {_PAGE_WANTED} (got {shown(text)})")
        return None
    return text


def _read_rate(table: Table) -> Rate | None:
    if table.value("rate_limit") is None:
        return None
    text = table.text("rate_limit", wanted=RATE_WANTED, default="1/s")
    try:
        return parse_rate(text)
    except ValueError as error:
        table.mistake("rate_limit", f"{error} (got {shown(text)})")
        return None


def _read_operator(table: Table, api: Api) -> Operator | None:
    host = _read_host(table)
    if table.value("port") is None:
        if table.value("host") is not None:
            table.mistake("port", "is missing: without a port nobody listens for operators")
        table.refuse_unknown()
        return None
    operator = Operator(host, table.integer("port", at_least=0, at_most=PORT_MAX, default=8403))
    if operator.port == api.port != 0:
        table.mistake("port", f"{operator.port} is the port of [api]: choose another")
    table.refuse_unknown()
    return operator


def _read_host(table: Table) -> str:
    wanted = 'a host name or an IP address, without port, such as "127.0.0.1"'
    host = table.text("host", wanted=wanted, default="127.0.0.1")
    if host and not _is_host(host):
        table.mistake("host", f"must be {wanted} (got {shown(host)})")
    return host


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # Digits and points alone are a mistyped IPv4 address, not a name.
        return bool(_HOST_NAME.fullmatch(text)) and not re.fullmatch(r"[0-9.]+", text)
    return True


def _read_path(table: Table, key: str, config_path: Path, *, default: str) -> Path:
    text = table.text(key, wanted=f'a path such as "{default}"', default=default)
    if "$" in text or text.startswith("~"):
        table.mistake(
            key,
            "must be written out: $ and ~ are not filled in here"
            " (a relative path starts from this file's folder)",
        )
    return config_path.parent / text


def _refuse_repeats(key: str, values: Iterable[tuple[Table, object]]) -> None:
    first: dict[object, Table] = {}
    for table, value in values:
        if not table.sound(key):
            continue
        earlier = first.setdefault(value, table)
        if earlier is not table:
            table.mistake(
                key,
                f"{shown(value)} is also {earlier.place(key)}:"
                " it stands for one thing in the books, so choose another",
            )
