"""PostgreSQL is killed while processes charge: what was answered is there, once, for ever."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random, SystemRandom
from typing import IO
from uuid import UUID

import psycopg
import pytest
from crashing_postgres import CrashingPostgres
from proof_of_the_books import assert_sound
from stage import Stage

from ledger.ids import AccountRef
from ledger.migrate import migrate
from ledger.outcomes import Charged
from ledger.requests import key_digest
from ledger.spending import Spending

PROCESSES = 3
HERE = Path(__file__).parent
LOTS = 40
LOT = 100_000
UP_SECONDS = 0.2, 1.2  # how long the server lives between two kills

Answers = dict[tuple[int, str], tuple[object, ...]]


@contextmanager
def charging(
    database_url: str, app_id: int, accounts: Sequence[AccountRef], name: str, told: IO[bytes]
) -> Iterator[None]:
    """Let a process charge meanwhile; at the end it finishes what it has begun."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "steady_charger.py"), database_url],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdin=subprocess.PIPE,
        stdout=told,
    )
    job = {"app_id": app_id, "name": name, "accounts": accounts, "at_once": 12}
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        yield
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def read_answers(files: Sequence[Path]) -> Answers:
    """What was answered to each key; whoever was answered twice was told the same."""
    answers: Answers = {}
    for file in files:
        for line in file.read_text().splitlines():
            account, key, *answer = json.loads(line)
            assert answers.setdefault((account, key), tuple(answer)) == tuple(answer), key
    return answers


def in_the_books(stage: Stage) -> list[tuple[UUID, int, int]]:
    return [
        (key_hash, seq, total)
        for key_hash, seq, total in stage.rows(
            "select key_hash, seq, total from creditd.entry where key_hash is not null"
        )
    ]


async def ask_again(stage: Stage, accounts: Sequence[AccountRef], answers: Answers) -> None:
    """Ask for some charges once more."""
    rng = Random(1)
    charges = [each for each in answers.items() if not each[0][1].endswith(" back")]
    async with Spending.open(stage.database_url) as spending:
        for (account, key), (seq, cost, available, at) in rng.sample(charges, 200):
            assert isinstance(cost, int)
            outcome = await spending.charge(
                app_id=stage.app_id,
                account=accounts[account],
                key=key,
                operation="unit",
                units=cost,
            )
            assert isinstance(outcome, Charged)
            assert outcome.replayed
            charge = outcome.charge
            told = charge.movement.seq, charge.cost, charge.available, str(charge.at)
            assert told == (seq, cost, available, at)


def killed_while_charging(server: CrashingPostgres, folder: Path, *, kills: int, seed: int) -> int:
    """Kill the server so many times. Returns how many requests were answered."""
    rng = Random(seed)
    with Stage.on(server.url) as stage:
        accounts = [stage.account(f"{n}", *[LOT] * LOTS) for n in range(3)]
        app_id = stage.app_id
    files = [folder / f"{number}" for number in range(PROCESSES)]
    with ExitStack() as stack:
        for number, file in enumerate(files):
            told = stack.enter_context(file.open("wb"))
            stack.enter_context(charging(server.url, app_id, accounts, f"p{number}", told))
        while not all(file.stat().st_size for file in files):
            time.sleep(0.05)  # until all of them charge
        for _ in range(kills):
            time.sleep(rng.uniform(*UP_SECONDS))
            server.kill()
            server.start()
        time.sleep(0.3)
    answers = read_answers(files)
    with psycopg.connect(server.url, autocommit=True) as owner:
        stage = Stage(server.url, owner)
        stage.app_id = app_id
        made = {
            (UUID(bytes=key_digest(app_id, accounts[account], key)), answer[0], answer[1])
            for (account, key), answer in answers.items()
        }
        found = in_the_books(stage)
        assert len(found) == len(set(found))
        assert set(found) - made == set(), "charged, and nobody was told"
        assert made - set(found) == set(), "told, and not in the books"
        asyncio.run(ask_again(stage, accounts, answers))
        assert len(in_the_books(stage)) == len(found)
    assert_sound(server.url)
    return len(answers)


def test_what_was_answered_before_the_server_was_killed_is_in_the_books_once(
    tmp_path: Path,
) -> None:
    seed = SystemRandom().randrange(10**6)
    with CrashingPostgres.run() as server:
        migrate(server.url)
        try:
            answered = killed_while_charging(server, tmp_path, kills=3, seed=seed)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    assert answered > 1_000


@pytest.mark.soak
def test_what_was_answered_outlives_a_hundred_kills(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        with CrashingPostgres.run() as server:
            migrate(server.url)
            killed_while_charging(server, folder, kills=10, seed=number)


@pytest.mark.soak
def test_a_server_that_answers_before_it_has_written_is_found_out(tmp_path: Path) -> None:
    with CrashingPostgres.run() as server:
        migrate(server.url)
        with psycopg.connect(server.url, autocommit=True) as owner:
            owner.execute("alter system set synchronous_commit = off")
            owner.execute("alter system set wal_writer_delay = '10s'")
            owner.execute("select pg_reload_conf()")
        with pytest.raises(AssertionError):
            killed_while_charging(server, tmp_path, kills=4, seed=1)
