"""The parts of the demo, each started as soon as what it needs is there."""

import secrets
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from api.identity.keys import new_api_key
from api.pricing.price_file import parse_prices
from daemon.chain.rpc import Node
from daemon.demo.checks import Checks
from daemon.demo.doors import Api, Shop
from daemon.demo.printing import Printer, shown
from daemon.demo.sample_app import selling
from daemon.demo.stage import Customer, Stage
from daemon.demo.terms import (
    CONFIRMATIONS,
    MINING,
    PRICES,
    STAKES,
    TOKEN,
    expected_credits,
    prices_path,
    write_terms,
)
from daemon.demo.town import MINED_TOKENS, Town
from daemon.processes.anvil import Anvil, find_anvil
from daemon.processes.children import child
from daemon.processes.postgres import embedded
from ledger.migrate import migrate
from ledger.operating import Operating
from ledger.scratch import scratch_database

SCOPES: Final = ("charge:write", "balance:read", "accounts:attest")
PROGRAMS: Final = ("watch", "serve")


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts are put, and what has been started of them.

    The programs, by the names of their commands, write their logs to `log_path`, in `folder`;
    `stack` ends what was started.
    """

    folder: Path
    log_path: Path
    environ: Mapping[str, str]
    stack: AsyncExitStack
    printer: Printer
    checks: Checks
    programs: dict[str, Process]


def ended(programs: Mapping[str, Process]) -> list[str]:
    """Say which programs ended though nobody told them to."""
    return [
        f"creditd {name} ended by itself, with exit code {program.returncode}"
        for name, program in programs.items()
        if program.returncode is not None
    ]


@dataclass(frozen=True, slots=True)
class Started:
    """Everything running, and how to reach it."""

    stage: Stage
    database_url: str
    api_url: str
    app_url: str
    api_key: str


async def start(parts: Parts) -> Started:
    """Start everything. Raises StepFailed, and what each part raises that cannot start."""
    printer, stack = parts.printer, parts.stack
    find_anvil()  # before anything else is started in vain
    printer.tick("starting PostgreSQL", everywhere=False)
    with _interrupts_waiting():
        database_url = stack.enter_context(_database(parts))
    migrate(database_url)
    printer.tick("starting anvil, deploying the contracts", everywhere=False)
    anvil = await stack.enter_async_context(Anvil.start())
    town = await Town.build(await stack.enter_async_context(Node(anvil.url)), parts.checks)
    _print_chain(printer, anvil, town)
    api_url = f"http://127.0.0.1:{_free_port()}"
    config = _write(parts.folder, anvil, town, api_url)
    api_key = await _enter(database_url, config)
    printer.tick("starting the watcher and the API", everywhere=False)
    api = await _run_programs(parts, config, database_url, api_url, api_key)
    customers = {
        earner.name: Customer(
            await api.open_wallet(town.chain_id, earner.address),
            f"{earner.name.lower()}-{secrets.token_hex(4)}",
        )
        for earner in town.earners
    }
    app_url = await stack.enter_async_context(
        selling(
            {customer.token: customer.account for customer in customers.values()},
            creditd_url=api_url,
            api_key=api_key,
        )
    )
    shop = Shop(await stack.enter_async_context(_client(app_url)))
    stage = Stage(town, api, shop, customers, parts.checks)
    await stage.follow(await town.head_number())
    printer.tick("")
    printer.fact("API", f"{api_url}, one process; the watcher is another")
    printer.fact("API key", f"{api_key}, the sample app's")
    printer.fact("sample app", f"{app_url}, charges before it works")
    return Started(stage, database_url, api_url, app_url, api_key)


def _database(parts: Parts) -> AbstractContextManager[str]:
    given = parts.environ.get("DATABASE_URL")
    if given:
        parts.printer.fact("books", "a new database on the server of DATABASE_URL, dropped later")
        return scratch_database(given)
    parts.printer.fact("books", "PostgreSQL 18, embedded, in a temporary folder")
    return embedded(parts.folder / "postgres")


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Let a Ctrl-C wait, for us and for the programs that are started meanwhile.

    It reaches a terminal's whole process group: `pg_ctl` would give up half-way, and leave a
    server behind that stops by itself while its folder is removed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _print_chain(printer: Printer, anvil: Anvil, town: Town) -> None:
    printer.fact("chain", f"anvil, chain {town.chain_id}, {anvil.url}")
    for name, contract in (("contracts", town.staking), ("", town.mineable)):
        printer.fact(name, f"{contract.artifact.name:<14} 0x{contract.address.hex()}")
    stake, mined = expected_credits(STAKES, TOKEN), expected_credits(MINING, MINED_TOKENS * TOKEN)
    printer.fact(
        "earning",
        f"{shown(stake)} credits for 1 STK staked, {shown(mined)} for {MINED_TOKENS} MND mined,"
        f" {CONFIRMATIONS} blocks later",
    )
    prices = ", ".join(f"{name} {shown(price)}" for name, price in PRICES.items())
    printer.fact("prices", f"{prices} credits")


def _write(folder: Path, anvil: Anvil, town: Town, api_url: str) -> Path:
    return write_terms(
        folder,
        api_port=int(api_url.rpartition(":")[2]),
        chain_id=town.chain_id,
        rpc_url=anvil.url,
        staking=town.staking.address,
        mineable=town.mineable.address,
        from_block=town.staking.block_number,
    )


async def _enter(database_url: str, config: Path) -> str:
    """Put the prices in force, and give the sample app an API key."""
    key = new_api_key()
    async with Operating.open(database_url) as operating:
        prices = prices_path(config).read_text(encoding="utf-8")
        await operating.apply_prices(parse_prices(prices))
        await operating.create_app_key(
            app="sample-app", scopes=SCOPES, digest=key.digest, hint=key.hint
        )
    return key.text


async def _run_programs(
    parts: Parts, config: Path, database_url: str, api_url: str, api_key: str
) -> Api:
    """Run the watcher and the API as they always run, and wait until the API answers."""
    environ = {**parts.environ, "DATABASE_URL": database_url}
    log = parts.stack.enter_context(parts.log_path.open("ab"))
    for name in PROGRAMS:
        parts.programs[name] = await parts.stack.enter_async_context(
            child(["--config", str(config), name], environ, log)
        )
    # Told together, they end beside each other; the stack then waits for one after the other.
    parts.stack.callback(_terminate, parts.programs.values())
    http = _client(api_url, {"Authorization": f"Bearer {api_key}"})
    api = Api(await parts.stack.enter_async_context(http))

    await parts.checks.until("the API is ready", api.is_ready, bool)
    return api


def _client(url: str, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
    # A proxy of the environment has no business on the loopback.
    return httpx2.AsyncClient(base_url=url, headers=dict(headers or {}), trust_env=False)


def _terminate(programs: Iterable[Process]) -> None:
    for program in programs:
        if program.returncode is None:
            with suppress(ProcessLookupError):
                program.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
