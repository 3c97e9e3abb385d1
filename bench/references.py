"""What the ledger is held against, on the same server: pgbench, and double entry in plain SQL."""

import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
from measuring import Meter, Sample, program, say

CLIENTS: Final = (1, 2, 4, 8, 16, 32)
CALIBRATION_SECONDS: Final = 2.0
SCALE: Final = 10

_DONE = re.compile(r"number of transactions actually processed: (\d+)")
_TPS = re.compile(r"tps = ([0-9.]+)")
_LATENCY_COLUMN: Final = 2  # of a line of pgbench's log, in µs
# Of a plain account: any, or always the same.
_PLAIN: Final = {
    "random": "\\set a random(1, {accounts})\nselect plain_charge(:a, 1000, gen_random_uuid());\n",
    "hot": "select plain_charge(1, 1000, gen_random_uuid());\n",
}


def prepare_pgbench(url: str) -> None:
    """Make pgbench's tables."""
    subprocess.run(
        [program("pgbench"), "-i", "-q", "-s", str(SCALE), url],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def prepare(url: str, accounts: int) -> None:
    """Make pgbench's tables, and a plain ledger with as many accounts as ours."""
    prepare_pgbench(url)
    text = (Path(__file__).parent / "plain_ledger.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)
        connection.execute(
            "insert into plain_account select n, 1000000000000000 from generate_series(0, %s) n",
            (accounts,),
        )
        connection.execute("vacuum analyze plain_account")


def best_clients(
    name: str, run: Callable[[int, float], Sample], counts: tuple[int, ...] = CLIENTS
) -> int:
    """Return the count of clients that gets most done, tried shortly one after the other."""
    rates = {clients: run(clients, CALIBRATION_SECONDS).value for clients in counts}
    best = max(rates, key=rates.__getitem__)
    tried = ", ".join(f"{clients}: {rate:,.0f}" for clients, rate in rates.items())
    say(f"calibration, {name}: {tried}; best with {best} clients")
    return best


def pgbench_n(url: str, clients: int, seconds: float) -> Sample:
    """Run `pgbench -N` (simple updates) prepared."""
    return _pgbench(url, seconds, clients, "-N")


def pgbench_n_alone(url: str, seconds: float) -> Sample:
    """Run `pgbench -N` with one client: the median time of a transaction in ms."""
    with tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
        sample = _pgbench(url, seconds, 1, "-N", "-l", f"--log-prefix={folder}/log")
        times = sorted(
            int(line.split()[_LATENCY_COLUMN]) / 1000
            for file in Path(folder).iterdir()
            for line in file.read_text(encoding="ascii").splitlines()
        )
    return alone(sample, times)


def alone(sample: Sample, times_ms: list[float]) -> Sample:
    """Return the sample of one client: its figure is the median time, not the rate."""
    ordered = sorted(times_ms)
    return Sample(
        value=statistics.median(ordered),
        client_us=sample.client_us,
        postgres_us=sample.postgres_us,
        others=sample.others,
        more={"p99_ms": ordered[len(ordered) * 99 // 100], "per_second": sample.value},
    )


def plain(url: str, which: str, accounts: int, clients: int, seconds: float) -> Sample:
    """Charge the plain ledger's accounts, `which` of them being random or hot."""
    with tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
        script = Path(folder) / f"{which}.sql"
        script.write_text(_PLAIN[which].format(accounts=accounts), encoding="utf-8")
        return _pgbench(url, seconds, clients, "-f", str(script))


def _pgbench(url: str, seconds: float, clients: int, *arguments: str) -> Sample:
    meter = Meter(url)
    done = subprocess.run(
        [
            program("pgbench"),
            *("-n", "-M", "prepared", "-T", str(max(1, round(seconds))), *arguments),
            *("-c", str(clients), "-j", str(min(2, clients)), url),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    count, rate = _DONE.search(done.stdout), _TPS.search(done.stdout)
    if count is None or rate is None:
        raise SystemExit(f"pgbench said nothing of use: {done.stdout}{done.stderr}")
    sample = meter.sample(int(count.group(1)))
    # Its own rate leaves out how long it took to connect.
    return Sample(float(rate.group(1)), sample.client_us, sample.postgres_us, sample.others)
