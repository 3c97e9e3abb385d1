"""`creditd watch` as a program that is measured: started, awaited by its books, looked at."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, Self

import psutil
import psycopg
from chain_of_stakes import EVENT, ChainOfStakes
from measuring import Sample, fresh_database, machine_busy_seconds, server_cpu_seconds

from daemon.processes.stopping import LIFELINE

LOOK_SECONDS: Final = 0.02  # between two looks into the books: each costs Postgres some 50 µs
MEMORY_SECONDS: Final = 0.1
LOOKS_TOLD: Final = 10  # one of so many looks at the memory is told
SECONDS_MAX: Final = 120.0  # what takes longer has come to a halt
TROUBLE_LOOK_SECONDS: Final = 1.0  # between two looks into the program's log
TROUBLES: Final = (b'"event": "halted"', b'"event": "defect"')  # no time heals these
STOP_SECONDS_MAX: Final = 10.0
LOG_SHOWN: Final = 2_000  # characters of the program's log, where it fails
CREDITS_PER_TOKEN: Final = 10

_rounds = count(1)

_CONFIG: Final = """
[[chains]]
name = "bench"
chain_id = {chain_id}
rpc_url = "{rpc_url}"
confirmation = {{ depth = {depth} }}
on_deep_reorg = "{on_deep_reorg}"
poll_ms = {poll_ms}

[[chains.sources]]
name = "stakes"
contract = "0x{contract}"
event = "{event}"
from_block = 0
rule = {{ credits = "{credits_per_token}", per = "1", decimals = 18 }}
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the configuration a measurement chooses; all else is as it comes."""

    poll_ms: int = 1_000
    depth: int = 1
    on_deep_reorg: str = "halt"
    rpc_url: str | None = None  # None: the chain's own


class Books:
    """The books a watcher fills, as another session sees them: a context manager."""

    def __init__(self, url: str, chain_id: int) -> None:
        self.url = url
        self._chain_id = chain_id
        self._session = psycopg.connect(url, autocommit=True, prepare_threshold=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def leader(self) -> int:
        """Return how often the chain was led, 0 before the first time."""
        return self._number("select epoch from creditd.chain where chain_id = %s")

    def indexed(self) -> int:
        """Return the height up to which blocks are in the books."""
        return self._number("select indexed_number from creditd.chain where chain_id = %s")

    def confirmed(self) -> int:
        """Return the height up to which events are granted."""
        return self._number("select confirmed_number from creditd.chain where chain_id = %s")

    def pending_in(self, block_number: int) -> int:
        """Return how many events of a block are pending."""
        return self._number(
            "select count(*) from creditd.event"
            " where chain_id = %s and block_number = %s and state = 'pending'",
            block_number,
        )

    def shows(self, block_number: int, block_hash: bytes, events: int) -> bool:
        """Say whether a block and so many events of it are in the books, and they are its head."""
        return bool(
            self._number(
                "select count(*) from creditd.chain c where c.chain_id = %s"
                " and c.indexed_number = %s and c.indexed_hash = %s and %s = (select count(*)"
                " from creditd.event e where e.chain_id = c.chain_id"
                " and e.block_number = c.indexed_number and e.block_hash = c.indexed_hash)",
                block_number,
                block_hash,
                events,
            )
        )

    def _number(self, question: str, *parameters: object) -> int:
        row = self._session.execute(question, (self._chain_id, *parameters)).fetchone()
        return 0 if row is None else int(row[0])


class Watcher:
    """The running program. Made by `watching`."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log
        self._program = psutil.Process(process.pid)

    def until(
        self,
        reached: Callable[[], bool],
        look_seconds: float = LOOK_SECONDS,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> float:
        """Wait until something holds, and return when it was seen, on the clock `perf_counter`.

        `meanwhile` is called after each look. Ends the run if the program has ended or is in
        trouble, or if it does not hold within SECONDS_MAX.
        """
        began = look_again = time.perf_counter()
        while not reached():
            now = time.perf_counter()
            if now >= look_again:
                self._require_well(now - began)
                look_again = now + TROUBLE_LOOK_SECONDS
            meanwhile()
            time.sleep(look_seconds)
        return time.perf_counter()

    def _require_well(self, waited_seconds: float) -> None:
        said = self._log.read_bytes()
        in_trouble = any(trouble in said for trouble in TROUBLES)
        if self._process.poll() is None and not in_trouble and waited_seconds < SECONDS_MAX:
            return
        shown = said[-LOG_SHOWN:].decode(errors="replace")
        raise SystemExit(f"the watcher did not get where it should; it said last:\n{shown}")

    def cpu_seconds(self) -> float:
        """Return the CPU seconds it has used so far."""
        times = self._program.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Return the megabytes of memory it has now."""
        return float(self._program.memory_info().rss) / 1e6

    def memory_mb_max(self) -> float:
        """Return the most megabytes of memory it had so far (on Linux; elsewhere what it has)."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return self.memory_mb()
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def compiled() -> Iterator[None]:
    """Let programs start from bytecode while the context lasts, as installed ones do.

    It is kept in a folder of the run's own, whatever the environment says of bytecode.
    """
    with tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            [sys.executable, "-m", "daemon", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        yield


@contextmanager
def fresh_books(server: str) -> Iterator[tuple[str, Path]]:
    """Make an empty database and a folder; remove both in the end."""
    name = f"round_{next(_rounds)}"
    url = fresh_database(server, name)
    try:
        with tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
            yield url, Path(folder)
    finally:
        with psycopg.connect(server, autocommit=True) as session:
            session.execute(f"drop database {name} with (force)")


@contextmanager
def watching(
    chain: ChainOfStakes, books_url: str, settings: Settings, folder: Path
) -> Iterator[Watcher]:
    """Run `creditd watch` while the context lasts, with its configuration and log in a folder."""
    config, log = folder / "creditd.toml", folder / "watch.log"
    config.write_text(
        _CONFIG.format(
            chain_id=chain.chain_id,
            rpc_url=settings.rpc_url or chain.url,
            depth=settings.depth,
            on_deep_reorg=settings.on_deep_reorg,
            poll_ms=settings.poll_ms,
            contract=chain.contract.hex(),
            event=EVENT,
            credits_per_token=CREDITS_PER_TOKEN,
        ),
        encoding="utf-8",
    )
    reading, writing = os.pipe()  # however this program ends, the other one ends too
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "daemon", "--config", str(config), "watch"],
                env={**os.environ, "DATABASE_URL": books_url, LIFELINE: str(reading)},
                pass_fds=(reading,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        watcher = Watcher(process, log)
        try:
            yield watcher
        finally:
            watcher.stop()
    finally:
        os.close(reading)
        os.close(writing)


class Spending:
    """Counts CPU from when it is made: the watcher's, all of Postgres's, and that of others.

    `beside` are processes that belong to the measurement, such as the node.
    """

    def __init__(self, books_url: str, watcher_seconds: Callable[[], float], *beside: int) -> None:
        self._url = books_url
        self._watcher_seconds = watcher_seconds
        self._beside = [psutil.Process(pid) for pid in (os.getpid(), *beside)]
        self._at = self._now()
        self._began = time.perf_counter()

    def sample(self, value: float, operations: float, **more: float) -> Sample:
        """Return a sample with what each operation took until now."""
        elapsed = time.perf_counter() - self._began
        watcher, server, beside, busy = (
            after - before for after, before in zip(self._now(), self._at, strict=True)
        )
        return Sample(
            value=value,
            client_us=watcher * 1e6 / operations,
            postgres_us=server * 1e6 / operations,
            others=max(0.0, busy - watcher - server - beside) / (elapsed * (os.cpu_count() or 1)),
            more={
                **more,
                "watcher_cpu_s": watcher,
                "postgres_cpu_s": server,
                "node_cpu_s": beside,
            },
        )

    def _now(self) -> tuple[float, float, float, float]:
        beside = [process.cpu_times() for process in self._beside]
        return (
            self._watcher_seconds(),
            server_cpu_seconds(self._url),
            sum(float(times.user + times.system) for times in beside),
            machine_busy_seconds(),
        )


class Memory:
    """The watcher's memory over time, as `look` has seen it."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._seen: list[tuple[float, float]] = []

    def look(self) -> None:
        """Look, if MEMORY_SECONDS have passed since the last look."""
        now = time.perf_counter()
        if not self._seen or now - self._seen[-1][0] >= MEMORY_SECONDS:
            self._seen.append((now, self._watcher.memory_mb()))

    def over_time(self) -> list[float]:
        """Return the megabytes at every second or so."""
        return [round(mb, 1) for _, mb in self._seen[::LOOKS_TOLD]]

    def growth_mb(self) -> float:
        """Return by how much it grew over the second half, along the line that fits it best."""
        half = self._seen[len(self._seen) // 2 :]
        times, sizes = [at for at, _ in half], [mb for _, mb in half]
        middle, size = sum(times) / len(half), sum(sizes) / len(half)
        spread = sum((at - middle) ** 2 for at in times)
        if spread == 0:
            return 0.0
        slope = sum((at - middle) * (mb - size) for at, mb in half) / spread
        return slope * (times[-1] - times[0])
