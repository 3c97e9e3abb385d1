"""Where the programs of a benchmark run, and what one of them costs apart from all others.

One core is for the API process alone; Postgres and whoever asks share the other. So neither the
load nor the database takes turns with what is measured, and all references are placed alike.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

SERVER_CORE: Final = 0
OTHERS_CORE: Final = 1
START_SECONDS_MAX: Final = 30
WORKS: Final = 21  # of some 10 ms each: what the machine does besides is in few of them
WORK_STEPS: Final = 200_000
STOP_SECONDS_MAX: Final = 5


def place(pid: int, core: int) -> None:
    """Keep a process, all its threads and all its children, to one core."""
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # a worker that has just ended
            for thread in each.threads():
                os.sched_setaffinity(thread.id, {core})


@contextmanager
def placed_here(core: int) -> Iterator[None]:
    """Keep this process, and whatever it starts meanwhile, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def slowed_by_the_other_core() -> float:
    """Return how many times the CPU a fixed work takes here while the other core is busy.

    More than 1 where the two are threads of one core: then whoever works beside a busy database is
    charged more CPU for the same work than whoever works beside an idle one.
    """
    busy = f"import os\nos.sched_setaffinity(0, {{{OTHERS_CORE}}})\nwhile True: str(os.getpid())"
    with placed_here(SERVER_CORE):
        alone = _fixed_work_seconds()
        with subprocess.Popen([sys.executable, "-c", busy]) as process:
            try:
                beside = _fixed_work_seconds()
            finally:
                process.kill()
    return beside / alone


def _fixed_work_seconds() -> float:
    took = []
    for _ in range(WORKS):
        began = time.process_time()
        for number in range(WORK_STEPS):
            str(number)
        took.append(time.process_time() - began)
    return statistics.median(took)


class Server:
    """A process that serves HTTP on a port of this machine. Made by `serving`."""

    def __init__(self, name: str, pid: int, port: int) -> None:
        self.name = name
        self.port = port
        self._pid = pid

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the process and its threads so far."""
        tasks = Path(f"/proc/{self._pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def resident_mb(self) -> float:
        """Return the memory it holds, what it shares with others included, in MB (10^6 bytes)."""
        return float(psutil.Process(self._pid).memory_info().rss) / 1e6


@contextmanager
def serving(
    name: str, command: Sequence[str], port: int, environ: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server on its core while the context lasts, once it listens."""
    with (
        placed_here(SERVER_CORE),
        subprocess.Popen([sys.executable, *command], env={**os.environ, **environ}) as process,
    ):
        try:
            _wait_for(name, process, port)
            os.sched_setaffinity(0, {OTHERS_CORE})
            yield Server(name, process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while not any(
        each.laddr.port == port and each.status == psutil.CONN_LISTEN
        for each in psutil.Process(process.pid).net_connections("tcp")
    ):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{name} does not listen on port {port}")
        time.sleep(0.05)
