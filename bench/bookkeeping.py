"""Everything of the ledger's speed in one run, beside what it is to be held against.

All works run in turn, round by round, on one PostgreSQL with its durability as shipped: figures are
medians of the rounds, ratios medians of each round's ratio. The books are audited in every round,
and a breach ends the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import bare_limit
import granting
import hard_cases
import migrating
import references
from bars import bars_of
from callers import IN_FLIGHT, bare_charges, charges, lone_charge
from filled_books import audited, fill
from measuring import (
    RESULTS,
    Figure,
    Sample,
    Work,
    figure,
    fresh_database,
    interleave,
    postgres,
    say,
    settings,
    write_document,
)
from parts import chosen, parser_of, told
from wanted import tell

from ledger.ids import AccountRef

ACCOUNTS: Final = 100_000
QUIET: Final = (
    0.05  # share of the machine that others may use: above it a figure is not to be trusted
)

PARTS: Final = {
    "hot": "charges on one account, against plain SQL and the bare limit",
    "random": f"charges on {ACCOUNTS:,} accounts, against pgbench -N, plain SQL and the bare limit",
    "lone": "one caller's charge, against one client of pgbench -N",
    "lots": f"charges on accounts of {hard_cases.LOTS_EACH:,} lots, each crossing into the next",
    "grants": "grants in bulk, and the 99th percentile of charges meanwhile",
    "migrating": "the longest that a charge waits while the books are migrated",
    "size": "charges in large books against small ones, their WAL, and the audit of the large",
    "snapshot": "one account's charges over a minute beside an idle REPEATABLE READ transaction",
}
TEACHING: Final = """
parts (--only takes some of them, with commas between):
{parts}

what a line says:
  [2/3] charges, hot: 30,000.00 charges/s (CPU µs: client 14.0, Postgres 17.0; others 3%, …)
  Round 2 of 3; CPU of one charge in the process that asks and in all of Postgres; the share of the
  machine that neither of them used: above {quiet:.0%} do not trust the round, and count such rounds
  in the results (noisy_samples). WAL bytes and page images are of one charge.

the bare limit writes the rows of our charges and decides nothing. Its ratio is taken with the same
callers and lanes on both sides; the prebuilt one has no callers and is told beside it.

examples:
  python bench/bookkeeping.py --rounds 1 --seconds 2 --only hot,random,lone
  python bench/bookkeeping.py --only size --entries 2000000 --out size.json
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What the command line asks for, and how many clients each reference is best with."""

    rounds: int
    seconds: float
    entries: int
    events: int
    parts: frozenset[str]
    out: Path
    clients: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Measure and write bench/results/ledger.json."""
    run = _arguments()
    samples: dict[str, list[Sample]] = {}
    figures: list[Figure] = []
    series: dict[str, object] = {}
    with postgres() as url:
        server = settings(url)

        def measure(works: Sequence[Work], rounds: int = run.rounds) -> None:
            samples.update(interleave(works, rounds))
            figures.extend(figure(work.name, work.unit, samples[work.name]) for work in works)

        if run.parts & {"hot", "random", "lone", "lots"}:
            measure(_charging(run, url))
        if "grants" in run.parts:
            books = fresh_database(url, "grants")
            measure([*granting.works(books, run.events, run.seconds), _audit("grants", books)])
        if "migrating" in run.parts:
            books = fresh_database(url, "migrating")
            measure([*migrating.works(books, fill(books)), _audit("migrating", books)])
        if "snapshot" in run.parts:
            books = fresh_database(url, "snapshot")
            series["beside an old snapshot"] = hard_cases.beside_an_old_snapshot(books, fill(books))
        if "size" in run.parts:
            works, largest = hard_cases.at_sizes(url, run.entries, run.seconds)
            measure(works)
            measure([_audit(f"{run.entries:,} entries", largest)], rounds=1)
    noisy = [sample for some in samples.values() for sample in some if sample.others > QUIET]
    if noisy:
        say(f"others used more than {QUIET:.0%} of the machine in {len(noisy)} samples: not quiet")
    bars = bars_of(samples, run.entries)
    tell(bars)
    write_document(
        run.out,
        {
            "server": server,
            "rounds": run.rounds,
            "seconds": run.seconds,
            "callers": IN_FLIGHT,
            "clients": run.clients,
            "noisy_samples": len(noisy),
            "samples": sum(len(some) for some in samples.values()),
            "bars": [asdict(bar) for bar in bars],
            "figures": [asdict(row) for row in figures],
            "over_time": series,
        },
    )


def _charging(run: Run, url: str) -> list[Work]:
    """Make books and references; return what to measure, each beside what it is held against."""
    books = fresh_database(url, "books")
    accounts = fill(books, ACCOUNTS)
    bare_limit.prepare(books)
    references.prepare(url, ACCOUNTS)
    works: list[Work] = []
    for which, some in (("hot", accounts[:1]), ("random", accounts)):
        if which in run.parts:
            works += _references(run, url, books, which, some)
        if which in run.parts or (which == "random" and "lots" in run.parts):
            works.append(
                Work(
                    f"charges, {which}",
                    "charges/s",
                    lambda some=some: charges(books, some, run.seconds),  # type: ignore[misc]
                )
            )
    if "lots" in run.parts:
        crumbs = fresh_database(url, "lots")
        owners = hard_cases.books_of_lots(crumbs, run.seconds, run.rounds)
        works += [
            Work("charges, 10,000 lots", "charges/s", lambda: charges(crumbs, owners, run.seconds)),
            _audit("10,000 lots", crumbs),
        ]
    if "lone" in run.parts:
        works += [
            Work(
                "pgbench -N, one client", "ms", lambda: references.pgbench_n_alone(url, run.seconds)
            ),
            Work("a lone charge", "ms", lambda: lone_charge(books, accounts, run.seconds)),
        ]
    return [*works, _audit("charges", books)]


def _references(
    run: Run, url: str, books: str, which: str, accounts: Sequence[AccountRef]
) -> list[Work]:
    """Find each reference's best count of clients; return the references as works."""

    def best(name: str, unit: str, measured: Callable[[int, float], Sample]) -> Work:
        run.clients[name] = references.best_clients(name, measured)
        return Work(name, unit, lambda: measured(run.clients[name], run.seconds))

    works = [
        best(
            f"plain SQL, {which}",
            "charges/s",
            lambda n, s: references.plain(url, which, ACCOUNTS, n, s),
        ),
        best(
            f"bare limit, {which}, prebuilt",
            "rows/s",
            lambda n, s: bare_limit.prebuilt(books, accounts, n, s),
        ),
        Work(
            f"bare limit, {which}, callers",
            "rows/s",
            lambda: bare_charges(books, accounts, run.seconds),
        ),
    ]
    if which == "random":
        works.append(best("pgbench -N", "tps", lambda n, s: references.pgbench_n(url, n, s)))
    return works


def _audit(name: str, books: str) -> Work:
    return Work(f"audit, {name}", "entries/s", lambda: audited(books))


def _arguments() -> Run:
    teaching = TEACHING.format(quiet=QUIET, parts=told(PARTS))
    parser = parser_of(__doc__, teaching, PARTS, RESULTS / "ledger.json")
    parser.add_argument("--seconds", type=float, default=5, help="of each work in a round (5)")
    parser.add_argument(
        "--entries", type=int, default=20_000_000, help="in the large books (20000000)"
    )
    parser.add_argument("--events", type=int, default=100_000, help="granted in one go (100000)")
    options = parser.parse_args()
    parts = chosen(parser, options.only, PARTS)
    return Run(options.rounds, options.seconds, options.entries, options.events, parts, options.out)


if __name__ == "__main__":
    main()
