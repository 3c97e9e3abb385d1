"""A local chain of one's own: the anvil program, for the demo and for tests."""

import asyncio
import os
import platform
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READY_SECONDS_MAX: Final = 30  # it takes 0.1 s on an idle machine
STOP_SECONDS_MAX: Final = 5  # it keeps nothing worth waiting for
OUTPUT_LINES_KEPT: Final = 20  # of its start, for the error when it fails
OUTPUT_READ_BYTES: Final = 65_536  # a pipe's worth; it is thrown away

_LISTENING: Final = re.compile(r"Listening on (127\.0\.0\.1:[0-9]+)")
_NPM_OS: Final = {"Linux": "linux", "Darwin": "darwin"}
_NPM_MACHINE: Final = {"x86_64": "amd64", "amd64": "amd64", "arm64": "arm64", "aarch64": "arm64"}


class AnvilMissing(Exception):
    """No anvil program is installed."""

    def __init__(self) -> None:
        super().__init__(
            "anvil, the local chain, is not installed: run `make setup`, put anvil on the PATH,"
            " or name the program in ANVIL_BIN"
        )


class AnvilFailed(Exception):
    """The program ended, or did not listen within READY_SECONDS_MAX; its output says why."""


def find_anvil() -> Path:
    """Return the program: ANVIL_BIN, else from the PATH, else as npm installs it in contracts/.

    Raises AnvilMissing where none of these is a file.
    """
    named = os.environ.get("ANVIL_BIN")
    if named:
        return _program(Path(named))
    found = shutil.which("anvil")
    if found is not None:
        return Path(found)
    system = _NPM_OS.get(platform.system(), "other")
    machine = _NPM_MACHINE.get(platform.machine().lower(), "other")
    package = Path("node_modules", "@foundry-rs", f"anvil-{system}-{machine}")
    return _program(Path(__file__).resolve().parents[2] / "contracts" / package / "bin/anvil")


@dataclass(frozen=True, slots=True)
class Anvil:
    """A running local chain: the URL of its JSON-RPC, and its process."""

    url: str
    process_id: int

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        chain_id: int = 31337,
        block_time: int | None = None,
        slots_in_epoch: int = 32,
        accounts: int = 10,
        hardfork: str | None = None,
    ) -> AsyncIterator["Anvil"]:
        """Run a chain on a free loopback port until the block is left.

        It mines a block every `block_time` seconds, or one for each transaction. Its finalized
        block is two epochs behind its head. `accounts` dev accounts hold 10000 ether each, from
        the mnemonic that anvil prints. Raises AnvilMissing and AnvilFailed.
        """
        process = await asyncio.create_subprocess_exec(
            find_anvil(),
            *("--port", "0", "--chain-id", str(chain_id)),
            *("--slots-in-an-epoch", str(slots_in_epoch), "--accounts", str(accounts)),
            *(() if block_time is None else ("--block-time", str(block_time))),
            *(() if hardfork is None else ("--hardfork", hardfork)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            # A Ctrl-C of the terminal must not end it before those who use it have ended.
            start_new_session=True,
        )
        try:
            address = await _listening(process)
            reading = asyncio.create_task(_read_on(process))
            try:
                yield cls(url=f"http://{address}", process_id=process.pid)
            finally:
                await _end(process)
                await reading
        finally:
            await _end(process)


def _program(path: Path) -> Path:
    if not path.is_file():
        raise AnvilMissing
    return path


async def _listening(process: Process) -> str:
    """Return host and port once it says that it listens."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    lines: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS_MAX):
            async for line in process.stdout:
                lines = [*lines[1 - OUTPUT_LINES_KEPT :], line.decode(errors="replace")]
                found = _LISTENING.search(lines[-1])
                if found is not None:
                    return found.group(1)
    raise AnvilFailed("anvil did not start listening; it said last:\n" + "".join(lines))


async def _read_on(process: Process) -> None:
    """Read what it prints until it ends: it would stand still on a full pipe."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    while await process.stdout.read(OUTPUT_READ_BYTES):
        pass


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
