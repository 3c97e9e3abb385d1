"""`creditd watch` as a program: how it begins, waits, refuses and ends."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from fakenode import Reset, Silence
from scene import ALICE, CREDIT, DEPTH, Scene, scene, stakes, until, write_config
from watch_program import SECONDS_MAX, ends, program

from daemon.chain.rpc import ATTEMPTS_MAX
from daemon.processes.stopping import LIFELINE

STOP_SECONDS_MAX = 5


def is_led(here: Scene) -> bool:
    return here.books.rows("select from creditd.chain where epoch > 0") != []


def test_it_follows_what_happens_until_it_is_told_to_end(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            scene(database_url) as here,
            program(write_config(tmp_path, here.url), database_url) as process,
        ):
            await until("the lead", lambda: is_led(here), SECONDS_MAX)
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine_empty(DEPTH)
            await until(
                "the grant", lambda: here.books.account(ALICE).available == 3 * CREDIT, SECONDS_MAX
            )
            process.send_signal(signal.SIGTERM)
            code, _ = await ends(process)
            assert code == 0

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_though_the_node_says_nothing(
    database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    async def main() -> None:
        async with (
            scene(database_url) as here,
            program(write_config(tmp_path, here.url), database_url) as process,
        ):
            await until("the lead", lambda: is_led(here), SECONDS_MAX)
            here.faults.failures.extend([Silence()] * 10)
            await until("a silence", lambda: len(here.faults.failures) < 10, SECONDS_MAX)
            began = time.monotonic()
            process.send_signal(number)
            code, _ = await ends(process)
            assert code == 0
            assert time.monotonic() - began < STOP_SECONDS_MAX

    asyncio.run(main())


def test_it_ends_when_whoever_started_it_is_gone(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        async with scene(database_url) as here:
            config = write_config(tmp_path, here.url)
            async with program(config, database_url, **{LIFELINE: str(reading)}) as process:
                os.close(reading)
                await until("the lead", lambda: is_led(here), SECONDS_MAX)
                os.close(writing)
                code, _ = await ends(process)
                assert code == 0

    asyncio.run(main())


def test_it_waits_for_a_node_that_is_not_there_yet(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.faults.failures.extend([Reset()] * (ATTEMPTS_MAX + 1))
            async with program(write_config(tmp_path, here.url), database_url):
                await until("the lead", lambda: is_led(here), SECONDS_MAX)

    asyncio.run(main())


def test_it_waits_for_a_database_that_is_not_there(database_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    gone = f"postgresql://postgres@127.0.0.1:{port}/none"

    async def main() -> None:
        async with (
            scene(database_url) as here,
            program(write_config(tmp_path, here.url), gone) as process,
        ):
            assert process.stderr is not None
            async with asyncio.timeout(SECONDS_MAX):
                while b"cannot be reached" not in await process.stderr.readline():
                    pass
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            code, _ = await ends(process)
            assert code == 0

    asyncio.run(main())


def test_it_refuses_what_cannot_pass_by_itself_in_one_line(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(3)
            await here.end(await here.follow(stakes(from_block=1)))
            before = here.books.contents()
            async with program(write_config(tmp_path, here.url), database_url) as process:
                code, said = await ends(process)
            assert (code, said.partition(":")[0]) == (2, "creditd")
            assert "source stakes" in said
            wrong = write_config(tmp_path, here.url, chain_id=5)
            async with program(wrong, database_url) as process:
                code, said = await ends(process)
            assert (code, said.partition(":")[0]) == (2, "creditd")
            assert "chain_id" in said
            assert here.books.contents() == before

    asyncio.run(main())
