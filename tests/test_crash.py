"""Watchers that are killed, and databases that cut them off, at any moment: nothing is lost by it
and nothing comes twice. Their books end as those of a twin that was left in peace."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import fresh_database
from living_chain import LivingChain
from scene import DEPTH, Scene, mining, scene, stakes, until, write_config

ROOT = Path(__file__).parent.parent
START_SECONDS_MAX = 30
CATCH_UP_SECONDS_MAX = 60
KILLS = 4
CUTS = 40


@pytest.fixture
def twin_url(server_url: str, template: str) -> Iterator[str]:
    """Other empty books, for the twin."""
    with fresh_database(server_url, template) as url:
        yield url


@asynccontextmanager
async def watching(config: Path, database_url: str, log: Path) -> AsyncIterator[Process]:
    """Run `creditd watch`, killed at the end if it still runs."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon", "--config", str(config), "watch"),
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def epoch(here: Scene) -> int:
    """How often somebody has begun to lead."""
    found = here.books.rows("select epoch from creditd.chain")
    return int(found[0][0]) if found else 0


def led_more_often(here: Scene, than: int) -> bool:
    return epoch(here) > than


def is_read_to_the_end(here: Scene) -> bool:
    found = here.books.rows("select indexed_hash, confirmed_number from creditd.chain")
    return found == [(here.chain.head.hash, here.chain.head.number - DEPTH)]


def cut_off(here: Scene) -> None:
    """End every session of a watcher, as a database that fails over does."""
    here.books.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


async def compare_with_twin(here: Scene, twin_url: str) -> None:
    async with scene(twin_url, here.chain) as twin:
        await twin.follow(stakes(), mining(), span_max=100)
        theirs, ours = twin.books.story(), here.books.story()
        for part, rows in theirs.items():
            assert ours[part] == rows, part
        assert len(ours["entries"]) > 0


async def survive(seed: int, urls: tuple[str, str], folder: Path, kills: int) -> None:
    rng = random.Random(seed)
    database_url, twin_url = urls
    async with scene(database_url) as here:
        config = write_config(folder, here.url)
        living = LivingChain(here.chain, rng)
        async with living.alive(pause_seconds=0.02):
            for _ in range(kills):
                led_anew = partial(led_more_often, here, epoch(here))
                async with watching(config, database_url, folder / "log") as process:
                    if rng.random() < 0.8:
                        await until("the lead", led_anew, START_SECONDS_MAX)
                    await asyncio.sleep(rng.uniform(0, 0.5))
                    if rng.random() < 0.3:
                        cut_off(here)
                        await asyncio.sleep(rng.uniform(0, 0.5))
                    assert process.returncode is None
                    process.kill()
        living.grow(DEPTH)
        async with watching(config, database_url, folder / "log") as process:
            await until("the end", lambda: is_read_to_the_end(here), CATCH_UP_SECONDS_MAX)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        await compare_with_twin(here, twin_url)


def survives(seed: int, urls: tuple[str, str], folder: Path, kills: int) -> None:
    try:
        asyncio.run(survive(seed, urls, folder, kills))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


def test_a_watcher_killed_at_any_moment_loses_nothing_and_repeats_nothing(
    database_url: str, twin_url: str, tmp_path: Path
) -> None:
    survives(random.SystemRandom().randrange(10**6), (database_url, twin_url), tmp_path, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(5))
def test_a_watcher_killed_again_and_again_loses_nothing_and_repeats_nothing(
    database_url: str, twin_url: str, tmp_path: Path, seed: int
) -> None:
    survives(seed, (database_url, twin_url), tmp_path, 40)


async def endure(seed: int, urls: tuple[str, str], cuts: int) -> None:
    rng = random.Random(seed)
    database_url, twin_url = urls
    async with scene(database_url) as here:
        living = LivingChain(here.chain, rng)
        follower = await here.follow(stakes(), mining(), span_max=4)

        async def follow() -> None:
            while True:
                await follower.turn()
                await asyncio.sleep(0)

        async with living.alive(pause_seconds=0.01):
            following = asyncio.create_task(follow())
            for _ in range(cuts):
                await asyncio.sleep(rng.uniform(0, 0.1))
                cut_off(here)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        living.grow(DEPTH)
        for _ in range(50):  # its session may have been the one that was cut off last
            await follower.turn()
        assert is_read_to_the_end(here)
        await compare_with_twin(here, twin_url)


def endures(seed: int, urls: tuple[str, str], cuts: int) -> None:
    try:
        asyncio.run(endure(seed, urls, cuts))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


def test_a_database_that_cuts_a_watcher_off_mid_step_loses_nothing(
    database_url: str, twin_url: str
) -> None:
    endures(random.SystemRandom().randrange(10**6), (database_url, twin_url), CUTS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_database_that_cuts_a_watcher_off_again_and_again_loses_nothing(
    database_url: str, twin_url: str, seed: int
) -> None:
    endures(seed, (database_url, twin_url), 300)
