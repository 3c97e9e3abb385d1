"""At the tip of a chain: new blocks, reorgs, a watcher that is killed, and one that is idle."""

import random
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from chain_of_stakes import EVENTS_PER_TRANSACTION, ChainOfStakes
from checked_books import require_books
from measuring import Sample
from proxy import before
from watched import Books, Settings, Spending, fresh_books, watching

from ledger.migrate import migrate

POLL_MS: Final = 100
PENDING_DEPTH: Final = 12  # so that what is mined here is pending when it is first seen
LATENCY_BLOCKS: Final = 100
LATENCY_LOOK_SECONDS: Final = 0.001
REORG_BLOCKS: Final = 64
NEW_BLOCKS: Final = REORG_BLOCKS + 2  # the other branch is longer, so that it is confirmed further
MISSED_BLOCKS: Final = 20
IDLE_BLOCK_SECONDS: Final = 2
SETTLING_SECONDS: Final = 2.0
START_BLOCKS: Final = 100  # more than a reorg takes away


@dataclass(frozen=True, slots=True)
class Tip:
    """A chain whose tip is followed into fresh books, in every measurement anew."""

    server: str
    chain: ChainOfStakes

    def seen(self) -> Sample:
        """Mine blocks at any moment of the poll; the figure is the median time in ms.

        It is counted from the node's word that a block is mined until another session of Postgres
        sees its events pending.
        """
        times: list[float] = []
        with fresh_books(self.server) as (url, folder):
            migrate(url)
            settings = Settings(poll_ms=POLL_MS, depth=PENDING_DEPTH)
            with (
                Books(url, self.chain.chain_id) as books,
                watching(self.chain, url, settings, folder) as watcher,
            ):
                watcher.until(lambda: books.indexed() == self.chain.head())
                spending = Spending(url, watcher.cpu_seconds, self.chain.pid)
                for number in range(self.chain.head() + 1, self.chain.head() + LATENCY_BLOCKS + 1):
                    events = self.chain.send()
                    # Any moment of the poll is as likely as any other.
                    time.sleep(random.uniform(1, 2) * POLL_MS / 1_000)
                    self.chain.mine()
                    mined = time.perf_counter()
                    visible = watcher.until(
                        lambda number=number, events=events: (  # type: ignore[misc]  # of this turn
                            books.pending_in(number) == events
                        ),
                        LATENCY_LOOK_SECONDS,
                    )
                    times.append((visible - mined) * 1_000)
                sample = spending.sample(
                    median(times),
                    LATENCY_BLOCKS * EVENTS_PER_TRANSACTION,
                    p95_ms=quantiles(times, n=20)[-1],
                    max_ms=max(times),
                )
            head = self.chain.head()
            require_books(url, self.chain.stakes(), confirmed=head - PENDING_DEPTH, indexed=head)
        return sample

    def swapped(self) -> Sample:
        """Replace blocks that are all pending by others; the figure is in seconds."""
        return self._reorged(Settings(poll_ms=POLL_MS, depth=REORG_BLOCKS))

    def reversed(self) -> Sample:
        """Replace blocks that are granted, but for the last; the figure is in seconds."""
        return self._reorged(Settings(poll_ms=POLL_MS, depth=1, on_deep_reorg="reverse"))

    def _reorged(self, settings: Settings) -> Sample:
        """Replace blocks at once, and wait until the books are those of the other branch."""
        chain, node = self.chain, self.chain.node
        with before(chain.url) as proxy, fresh_books(self.server) as (url, folder):
            migrate(url)
            settings = Settings(
                settings.poll_ms, settings.depth, settings.on_deep_reorg, rpc_url=proxy.url
            )
            with (
                Books(url, chain.chain_id) as books,
                watching(chain, url, settings, folder) as watcher,
            ):
                snapshot = node.call("evm_snapshot")
                chain.add(REORG_BLOCKS)
                orphaned = chain.head()
                watcher.until(lambda: books.confirmed() == orphaned - settings.depth)
                proxy.hold()
                node.call("evm_revert", snapshot)
                chain.add(NEW_BLOCKS)
                head = chain.head()
                head_hash = chain.hash_of(head)
                spending = Spending(url, watcher.cpu_seconds, chain.pid, proxy.pid)
                began = time.perf_counter()
                proxy.release()
                ended = watcher.until(
                    lambda: (
                        books.confirmed() == head - settings.depth
                        and books.shows(head, head_hash, EVENTS_PER_TRANSACTION)
                    ),
                    LATENCY_LOOK_SECONDS,
                )
                sample = spending.sample(ended - began, NEW_BLOCKS * EVENTS_PER_TRANSACTION)
            require_books(url, chain.stakes(), confirmed=head - settings.depth, indexed=head)
        return sample

    def restarted(self) -> Sample:
        """Kill the watcher, mine some blocks, start it; the figure is in seconds from its start."""
        chain = self.chain
        with fresh_books(self.server) as (url, folder):
            migrate(url)
            settings = Settings()
            with Books(url, chain.chain_id) as books:
                with watching(chain, url, settings, folder) as watcher:
                    watcher.until(lambda: books.indexed() == chain.head())
                    watcher.kill()
                chain.add(MISSED_BLOCKS)
                head = chain.head()
                began = time.perf_counter()
                with watching(chain, url, settings, folder) as watcher:
                    # What it takes to start is of the figure, and so is its CPU.
                    spending = Spending(url, watcher.cpu_seconds, chain.pid)
                    led = watcher.until(lambda: books.leader() > 1, LATENCY_LOOK_SECONDS)
                    ended = watcher.until(lambda: books.indexed() == head, LATENCY_LOOK_SECONDS)
                    sample = spending.sample(
                        ended - began,
                        MISSED_BLOCKS * EVENTS_PER_TRANSACTION,
                        until_leading_s=led - began,
                    )
                    watcher.until(lambda: books.confirmed() == head - settings.depth)
            require_books(url, chain.stakes(), confirmed=head - settings.depth, indexed=head)
        return sample

    def idle(self, seconds: float) -> Sample:
        """Follow a chain of empty blocks; the figure is CPU, in percent of a core.

        `seconds` are enough for some blocks.
        """
        with fresh_books(self.server) as (url, folder):
            migrate(url)
            with (
                Books(url, self.chain.chain_id) as books,
                watching(self.chain, url, Settings(), folder) as watcher,
            ):
                watcher.until(lambda: books.indexed() == self.chain.head())
                time.sleep(SETTLING_SECONDS)
                first, before_idle = books.indexed(), watcher.cpu_seconds()
                spending = Spending(url, watcher.cpu_seconds, self.chain.pid)
                time.sleep(seconds)
                used = watcher.cpu_seconds() - before_idle
                sample = spending.sample(
                    used / seconds * 100,
                    books.indexed() - first,
                    memory_mb=watcher.memory_mb(),
                )
                watcher.until(lambda: books.indexed() == self.chain.head())
            return sample
