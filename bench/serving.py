"""The API over HTTP beside an echo on the same server, a plain API on the same books, and pgbench.

The API process has a core to itself; Postgres and whoever asks share the other, for ours and for
every reference. All works run in turn, round by round: figures are medians of the rounds, ratios
medians of each round's ratio. The books are audited at the end, and a breach ends the run.
"""

import argparse
import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import uvloop
from asked_over_http import ITEMS, bulk, charges, reads
from filled_books import fill
from http_load import Request, drive
from measuring import (
    RESULTS,
    Sample,
    Work,
    figure,
    fresh_database,
    interleave,
    machine_busy_seconds,
    postgres,
    postmaster,
    server_cpu_seconds,
    settings,
    write_document,
)
from placing import (
    OTHERS_CORE,
    SERVER_CORE,
    Server,
    place,
    placed_here,
    serving,
    slowed_by_the_other_core,
)
from references import pgbench_n_alone, prepare_pgbench
from serving_bars import (
    ALONE,
    BALANCES,
    BARS,
    BULK,
    CROWD,
    ECHO,
    HOT,
    LONE,
    MEMORY,
    PLAIN_HOT,
    PLAIN_RANDOM,
    RANDOM,
)
from wanted import judge, tell
from writer import writing

from api.identity.keys import new_api_key
from ledger.audit import audit
from ledger.ids import AccountRef
from ledger.operating import Operating

HERE: Final = Path(__file__).parent
ACCOUNTS: Final = 10_000
MANY: Final = 64  # connections of an app that keeps a process busy
CROWDED: Final = 500
BULK_CONNECTIONS: Final = 8
SEEN: Final = 1_000  # accounts whose balances are read
CONFIG: Final = """
[api]
port = {port}

[[chains]]
name = "nowhere"
chain_id = 1
rpc_url = "http://127.0.0.1:1"
confirmation = "finalized"

[[chains.sources]]
name = "nothing"
contract = "0x0000000000000000000000000000000000000001"
event = "staking-rewards.Staked"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18 }}
"""
PLACED: Final = {
    "the API process, ours, the echo's or the plain one": f"core {SERVER_CORE}, alone",
    "Postgres": f"core {OTHERS_CORE}",
    "the load: this process, asyncio on uvloop (bench/http_load.py)": f"core {OTHERS_CORE}",
    "pgbench": f"core {SERVER_CORE}",
}


def main() -> None:
    """Measure and write bench/results/api.json."""
    options = _arguments()
    slowed = slowed_by_the_other_core()
    samples: dict[str, list[Sample]] = {}
    with postgres() as url, tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
        place(postmaster(url), OTHERS_CORE)
        books = fresh_database(url, "books")
        accounts = fill(books, ACCOUNTS)
        prepare_pgbench(url)
        api_key = asyncio.run(enter_key(books))
        with servers(books, Path(folder)) as (ours, echo, plain):
            works = works_of(url, books, (ours, echo, plain), accounts, api_key, options.seconds)
            wanted = [work for work in works if options.only in work.name]
            samples = interleave(wanted, options.rounds)
        figures = [asdict(figure(work.name, work.unit, samples[work.name])) for work in wanted]
        server = settings(url)
        if not asyncio.run(audit(books)).balanced:
            raise SystemExit("the books do not balance after the run")
    bars = judge(BARS, samples)
    tell(bars)
    print(f"told   the same work beside a busy core: {slowed:.2f} times the CPU (told only)")
    write_document(
        options.out,
        {
            "server": server,
            "placed": PLACED,
            "slowed by the other core": slowed,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "bars": [asdict(bar) for bar in bars],
            "figures": figures,
        },
    )


def works_of(  # noqa: PLR0917 - what there is to measure, and with what
    url: str,
    books: str,
    apis: tuple[Server, Server, Server],
    accounts: Sequence[AccountRef],
    api_key: str,
    seconds: float,
) -> list[Work]:
    """Return what to measure, each beside what it is held against."""
    ours, echo, plain = apis
    many = charges(accounts, api_key)
    one = charges(accounts[:1], api_key)

    def load(
        name: str, api: Server, requests: Sequence[Request], connections: int, items: int = 1
    ) -> Work:
        return Work(
            name,
            "charges/s",
            lambda: measured(books, api, requests, connections, seconds=seconds, items=items),
        )

    def lone() -> Sample:
        sample = measured(books, ours, many, 1, seconds=seconds)
        return Sample(
            sample.more["p50_ms"], sample.client_us, sample.postgres_us, sample.others, sample.more
        )

    def alone() -> Sample:
        with placed_here(SERVER_CORE):
            return pgbench_n_alone(url, seconds)

    def balances_beside_a_writer() -> Sample:
        with writing(books, accounts):
            return measured(books, ours, reads(accounts[:SEEN], api_key), MANY, seconds=seconds)

    return [
        load(ECHO, echo, many, MANY),
        load(RANDOM, ours, many, MANY),
        load(PLAIN_RANDOM, plain, many, MANY),
        load(HOT, ours, one, MANY),
        load(PLAIN_HOT, plain, one, MANY),
        Work(LONE, "ms", lone),
        Work(ALONE, "ms", alone),
        load(CROWD, ours, many, CROWDED),
        load(BULK, ours, bulk(accounts, api_key), BULK_CONNECTIONS, ITEMS),
        Work(BALANCES, "reads/s", balances_beside_a_writer),
        Work(MEMORY, "MB", lambda: Sample(ours.resident_mb(), 0)),
    ]


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds so far: of the API process, of Postgres, of this process, of the machine."""

    api: float
    postgres: float
    load: float
    machine: float

    @classmethod
    def by_now(cls, api: Server, url: str) -> "Spent":
        """Read them."""
        return cls(
            api.cpu_seconds(), server_cpu_seconds(url), time.process_time(), machine_busy_seconds()
        )

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent from then to this."""
        return Spent(
            self.api - before.api,
            self.postgres - before.postgres,
            self.load - before.load,
            self.machine - before.machine,
        )

    @property
    def others(self) -> float:
        """What the machine spent on anything else."""
        return max(0.0, self.machine - self.api - self.postgres - self.load)


def measured(
    url: str,
    api: Server,
    requests: Sequence[Request],
    connections: int,
    *,
    seconds: float,
    items: int = 1,
) -> Sample:
    """Ask an API from so many connections: charges a second, and CPU of one charge."""
    read: list[Spent] = []
    with placed_here(OTHERS_CORE):
        load = uvloop.run(
            drive(
                requests,
                port=api.port,
                connections=connections,
                seconds=seconds,
                reading=lambda: read.append(Spent.by_now(api, url)),
            )
        )
    spent = read[1].since(read[0])
    charged = len(load.times) * items
    p50, p99 = load.percentile(50), load.percentile(99)
    return Sample(
        value=charged / load.seconds,
        client_us=spent.api * 1e6 / charged,
        postgres_us=spent.postgres * 1e6 / charged,
        others=spent.others / (load.seconds * (os.cpu_count() or 1)),
        more={
            "load_us": spent.load * 1e6 / charged,
            "p50_ms": p50 * 1000,
            "p99_ms": p99 * 1000,
            "p50_of_share": p50 * load.rate / connections,
            "p99_of_p50": p99 / p50,
            "core_used": spent.api / load.seconds,
        },
    )


@contextmanager
def servers(url: str, folder: Path) -> Iterator[tuple[Server, Server, Server]]:
    """Run the three APIs while the context lasts: ours, the echo and the plain one."""
    config = folder / "creditd.toml"
    here = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    port, *ports = free_ports(3)
    config.write_text(CONFIG.format(port=port), encoding="utf-8")
    with ExitStack() as stack:
        ours = serving(
            "ours",
            ["-m", "daemon", "--config", str(config), "serve"],
            port,
            {**here, "DATABASE_URL": url},
        )
        others = [
            serving(name, ["-c", f"import {name}; {name}.main()", str(port), url], port, here)
            for name, port in zip(("echo_api", "plain_api"), ports, strict=True)
        ]
        yield (
            stack.enter_context(ours),
            stack.enter_context(others[0]),
            stack.enter_context(others[1]),
        )


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(each.getsockname()[1]) for each in listeners]


async def enter_key(url: str) -> str:
    """Give the app that opened the accounts an API key."""
    key = new_api_key()
    async with Operating.open(url) as operating:
        await operating.create_app_key(
            app="bench", scopes=["charge:write", "balance:read"], digest=key.digest, hint=key.hint
        )
    return key.text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all works (3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each work in a round (4)")
    parser.add_argument("--only", default="", help="works whose name has this (all)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "api.json", help="where the results go"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
