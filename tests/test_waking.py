"""A node's word of a new block wakes the watcher, and is good for nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import WSCloseCode, web
from config_documents import CHAIN, document, load, mistakes_of, toml
from scene import ALICE, CREDIT, DEPTH, Scene, scene, until, write_config

from contracts.catalogue import EVENTS
from daemon.configuration.chain_settings import POLL_MS_MAX
from daemon.configuration.config import load_config
from daemon.configuration.secret_url import SecretUrl
from daemon.jobs import waking as waking_module
from daemon.jobs.waking import MESSAGE_BYTES_MAX, WAKE_SECONDS_MIN, waking
from daemon.jobs.watch import watch

SECONDS_MAX = 10.0
HEAD = '{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":{"number":"0x1"}}}'


@asynccontextmanager
async def sockets(talk: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve sockets that talk as told once they are subscribed to; yields their URL."""

    async def answer(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert "newHeads" in (await socket.receive_str())
        await talk(socket)
        return socket

    async with listening(answer) as url:
        yield url


@asynccontextmanager
async def listening(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/key", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/key"
    finally:
        await runner.cleanup()


async def woken(url: str, times: int, within: float = SECONDS_MAX) -> int:
    """Return how often whoever listens was woken, until it was so often or time is up."""
    count, enough = 0, asyncio.Event()

    def wake() -> None:
        nonlocal count
        count += 1
        if count >= times:
            enough.set()

    async with waking(SecretUrl(url), wake):
        with suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), within)
    return count


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking_module, "PAUSE_SECONDS_MIN", 0.01)


def test_every_new_block_wakes() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        for _ in range(3):
            await socket.send_str(HEAD)
            await asyncio.sleep(2 * WAKE_SECONDS_MIN)
        await socket.receive()

    async def main() -> None:
        async with sockets(talk) as url:
            assert await woken(url, 3) == 3

    asyncio.run(main())


def test_who_calls_too_often_is_not_answered_more_often() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        for _ in range(500):
            await socket.send_str(HEAD)
        await socket.receive()

    async def main() -> None:
        async with sockets(talk) as url:
            assert 1 <= await woken(url, 500, within=0.5) <= 6

    asyncio.run(main())


@pytest.mark.parametrize("ends", ["closed", "reset", "too long", "nonsense"])
def test_a_socket_that_ends_is_opened_again(ends: str) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        match ends:
            case "closed":
                await socket.send_str(HEAD)
                await socket.close(code=WSCloseCode.GOING_AWAY)
            case "reset":
                await socket.send_str(HEAD)
            case "too long":
                await socket.send_str(HEAD)
                await socket.send_str("x" * (2 * MESSAGE_BYTES_MAX))
                await socket.receive()
            case "nonsense":
                await socket.send_bytes(b"\xff\xfe")

    async def main() -> None:
        async with sockets(talk) as url:
            assert await woken(url, 2) == 2

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/key", "ws://127.0.0.1:{port}/other"])
def test_a_socket_that_is_not_there_hinders_nobody_and_tells_no_secret(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def talk(_: web.WebSocketResponse) -> None:
        return

    async def main() -> None:
        async with sockets(talk) as there:
            port = there.rpartition(":")[2].partition("/")[0]
            assert await woken(url.format(port=port), 1, within=0.3) == 0

    asyncio.run(main())
    said = capsys.readouterr().out
    assert said.count("not woken by new blocks") == 1
    assert "/key" not in said


def test_a_redirection_is_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str(HEAD)
        await socket.receive()

    async def main() -> None:
        async with sockets(talk) as there:

            async def elsewhere(_: web.Request) -> web.StreamResponse:
                raise web.HTTPTemporaryRedirect(there)

            async with listening(elsewhere) as url:
                assert await woken(url, 1, within=0.5) == 0

    asyncio.run(main())
    assert "it redirects" in capsys.readouterr().out


def test_a_defect_is_told_and_hinders_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str(HEAD)
        await socket.receive()

    def wake() -> None:
        raise RuntimeError("a defect")

    async def main() -> None:
        async with sockets(talk) as url, waking(SecretUrl(url), wake):
            running = {each for each in asyncio.all_tasks() if "_listen_for_good" in repr(each)}
            ended, _ = await asyncio.wait(running, timeout=SECONDS_MAX)
            assert len(ended) == 1

    asyncio.run(main())
    assert "listening for new blocks ended" in capsys.readouterr().out


def test_nothing_listens_any_more_once_it_is_left() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async def main() -> None:
        async with sockets(talk) as url:
            before = asyncio.all_tasks()
            assert await woken(url, 1, within=0.2) == 0
            left = {each for each in asyncio.all_tasks() - before if "_listen" in repr(each)}
            assert not left

    asyncio.run(main())


def test_a_configuration_may_name_a_socket(tmp_path: Path) -> None:
    content = document({(*CHAIN, "wake_url"): "wss://$HOST/key"})
    chain = load(tmp_path, toml(content), {"HOST": "n.example"}).chains[0]
    assert chain.wake_url == SecretUrl("wss://n.example/key")
    (mistake,) = mistakes_of(tmp_path, document({(*CHAIN, "wake_url"): "https://n.example"}))
    assert "must begin with wss:// or ws://" in mistake.message


def is_read(here: Scene) -> bool:
    led = here.books.rows("select from creditd.chain where epoch > 0")
    return bool(led) and here.books.standing().indexed == 0


def test_a_watcher_that_is_woken_does_not_wait_for_its_next_poll(
    database_url: str, tmp_path: Path
) -> None:
    mined = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        await mined.wait()
        await socket.send_str(HEAD)
        await socket.receive()

    async def main() -> None:
        async with scene(database_url) as here, sockets(talk) as url:
            path = write_config(tmp_path, here.url)
            seldom = f'poll_ms = {POLL_MS_MAX}\nwake_url = "{url}"\n'
            path.write_text(re.sub("poll_ms = .*\n", seldom, path.read_text()))
            config = load_config(path, {}, events=EVENTS)
            stop = asyncio.Event()
            watching = asyncio.create_task(watch(config, database_url, stop))
            # Its first look, and that at the answer to its subscription, find nothing yet.
            await until("the lead", lambda: is_read(here), SECONDS_MAX)
            await asyncio.sleep(2 * WAKE_SECONDS_MIN)
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine_empty(DEPTH)
            mined.set()
            await until(
                "the grant", lambda: here.books.account(ALICE).available == 3 * CREDIT, SECONDS_MAX
            )
            stop.set()
            await watching

    asyncio.run(main())
