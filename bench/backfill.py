"""Reading history, every block proven, beside loops that believe the node."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import believing
import psycopg
from chain_of_stakes import EVENT, ChainOfStakes, Stake
from checked_books import require_books, require_sums
from measuring import Sample, checkpoint
from proxy import Proxy, before
from watched import Books, Memory, Settings, Spending, fresh_books, watching

from contracts.catalogue import EVENTS
from ledger.migrate import migrate

BELIEVING_SECONDS_MAX: Final = 600.0


@dataclass(slots=True)
class History:
    """A chain to be read from its beginning, again and again into fresh books."""

    server: str
    chain: ChainOfStakes
    by_blocks: bool = False  # what is counted by the second: blocks, or else events
    stakes: Sequence[Stake] = field(init=False)
    head: int = field(init=False)
    memory: list[list[float]] = field(default_factory=list)  # of each round

    def __post_init__(self) -> None:
        self.stakes = self.chain.stakes()
        self.head = self.chain.head()

    def followed(self, round_trip_ms: float = 0) -> Sample:
        """Let `creditd watch` read it, from leading the chain until the last grant.

        With `round_trip_ms` the node is that far away. The books must then be what the chain says.
        """
        if not round_trip_ms:
            return self._followed(None)
        with before(self.chain.url, round_trip_ms) as proxy:
            return self._followed(proxy)

    def _followed(self, proxy: Proxy | None) -> Sample:
        with fresh_books(self.server) as (url, folder):
            migrate(url)
            checkpoint(url)
            settings = Settings(rpc_url=None if proxy is None else proxy.url)
            beside = (self.chain.pid, *(() if proxy is None else (proxy.pid,)))
            with (
                Books(url, self.chain.chain_id) as books,
                watching(self.chain, url, settings, folder) as watcher,
            ):
                began = watcher.until(lambda: books.leader() > 0, look_seconds=0.002)
                spending = Spending(url, watcher.cpu_seconds, *beside)
                memory = Memory(watcher)
                ended = watcher.until(
                    lambda: books.confirmed() >= self.head - 1, meanwhile=memory.look
                )
                count = self.head if self.by_blocks else len(self.stakes)
                sample = spending.sample(
                    count / (ended - began),
                    count,
                    seconds=ended - began,
                    memory_mb=watcher.memory_mb_max(),
                    memory_growth_mb=memory.growth_mb(),
                )
                if proxy is None:
                    self.memory.append(memory.over_time())
            require_books(url, self.stakes, confirmed=self.head - 1)
        return sample

    def believed(self, how: str) -> Sample:
        """Let a bare loop read it, by `logs` or by `receipts`: events per second."""
        with fresh_books(self.server) as (url, _):
            with psycopg.connect(url) as session:
                session.execute(believing.TABLES)
            checkpoint(url)
            task = {
                "how": how,
                "node": self.chain.url,
                "books": url,
                "contract": "0x" + self.chain.contract.hex(),
                "topic": "0x" + EVENTS[EVENT].topic0.hex(),
            }
            spending = Spending(url, _ended_children_seconds, self.chain.pid)
            took = _in_a_process(task)
            sample = spending.sample(
                len(self.stakes) / took["seconds"], len(self.stakes), seconds=took["seconds"]
            )
            require_sums(url, self.stakes)
        # What it took the program to start is not its reading.
        return replace(
            sample,
            client_us=took["cpu"] * 1e6 / len(self.stakes),
            more={**sample.more, "watcher_cpu_s": took["cpu"]},
        )


def _in_a_process(task: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", "import believing; believing.main()", json.dumps(task)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        check=True,
        timeout=BELIEVING_SECONDS_MAX,
    )
    took: dict[str, float] = json.loads(done.stdout)
    return took


def _ended_children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system
