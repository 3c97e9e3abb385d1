"""Everything of the watcher's speed in one run, beside what it is to be held against.

The watcher is `creditd watch` itself, configured as an operator would, on a chain of anvil's that
the run makes. All works of a part run in turn, round by round, on one PostgreSQL with its
durability as shipped. After every round the books must hold exactly what the chain says, and
balance: a breach ends the run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import watcher_bars as bars
from backfill import History
from chain_of_stakes import EVENTS_PER_TRANSACTION, running
from measuring import (
    RESULTS,
    Figure,
    Sample,
    Work,
    figure,
    interleave,
    postgres,
    say,
    settings,
    write_document,
)
from parts import chosen, parser_of, told
from tip import IDLE_BLOCK_SECONDS, MISSED_BLOCKS, REORG_BLOCKS, START_BLOCKS, Tip
from wanted import judge, tell
from watched import compiled

QUIET: Final = 0.05  # share of the machine that others may use: above it no figure is to be trusted
HISTORY_BLOCKS: Final = 5_000
TRANSACTIONS: Final = 4  # in a block of the history
SPARSE_BLOCKS: Final = 10_000  # where the history has HISTORY_BLOCKS
EVENT_EVERY: Final = 100  # blocks, where it is sparse
ROUND_TRIP_MS: Final = 50

PARTS: Final = {
    "backfill": "history of 20 events a block, against loops that believe the node; its memory",
    "delayed": "the same history through a proxy that makes every round trip 50 ms longer",
    "sparse": "history with one event in a hundred blocks",
    "tip": "from the moment a block is mined until its events are pending in the books",
    "reorg": f"{REORG_BLOCKS} blocks replaced by others at once, pending ones and granted ones",
    "restart": f"kill -9, {MISSED_BLOCKS} blocks, and back at the tip",
    "idle": f"CPU at the tip of a chain of empty blocks, one every {IDLE_BLOCK_SECONDS} s",
}
TEACHING: Final = """
parts (--only takes some of them, with commas between):
{parts}

what a line says:
  [2/3] backfill: 20,000.00 events/s (CPU µs: client 40.0, Postgres 70.0; others 3%, …)
  Round 2 of 3; CPU of one event in the watcher and in all of Postgres; the share of the machine
  that neither of them, nor the node, nor the benchmark used: above {quiet:.0%} do not trust the
  round, and count such rounds in the results (noisy_samples).

examples:
  python bench/following.py --rounds 1 --blocks 200 --only backfill
  python bench/following.py --only tip,reorg,restart --out tip.json
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What the command line asks for."""

    rounds: int
    blocks: int
    idle_seconds: float
    parts: frozenset[str]
    out: Path


@dataclass(slots=True)
class Findings:
    """What was measured so far."""

    rounds: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    series: dict[str, object] = field(default_factory=dict)

    def measure(self, works: Sequence[Work]) -> None:
        """Run works in turn, round by round."""
        self.samples.update(interleave(works, self.rounds))
        self.figures += [figure(work.name, work.unit, self.samples[work.name]) for work in works]


def main() -> None:
    """Measure and write bench/results/watcher.json."""
    run = _arguments()
    findings = Findings(run.rounds)
    with postgres() as server, compiled():
        shipped = settings(server)
        if run.parts & {"backfill", "delayed"}:
            _history(run, server, findings)
        if "sparse" in run.parts:
            _sparse(run, server, findings)
        if run.parts & {"tip", "reorg", "restart"}:
            _tip(run, server, findings)
        if "idle" in run.parts:
            with running(block_time=IDLE_BLOCK_SECONDS) as chain:
                tip = Tip(server, chain)
                findings.measure([Work(bars.IDLE, "%", lambda: tip.idle(run.idle_seconds))])
    noisy = [
        sample for some in findings.samples.values() for sample in some if sample.others > QUIET
    ]
    if noisy:
        say(f"others used more than {QUIET:.0%} of the machine in {len(noisy)} samples: not quiet")
    judged = judge(bars.BARS, findings.samples)
    tell(judged)
    write_document(
        run.out,
        {
            "server": shipped,
            "rounds": run.rounds,
            "blocks": run.blocks,
            "noisy_samples": len(noisy),
            "samples": sum(len(some) for some in findings.samples.values()),
            "bars": [asdict(bar) for bar in judged],
            "figures": [asdict(row) for row in findings.figures],
            "over_time": findings.series,
        },
    )


def _history(run: Run, server: str, findings: Findings) -> None:
    """Measure how fast a long history is read, from near and from far."""
    with running("--prune-history", blocks=run.blocks) as chain:
        events = run.blocks * TRANSACTIONS * EVENTS_PER_TRANSACTION
        say(f"making a chain of {run.blocks:,} blocks and {events:,} events")
        chain.add(run.blocks, TRANSACTIONS)
        chain.add_empty(1)
        history = History(server, chain)
        works = []
        if "backfill" in run.parts:
            works += [
                Work(bars.BACKFILL, "events/s", history.followed),
                Work(bars.LOGS, "events/s", lambda: history.believed("logs")),
                Work(bars.RECEIPTS, "events/s", lambda: history.believed("receipts")),
            ]
        if "delayed" in run.parts:
            works.append(Work(bars.DELAYED, "events/s", lambda: history.followed(ROUND_TRIP_MS)))
        findings.measure(works)
        findings.series["memory in MB at each second of a backfill"] = history.memory


def _sparse(run: Run, server: str, findings: Findings) -> None:
    """Measure how fast a history is read where headers alone prove nearly all of it."""
    blocks = SPARSE_BLOCKS * run.blocks // HISTORY_BLOCKS
    with running("--prune-history", blocks=blocks) as chain:
        say(f"making a chain of {blocks:,} blocks with an event in each {EVENT_EVERY}th")
        for number in range(blocks // EVENT_EVERY):
            chain.add_empty(EVENT_EVERY - 1)
            chain.add_lone(number)
        chain.add_empty(1)
        history = History(server, chain, by_blocks=True)
        findings.measure([Work(bars.SPARSE, "blocks/s", history.followed)])


def _tip(run: Run, server: str, findings: Findings) -> None:
    """Measure what happens near the tip."""
    with running() as chain:
        chain.add(START_BLOCKS)
        tip = Tip(server, chain)
        works = []
        if "tip" in run.parts:
            works.append(Work(bars.LATENCY, "ms", tip.seen))
        if "reorg" in run.parts:
            works += [
                Work(bars.SWAP, "s", tip.swapped),
                Work(bars.REVERSAL, "s", tip.reversed),
            ]
        if "restart" in run.parts:
            works.append(Work(bars.RESTART, "s", tip.restarted))
        findings.measure(works)


def _arguments() -> Run:
    teaching = TEACHING.format(quiet=QUIET, parts=told(PARTS))
    parser = parser_of(__doc__, teaching, PARTS, RESULTS / "watcher.json")
    parser.add_argument("--blocks", type=int, default=HISTORY_BLOCKS, help="of the history (5000)")
    parser.add_argument("--idle", type=float, default=30, help="seconds with nothing to do (30)")
    options = parser.parse_args()
    parts = chosen(parser, options.only, PARTS)
    return Run(options.rounds, options.blocks, options.idle, parts, options.out)


if __name__ == "__main__":
    main()
