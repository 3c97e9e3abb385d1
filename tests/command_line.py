"""`creditd` as its operator meets it: a program with arguments, an exit code and two streams."""

import asyncio
import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import fakenode
import psutil
import psycopg
from fakechain import FakeChain

CONTRACT = b"\xc1" * 20
CHAIN_ID = 31337
SHUT = "http://127.0.0.1:1"  # nobody listens there
ONE_SERVER = threading.Lock()
SERVER = Path(__file__).with_name("command_server.py")
# Python takes a second to start, several on a machine that is busy.
PATIENCE_SECONDS = 40
# What is promised to whoever stops a program.
STOP_SECONDS_MAX = 5

_SOURCE = f"""
[[chains.sources]]
name = "$name"
contract = "0x{CONTRACT.hex()}"
event = "staking-rewards.Staked"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18, max_per_event = "9", max_per_account = "99" }}
"""


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its standard output, which holds JSON and nothing else."""
        assert self.err == ""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    def refused(self, *named: str) -> None:
        """It could not be carried out, and said so for a person: these words, no traceback."""
        assert self.code == 2, self
        assert self.out == ""
        assert "Traceback" not in self.err
        assert [word for word in named if word not in self.err] == [], self.err
        lines = [line for line in self.err.splitlines() if not line.startswith("{")]
        assert lines
        assert all(line.startswith("creditd: ") for line in lines), self.err


def environ_of(database_url: str | None) -> dict[str, str]:
    given = {key: value for key, value in os.environ.items() if not key.startswith("CREDITD_")}
    given.pop("DATABASE_URL", None)
    return given if database_url is None else {**given, "DATABASE_URL": database_url}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "daemon", *map(str, arguments)]


def creditd(*arguments: str | Path, database_url: str | None = None, stdin: str = "") -> Said:
    """Run a command to its end, in a process that a server has imported everything for.

    What Python reads as it starts, as its own flags and variables, is the server's.
    """
    mine, theirs = socket.socketpair()
    with mine, ExitStack() as stack:
        streams = [stack.enter_context(TemporaryFile()) for _ in range(3)]
        streams[0].write(stdin.encode())
        streams[0].seek(0)
        with theirs:
            passed = [theirs.fileno(), *(each.fileno() for each in streams)]
            socket.send_fds(command_server(), [b"\0"], passed)
        request = {
            "arguments": [str(each) for each in arguments],
            "environ": environ_of(database_url),
            "folder": str(Path.cwd()),
        }
        mine.settimeout(PATIENCE_SECONDS)
        mine.sendall(json.dumps(request).encode())
        mine.shutdown(socket.SHUT_WR)
        with mine.makefile() as told:
            process = int(told.readline())
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise
        for each in streams[1:]:
            each.seek(0)
        return Said(code, *(each.read().decode() for each in streams[1:]))


def command_server() -> socket.socket:
    """The server of this process, started once: it takes commands until this is closed."""
    with ONE_SERVER:
        return _command_server()


@cache
def _command_server() -> socket.socket:
    control, theirs = socket.socketpair()
    with theirs:
        program = [sys.executable, str(SERVER), str(theirs.fileno())]
        server = subprocess.Popen(program, env=environ_of(None), pass_fds=[theirs.fileno()])

    def end() -> None:
        control.close()
        server.wait()

    atexit.register(end)
    return control


def creditd_anew(*arguments: str | Path, database_url: str | None = None, stdin: str = "") -> Said:
    """Run a command to its end, in a Python that is started for it, and through pipes."""
    done = subprocess.run(
        command(*arguments),
        env=environ_of(database_url),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def side_by_side(run: Callable[..., Said], *arguments: Iterable[Any]) -> list[Said]:
    """Run commands two at a time: each waits for the database or a node most of the while."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, *arguments))


@dataclass(frozen=True)
class Running:
    """A program that runs, and the log it writes."""

    process: psutil.Popen
    log_path: Path
    known: set[psutil.Process] = field(default_factory=set)

    def log(self) -> list[dict[str, Any]]:
        """Its log so far, which is JSON line by line."""
        lines = self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line[0] == "{"]

    def logged(self, event: str, **facts: object) -> list[dict[str, Any]]:
        return [
            line for line in self.log() if line["event"] == event and facts.items() <= line.items()
        ]

    def wait_for(self, event: str, **facts: object) -> dict[str, Any]:
        """Wait until it logs an event, and return that line."""

        def there() -> bool:
            assert self.process.poll() is None, self.log_path.read_text(encoding="utf-8")
            return bool(self.logged(event, **facts))

        until(there, f"{event}: {self.log_path.read_text(encoding='utf-8')}")
        return self.logged(event, **facts)[0]

    def family(self) -> list[psutil.Process]:
        """It and every process it has started."""
        family = [self.process, *self.process.children(recursive=True)]
        self.known.update(family)
        return family

    def end(self) -> Said:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_SECONDS)
        return Said(int(code), "", self.log_path.read_text(encoding="utf-8"))


@contextmanager
def started(*arguments: str | Path, log_path: Path, database_url: str | None) -> Iterator[Running]:
    """Run a program while the context lasts; whatever is left of it then is killed."""
    with log_path.open("w", encoding="utf-8") as log:
        process = psutil.Popen(
            command(*arguments),
            env=environ_of(database_url),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Running(process, log_path)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.family()
        for each in running.known:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


def write_config(
    folder: Path,
    nodes: Mapping[str, str],
    *,
    confirmation: str = "{ depth = 2 }",
    port: int = 0,
    name: str = "creditd.toml",
) -> Path:
    """Write a configuration with one chain for each name and URL, and return its path."""
    text = f"[api]\nport = {port}\n"
    for number, (chain, url) in enumerate(nodes.items()):
        text += (
            f'[[chains]]\nname = "{chain}"\nchain_id = {CHAIN_ID + number}\nrpc_url = "{url}"\n'
            f"confirmation = {confirmation}\npoll_ms = 100\n"
        ) + _SOURCE.replace("$name", f"{chain}-stakes")
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def edited(path: Path, *changes: tuple[str, str]) -> Path:
    """Write a configuration with words replaced beside another."""
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    other = path.with_name(f"edited-{path.name}")
    other.write_text(text, encoding="utf-8")
    return other


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def node(chain: FakeChain, faults: fakenode.Faults | None = None) -> Iterator[str]:
    """Show a chain over HTTP, from a loop in a thread of its own; gives the URL."""
    urls: list[str] = []
    serving = threading.Event()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with fakenode.serve(chain, faults) as url:
                urls.append(url)
                serving.set()
                await stop.wait()

        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        try:
            assert serving.wait(PATIENCE_SECONDS)
            yield urls[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


@contextmanager
def answering(answers: Callable[[bytes], bytes]) -> Iterator[int]:
    """Answer whatever is sent to a port, each part by these bytes; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(PATIENCE_SECONDS)
                    while asked := connection.recv(65_536):
                        connection.sendall(answers(asked))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def contents(database_url: str) -> dict[str, int]:
    """How many rows each table holds, of all the tables there are."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        return {
            name: connection.execute(f"select count(*) from {name}").fetchall()[0][0]
            for (name,) in names
        }


def secrets_told(text: str) -> list[str]:
    """The secrets of these tests that a text gives away."""
    return re.findall(r"s3cret\w*", text)
