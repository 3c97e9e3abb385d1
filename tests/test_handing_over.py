"""A watcher that ends, well or badly, is followed by the one that stands by within ten seconds."""

import asyncio
import signal
import time
from asyncio.subprocess import Process
from pathlib import Path

from fakenode import Silence
from scene import ALICE, CREDIT, DEPTH, Scene, scene, until, write_config
from watch_program import SECONDS_MAX, ends, program

TAKEN_OVER_SECONDS_MAX = 10.0
# Who is told to end gives the lead up at once: the other one asks for it ten times a second.
HANDED_OVER_SECONDS_MAX = 2.0


def epoch(here: Scene) -> int:
    rows = here.books.rows("select epoch from creditd.chain")
    return int(rows[0][0]) if rows else 0


def is_locked(here: Scene) -> bool:
    """Whether a session leads the chain."""
    return here.books.rows("select from pg_locks where locktype = 'advisory' and granted") != []


async def stands_by(process: Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS_MAX):
        while b"another watcher leads" not in await process.stderr.readline():
            pass


async def grants(here: Scene, tokens: int) -> None:
    """Wait until what is staked now is granted, too."""
    before = here.books.account(ALICE).available
    here.chain.mine(here.stake(ALICE, tokens))
    here.chain.mine_empty(DEPTH)
    wanted = before + tokens * CREDIT
    await until("grant", lambda: here.books.account(ALICE).available == wanted, SECONDS_MAX)


def test_a_standby_takes_over_from_a_leader_that_is_killed_and_from_one_told_to_end(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            config = write_config(tmp_path, here.url)
            async with program(config, database_url) as first:
                await until("the lead", lambda: epoch(here) == 1, SECONDS_MAX)
                async with program(config, database_url) as second:
                    await stands_by(second)
                    await grants(here, 1)
                    assert epoch(here) == 1
                    first.kill()
                    await until("a leader", lambda: epoch(here) == 2, TAKEN_OVER_SECONDS_MAX)
                    await grants(here, 2)
                    async with program(config, database_url) as third:
                        await stands_by(third)
                        began = time.monotonic()
                        second.send_signal(signal.SIGTERM)
                        await until("a leader", lambda: epoch(here) == 3, HANDED_OVER_SECONDS_MAX)
                        handed_over = time.monotonic() - began
                        assert (await ends(second))[0] == 0
                        await grants(here, 4)
            assert here.books.account(ALICE).available == 7 * CREDIT
            print(f"handed over in {handed_over:.2f} s")  # noqa: T201

    asyncio.run(main())


def test_a_leader_whose_node_says_nothing_gives_the_lead_up_at_once_when_told_to_end(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            scene(database_url) as here,
            program(write_config(tmp_path, here.url), database_url) as first,
        ):
            await until("the lead", lambda: epoch(here) == 1, SECONDS_MAX)
            here.faults.failures.extend([Silence()] * 10)
            await until("a silence", lambda: len(here.faults.failures) < 10, SECONDS_MAX)
            here.faults.failures.clear()
            first.send_signal(signal.SIGTERM)
            await until("no lead", lambda: not is_locked(here), HANDED_OVER_SECONDS_MAX)

    asyncio.run(main())
