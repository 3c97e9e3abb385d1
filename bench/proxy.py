"""A proxy before the node, in a process of its own: it delays what passes, or holds it back."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvloop

CHUNK_BYTES: Final = 1 << 18
CHUNKS_MAX: Final = 256  # under way in one direction of one connection: what a fast link holds
STOP_SECONDS_MAX: Final = 5.0

_Chunks = asyncio.Queue[tuple[float, bytes]]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy. Made by `before`."""

    url: str
    pid: int
    _process: "subprocess.Popen[str]"

    def hold(self) -> None:
        """Hold back whatever is asked from now on."""
        self._say("hold")

    def release(self) -> None:
        """Let through what was held back."""
        self._say("release")

    def _say(self, word: str) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the proxy was started without its pipes")
        stdin.write(word + "\n")
        stdin.flush()
        if stdout.readline().strip() != word:
            raise SystemExit("the proxy has ended")


@contextmanager
def before(node_url: str, round_trip_ms: float = 0) -> Iterator[Proxy]:
    """Run a proxy before a node while the context lasts.

    A question takes half of the round trip and so does its answer, on any number of connections
    at once; opening a connection takes a whole one.
    """
    port = str(urlsplit(node_url).port)
    process = subprocess.Popen(
        [sys.executable, "-c", "import proxy; proxy.main()", port, str(round_trip_ms)],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the proxy was started without its pipes")
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        yield Proxy(url, process.pid, process)
    finally:
        process.communicate(timeout=STOP_SECONDS_MAX)  # its end of input is its end


def main() -> None:
    """Run as the proxy: print the port, then do as each line of the input says, until its end."""
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1_000))


async def _serve(node_port: int, round_trip: float) -> None:
    gate = asyncio.Event()
    gate.set()
    passing: set[asyncio.Task[None]] = set()

    async def accept(asking: asyncio.StreamReader, answering: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs as one
        passing.add(task)
        try:
            await asyncio.sleep(round_trip)
            told, ask = await asyncio.open_connection("127.0.0.1", node_port)
            await asyncio.gather(
                _pass(asking, ask, round_trip / 2, gate),
                _pass(told, answering, round_trip / 2, None),
            )
        except ConnectionError:
            answering.close()
        except asyncio.CancelledError:
            pass  # by the end of the input, below: the loop would tell of it as of a defect
        finally:
            passing.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async for line in commands:
        if line == b"hold\n":
            gate.clear()
        else:
            gate.set()
        print(line.decode().strip(), flush=True)
    server.close()
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    delay: float,
    gate: asyncio.Event | None,
) -> None:
    """Hand on what comes in, each chunk `delay` seconds after it came, until the end."""
    chunks: _Chunks = asyncio.Queue(CHUNKS_MAX)
    reading = asyncio.create_task(_read(reader, chunks, delay))
    loop = asyncio.get_running_loop()
    try:
        while True:
            due, chunk = await chunks.get()
            if not chunk:
                break
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            if gate is not None:
                await gate.wait()
            writer.write(chunk)
            await writer.drain()
    finally:
        reading.cancel()
        writer.close()


async def _read(reader: asyncio.StreamReader, chunks: _Chunks, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        chunk = await reader.read(CHUNK_BYTES)
        await chunks.put((loop.time() + delay, chunk))
        if not chunk:
            return
