"""Charges on the books against plain SQL on the same PostgreSQL."""

import argparse
import asyncio
import hashlib
import itertools
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg
from measuring import Sample, compare, postgres, program, server_cpu_seconds, write

from ledger.audit import audit
from ledger.ids import AccountRef
from ledger.migrate import migrate
from ledger.operating import Operating, PriceRow
from ledger.outcomes import Charged
from ledger.spending import Spending
from ledger.watching import ChainEntry, RuleEntry, SeenBlock, SeenEvent, Watching

ACCOUNTS: Final = 10_000
IN_FLIGHT: Final = 128  # independent callers
CREDITS_EACH: Final = 1_000_000_000_000

_TPS = re.compile(r"tps = ([0-9.]+)")
_LATENCY = re.compile(r"latency average = ([0-9.]+) ms")


def main() -> None:
    """Measure and write bench/results/ledger.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with postgres() as url:
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                (Path(__file__).parent / "plain_ledger.sql").read_text(encoding="utf-8")
            )
        subprocess.run([program("pgbench"), "-i", "-q", "-s", "10", url], check=True, stderr=-3)
        accounts = asyncio.run(fill(url))
        rows = [
            compare(
                work="charges, 10,000 random accounts",
                unit="charges/s",
                rounds=options.rounds,
                ours=lambda: asyncio.run(charge(url, accounts, IN_FLIGHT, options.seconds)),
                reference=lambda: pgbench(url, options.seconds, "-N", "-c", "8"),
                reference_is="pgbench -N, 8 clients",
            ),
            compare(
                work="charges, one hot account",
                unit="charges/s",
                rounds=options.rounds,
                ours=lambda: asyncio.run(charge(url, accounts[:1], IN_FLIGHT, options.seconds)),
                reference=plain(url, options.seconds, "8"),
                reference_is="plain SQL double entry, one hot account, 8 clients",
            ),
            compare(
                work="a lone charge",
                unit="ms",
                rounds=options.rounds,
                ours=lambda: asyncio.run(charge(url, accounts, 1, options.seconds)),
                reference=lambda: pgbench(url, options.seconds, "-N", "-c", "1"),
                reference_is="pgbench -N, one client",
            ),
        ]
        report = asyncio.run(audit(url))
        if not report.balanced:
            raise SystemExit("the books do not balance after the run")
    write("ledger", rows)


async def fill(url: str) -> Sequence[AccountRef]:
    """Make the accounts, by one event each, and a price."""
    async with Operating.open(url) as operating:
        await operating.apply_prices([PriceRow("call", 1000, 0, "call")])
        await operating.create_app_key(
            app="bench", scopes=["charge:write"], digest=bytes(32), hint="none"
        )
    chain = ChainEntry(1, "bench", bytes(32), 1, -1, bytes(32), 0)
    rule = RuleEntry("given", bytes(20), "staking-rewards.Staked", 0, None, None, None)
    wallets = [number.to_bytes(20) for number in range(ACCOUNTS)]
    async with Watching.lead(url, chain, "bench") as watching:
        rule_id = (await watching.enter_rules([rule]))["given"]
        block = SeenBlock(0, hashlib.sha256(b"0").digest(), bytes(32), 1_700_000_000)
        events = [
            SeenEvent(0, hashlib.sha256(w).digest(), 0, 0, n, rule_id, w, 1, CREDITS_EACH)
            for n, w in enumerate(wallets)
        ]
        await watching.append(
            head_number=0,
            blocks=[block],
            events=events,
            set_aside=[],
            confirm=(0, block.hash),
            remember=100,
        )
    async with Spending.open(url) as spending:
        return [
            (await spending.open_wallet_account(app_id=1, chain_id=1, address=wallet)).account
            for wallet in wallets
        ]


async def charge(
    url: str, accounts: Sequence[AccountRef], in_flight: int, seconds: float
) -> Sample:
    """Charge from `in_flight` callers at once; one caller gives its median time in ms instead."""
    keys = (f"{os.urandom(8).hex()}-{number}" for number in itertools.count())
    times: list[float] = []

    async def caller(spending: Spending, until: float) -> None:
        while (before := time.perf_counter()) < until:
            outcome = await spending.charge(
                app_id=1, account=random.choice(accounts), key=next(keys), operation="call", units=1
            )
            if not isinstance(outcome, Charged):
                raise SystemExit(f"a charge did not go through: {outcome}")
            times.append(time.perf_counter() - before)

    async with Spending.open(url) as spending:
        cpu = time.process_time() + server_cpu_seconds(url)
        began = time.perf_counter()
        await asyncio.gather(*[caller(spending, began + seconds) for _ in range(in_flight)])
        elapsed = time.perf_counter() - began
        cpu_us = (time.process_time() + server_cpu_seconds(url) - cpu) * 1e6 / len(times)
    if in_flight == 1:
        return Sample(sorted(times)[len(times) // 2] * 1000, cpu_us)
    return Sample(len(times) / elapsed, cpu_us)


def plain(url: str, seconds: float, clients: str) -> Callable[[], Sample]:
    """Return the plain ledger's hot account as something to measure."""
    script = Path(tempfile.mkdtemp(prefix="creditd-bench-")) / "hot.sql"
    script.write_text("select plain_charge(1, 1000, gen_random_uuid());\n", encoding="utf-8")
    return lambda: pgbench(url, seconds, "-f", str(script), "-c", clients)


def pgbench(url: str, seconds: float, *arguments: str) -> Sample:
    """Run pgbench: transactions per second, or ms on average for one client."""
    cpu = server_cpu_seconds(url)
    before = os.times()
    done = subprocess.run(
        [
            program("pgbench"),
            *("-n", "-M", "prepared", "-T", str(max(1, int(seconds))), *arguments),
            *("-j", "1", url),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    after = os.times()
    tps = _TPS.search(done.stdout)
    latency = _LATENCY.search(done.stdout)
    if tps is None or latency is None:
        raise SystemExit(f"pgbench said nothing of use: {done.stdout}")
    client = after.children_user + after.children_system
    client -= before.children_user + before.children_system
    cpu_us = (server_cpu_seconds(url) - cpu + client) * 1e6 / (float(tps.group(1)) * seconds)
    one_client = arguments[-1] == "1"
    return Sample(float(latency.group(1) if one_client else tps.group(1)), cpu_us)


if __name__ == "__main__":
    main()
