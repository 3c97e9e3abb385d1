"""The configuration: one TOML file, read once at start into values that cannot be wrong."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from contracts.events import EventType
from daemon.addresses import read_rpc_urls, read_url
from daemon.mistakes import ConfigError, Mistake, Mistakes, shown
from daemon.receivers import Receiver, read_receivers
from daemon.secret_url import SecretUrl
from daemon.sources import Source, read_name, read_source, refuse_double_pay
from daemon.toml_reader import Table, parse_toml

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

# EIP-2294: what wallets can still sign for; it fits a bigint.
CHAIN_ID_MAX: Final = 2**63 - 37
# Exchanges waited 80,640 blocks for Ethereum Classic in its worst year: more is a typing error.
DEPTH_MAX: Final = 100_000
# Oftener only burdens the node; more seldom than every ten minutes looks like an outage.
POLL_MS_MIN: Final = 100
POLL_MS_MAX: Final = 600_000
# One step is one transaction: a larger one keeps its locks and its memory for too long.
SPAN_MAX: Final = 10_000
# Ethereum's finality lags by up to 96 blocks on an ordinary day, and reorgs happen above it.
BLOCKS_REMEMBERED_MIN: Final = 128
BLOCKS_REMEMBERED_MAX: Final = 1_000_000
# A watcher that leads a chain is heard of at every turn and every step. The slowest step, hundreds
# of full blocks from a slow node that needs every try, takes less than two minutes.
ALARM_SECONDS_MIN: Final = 120
ALARM_SECONDS_MAX: Final = 30_000_000  # nearly a year: as good as none
PORT_MAX: Final = 65_535
# Each lane holds one connection of the database, which has 100 by default.
LANES_MAX: Final = 64
# At a millisecond each, what waits longer has been given up by its caller.
QUEUE_MAX: Final = 1_000_000

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?", re.ASCII)
_CONFIRMATION_WANTED: Final = (
    'confirmation = "finalized" where the chain has finality (Ethereum and its rollups, Polygon,'
    " BNB Chain, Gnosis), or confirmation = { depth = 12 } where it has none: the number of blocks"
    " on top after which you no longer expect a reorg (Ethereum Classic: 10000)"
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where the books are: `url`, or None for the embedded PostgreSQL that lives in `data_dir`."""

    url: SecretUrl | None
    data_dir: Path


@dataclass(frozen=True, slots=True)
class Api:
    """How the API listens and how many charges it lets wait; `prices` is its price list's path.

    Port 0 lets the system choose one.
    """

    host: str
    port: int
    lanes: int
    queue_max: int
    prices: Path


@dataclass(frozen=True, slots=True)
class Finalized:
    """A block is confirmed when the node's `finalized` tag has reached it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A block is confirmed when `blocks` blocks stand on top of it."""

    blocks: int


Confirmation = Finalized | Depth


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, when its blocks count, and what earns on it.

    `rpc_urls` are its nodes, the preferred first; `agree` of them must show a block before it is
    confirmed. `span_max` and `blocks_remembered` are numbers of blocks: read in one step at most,
    and kept below the head to find where a reorg began. It is an alarm if nothing is read for
    `alarm_after_seconds`, or if the last confirmed block is `finality_alarm_seconds` older than the
    last one read.
    """

    name: str
    chain_id: int
    rpc_urls: tuple[SecretUrl, ...]
    confirmation: Confirmation
    on_deep_reorg: Literal["halt", "reverse"]
    poll_ms: int
    span_max: int
    blocks_remembered: int
    sources: tuple[Source, ...]
    agree: int = 1
    alarm_after_seconds: int = 120
    finality_alarm_seconds: int = 3_600


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `creditd.toml` says."""

    database: Database
    api: Api
    chains: tuple[Chain, ...]
    webhooks: tuple[Receiver, ...] = ()


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
    for table in root.tables("chains", wanted="one or more tables headed [[chains]]"):
        followed = _read_sources(table, events)
        chains.append((table, _read_chain(table, environ, [source for _, source in followed])))
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
        lanes=table.integer("lanes", at_least=1, at_most=LANES_MAX, default=2),
        queue_max=table.integer("queue_max", at_least=1, at_most=QUEUE_MAX, default=4096),
        prices=_read_path(table, "prices", path, default="prices.toml"),
    )
    table.refuse_unknown()
    return api


def _read_chain(table: Table, environ: Mapping[str, str], sources: Iterable[Source]) -> Chain:
    rpc_urls, confirmation = read_rpc_urls(table, environ), _read_confirmation(table)
    chain = Chain(
        name=read_name(table),
        chain_id=table.integer("chain_id", at_least=1, at_most=CHAIN_ID_MAX),
        rpc_urls=rpc_urls,
        agree=table.integer("agree", at_least=1, at_most=len(rpc_urls), default=1),
        confirmation=confirmation,
        on_deep_reorg=_read_on_deep_reorg(table),
        poll_ms=table.integer("poll_ms", at_least=POLL_MS_MIN, at_most=POLL_MS_MAX, default=2_000),
        span_max=table.integer("span_max", at_least=1, at_most=SPAN_MAX, default=500),
        blocks_remembered=table.integer(
            "blocks_remembered",
            at_least=BLOCKS_REMEMBERED_MIN,
            at_most=BLOCKS_REMEMBERED_MAX,
            default=10_000,
        ),
        sources=tuple(sources),
        alarm_after_seconds=table.integer(
            "alarm_after_seconds",
            at_least=ALARM_SECONDS_MIN,
            at_most=ALARM_SECONDS_MAX,
            default=120,
        ),
        finality_alarm_seconds=table.integer(
            "finality_alarm_seconds",
            at_least=ALARM_SECONDS_MIN,
            at_most=ALARM_SECONDS_MAX,
            default=_finality_alarm_seconds(confirmation),
        ),
    )
    _check_reorg_rules(table, chain)
    table.refuse_unknown()
    return chain


def _finality_alarm_seconds(confirmation: Confirmation) -> int:
    match confirmation:
        case Finalized():  # Ethereum takes a quarter of an hour, a rollup's batches half of one
            return 3_600
        case Depth(blocks=depth):  # no chain that goes by depth takes a minute for a block
            return min(600 + 60 * depth, ALARM_SECONDS_MAX)


def _read_sources(chain: Table, events: Mapping[str, EventType]) -> list[tuple[Table, Source]]:
    tables = chain.tables("sources", wanted="one or more tables headed [[chains.sources]]")
    read = [(table, read_source(table, events=events)) for table in tables]
    refuse_double_pay(read)
    return read


def _read_confirmation(table: Table) -> Confirmation:
    value = table.value("confirmation")
    if value == "finalized":
        return Finalized()
    if isinstance(value, dict):
        depth = table.table("confirmation", wanted=_CONFIRMATION_WANTED)
        confirmation = Depth(depth.integer("depth", at_least=1, at_most=DEPTH_MAX))
        depth.refuse_unknown()
        return confirmation
    if value is None:
        table.missing("confirmation", _CONFIRMATION_WANTED)
    elif value in ("safe", "latest"):
        table.mistake(
            "confirmation",
            f"cannot be {shown(value)}: such blocks may still be reorganised away after their"
            f" credits are spent. Write {_CONFIRMATION_WANTED}",
        )
    else:
        table.mistake("confirmation", f"is {shown(value)}. Write {_CONFIRMATION_WANTED}")
    return Finalized()


def _read_on_deep_reorg(table: Table) -> Literal["halt", "reverse"]:
    wanted = '"halt" (grants stop until a person decides) or "reverse" (grants are taken back)'
    choice = table.text("on_deep_reorg", wanted=wanted, default="halt")
    if choice == "reverse":
        return "reverse"
    if choice not in ("halt", ""):
        table.mistake("on_deep_reorg", f"must be {wanted} (got {shown(choice)})")
    return "halt"


def _check_reorg_rules(table: Table, chain: Chain) -> None:
    match chain.confirmation:
        case Depth(blocks=depth):
            if (
                table.sound("confirmation", "blocks_remembered")
                and chain.blocks_remembered <= depth
            ):
                table.mistake(
                    "blocks_remembered",
                    f"is {chain.blocks_remembered}, but the confirmed block is {depth} below the"
                    f" head: write {depth + 1} at least, to find where a reorg above it began",
                )
        case Finalized():
            if table.sound("confirmation") and chain.on_deep_reorg == "reverse":
                table.mistake(
                    "on_deep_reorg",
                    'must be "halt" where confirmation is "finalized": a chain that goes back on'
                    " its finality, or a node that lies about it, is for a person to judge",
                )


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
