"""Everything of the watcher's speed in one run, beside what it is to be held against.

The watcher is `creditd watch` itself, configured as an operator would, on a chain of anvil's that
the run makes. All works of a part run in turn, round by round, on one PostgreSQL with its
durability as shipped. After every round the books must hold exactly what the chain says, and
balance: a breach ends the run.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
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
from wanted import judge, tell

QUIET: Final = 0.05  # share of the machine that others may use: above it no figure is to be trusted
TRANSACTIONS: Final = 4  # in a block of the history

PARTS: Final = {
    "backfill": "history of 20 events a block, against loops that believe the node; its memory",
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
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What the command line asks for."""

    rounds: int
    blocks: int
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
    with postgres() as server, ExitStack() as stack:
        shipped = settings(server)
        if "backfill" in run.parts:
            _history(run, server, findings, stack)
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


def _history(run: Run, server: str, findings: Findings, stack: ExitStack) -> None:
    """Measure how fast a long history is read."""
    chain = stack.enter_context(running("--prune-history", blocks=run.blocks))
    events = run.blocks * TRANSACTIONS * EVENTS_PER_TRANSACTION
    say(f"making a chain of {run.blocks:,} blocks and {events:,} events")
    chain.add(run.blocks, TRANSACTIONS)
    chain.add_empty(1)
    history = History(server, chain)
    if "backfill" in run.parts:
        findings.measure(
            [
                Work(bars.BACKFILL, "events/s", history.followed),
                Work(bars.LOGS, "events/s", lambda: history.believed("logs")),
                Work(bars.RECEIPTS, "events/s", lambda: history.believed("receipts")),
            ]
        )
        findings.series["memory in MB while backfilling, by seconds"] = history.memory


def _arguments() -> Run:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=TEACHING.format(
            quiet=QUIET, parts="\n".join(f"  {name:<9} {says}" for name, says in PARTS.items())
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all works (3)")
    parser.add_argument("--blocks", type=int, default=5_000, help="in the history (5000)")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help="parts to run")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "watcher.json", help="where the results go"
    )
    options = parser.parse_args()
    parts = frozenset(options.only.split(","))
    if unknown := parts - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: take of {', '.join(PARTS)}")
    return Run(options.rounds, options.blocks, parts, options.out)


if __name__ == "__main__":
    main()
