"""What the tests stand on: a real PostgreSQL, with a fresh set of books for each test."""

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from proxies import program
from sqlalchemy import make_url

from daemon.chain.rpc import RECURSION_LIMIT
from daemon.processes.anvil import AnvilMissing, find_anvil
from daemon.processes.postgres import embedded
from ledger.errors import AnotherLeader
from ledger.migrate import migrate
from ledger.operator_acts import Signature
from ledger.watching import ChainEntry, RuleEntry, SeenBlock, SeenEvent, Watching

if TYPE_CHECKING:
    from live_api import LiveApi
    from signing_person import Person

CHAIN_ID = 31337
LEAD_TRIES_MAX = 500  # five seconds, where a server that is busy takes some hundredths of one
ASKED = Signature("ops", "asked")  # by whom and why, where that does not matter
GENESIS = hashlib.sha256(b"genesis").digest()


def pytest_collection_finish() -> None:
    """Undo what the test-only chains do to every process that imports them, as the product does."""
    sys.setrecursionlimit(RECURSION_LIMIT)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs anvil or a proxy where there is none; where there must be one, fail."""
    for mark in item.iter_markers("proxy"):
        if program(mark.args[0]) is None:
            missing_proxy = f"there is no {mark.args[0]} here: apt-get install caddy nginx-light"
            if os.environ.get("CREDITD_REQUIRE_PROXIES") == "1":
                pytest.fail(missing_proxy, pytrace=False)
            pytest.skip(missing_proxy)
    if item.get_closest_marker("anvil") is None:
        return
    try:
        find_anvil()
    except AnvilMissing as missing:
        if os.environ.get("CREDITD_REQUIRE_ANVIL") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


# A test's database is made and dropped again within a second: most of a test's time would be spent
# on the disk. No test crashes the machine, and a server that is killed loses nothing that the
# kernel has. Where files live in memory, the log must stay small.
CHEAP_DATABASES = ("fsync = off", "file_copy_method = clone", "max_wal_size = '256MB'")
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - made by tempfile below it
IN_MEMORY_BYTES_MIN = 2 * 1024**3  # what a worker's server takes at most, and as much again


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL to make databases on: DATABASE_URL, or an embedded one.

    Not below pytest's own folder: each run of pytest takes that away from other users, of whom
    the server is one where the tests run as root.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(
            prefix="creditd-", dir=files_in_memory(), ignore_cleanup_errors=True
        ) as folder,
        embedded(Path(folder) / "data") as url,
    ):
        for setting in CHEAP_DATABASES:
            run(url, f"alter system set {setting}")
        run(url, "select pg_reload_conf()")
        yield url


def files_in_memory() -> Path | None:
    """Where the system keeps files in memory, if it has room for a server's; else None."""
    if IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= IN_MEMORY_BYTES_MIN:
        return IN_MEMORY
    return None


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database that is only ever copied."""
    with fresh_database(server_url) as url:
        migrate(url)
        yield name_of(url)


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A fresh database with empty books."""
    with fresh_database(server_url, template) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database without books."""
    with fresh_database(server_url) as url:
        yield url


# Most tests need nothing of the API, and should not wait for its import.


@pytest.fixture
def api(database_url: str) -> Iterator["LiveApi"]:
    """An API with the prices of these tests, on books that are empty otherwise."""
    from live_api import live_api  # noqa: PLC0415 - as above

    with live_api(database_url) as served:
        yield served


@pytest.fixture
def account(api: "LiveApi") -> str:
    """An account that has earned 20 credits."""
    from live_api import CREDIT, WALLET  # noqa: PLC0415 - as above

    earn(api.database_url, WALLET, 20 * CREDIT)
    return api.open_wallet(WALLET)


@pytest.fixture
def alice(api: "LiveApi") -> "Person":
    """Somebody with a wallet, who has not signed in."""
    from signing_person import ALICE_KEY, Person  # noqa: PLC0415 - as above

    return Person(api, ALICE_KEY)


@pytest.fixture
def bob(api: "LiveApi") -> "Person":
    """Somebody else with a wallet, who has not signed in."""
    from signing_person import BOB_KEY, Person  # noqa: PLC0415 - as above

    return Person(api, BOB_KEY)


@contextmanager
def fresh_database(server_url: str, template: str | None = None) -> Iterator[str]:
    """The URL of a database that is empty, or a copy of the one named; dropped at the end."""
    name = f"creditd_test_{uuid.uuid4().hex[:12]}"
    copied = "" if template is None else f" template {template} strategy file_copy"
    run(server_url, f"create database {name}{copied}")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        run(server_url, f"drop database {name} with (force)")


def name_of(database_url: str) -> str:
    return str(make_url(database_url).database)


def run(database_url: str, statement: str) -> None:
    """Run a statement as the owner."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement)


def fake_hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def earn(
    database_url: str, address: bytes, credits_micro: int, *, chain_id: int = CHAIN_ID
) -> None:
    """Post one confirmed event that grants a wallet credits, by the watcher's own way in."""
    asyncio.run(_earn(database_url, address, credits_micro, chain_id))


@asynccontextmanager
async def leading(database_url: str, chain: ChainEntry) -> AsyncIterator[Watching]:
    """Lead a chain once whoever led it last is gone, which the server notices a bit later."""
    async with AsyncExitStack() as stack:
        for _ in range(LEAD_TRIES_MAX):
            try:
                lead = Watching.lead(database_url, chain, "test")
                watching = await stack.enter_async_context(lead)
                break
            except AnotherLeader:
                await asyncio.sleep(0.01)
        else:
            raise AssertionError("another watcher leads, and goes on to")
        yield watching


async def _earn(database_url: str, address: bytes, credits_micro: int, chain_id: int) -> None:
    chain = ChainEntry(
        chain_id=chain_id,
        name=f"chain-{chain_id}",
        genesis=GENESIS,
        depth=1,
        anchor_number=-1,
        anchor_hash=bytes(32),
        anchor_time=0,
    )
    rule = RuleEntry(
        name=f"given-{chain_id}",
        contract=bytes(20),
        event="staking-rewards.Staked",
        from_block=0,
        cap_account=None,
        cap_account_day=None,
        expires_days=None,
    )
    async with leading(database_url, chain) as watching:
        rule_id = (await watching.enter_rules([rule]))[rule.name]
        position = await watching.position()
        number = position.indexed_number + 1
        block = SeenBlock(
            number,
            fake_hash("block", chain_id, number, address.hex()),
            position.indexed_hash,
            1_700_000_000 + number,
        )
        event = SeenEvent(
            block_number=number,
            tx_hash=fake_hash("tx", chain_id, number, address.hex()),
            ordinal=0,
            role=0,
            log_index=0,
            rule_id=rule_id,
            wallet=address,
            amount=credits_micro,
            credits=credits_micro,
        )
        await watching.append(
            head_number=number,
            blocks=[block],
            events=[event],
            set_aside=[],
            confirm=(number, block.hash),
            remember=1000,
        )
