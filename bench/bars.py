"""How good is good enough: what the ledger's figures are held against."""

from collections.abc import Mapping, Sequence
from typing import Final

from granting import BESIDE, FEW, IDLE, MANY
from hard_cases import MANY_ACCOUNTS, size_name
from measuring import Sample
from migrating import KINDS, NOTHING, name_of
from wanted import Bar, Wanted, judge

_HOT: Final = "charges, hot"
_RANDOM: Final = "charges, random"
_LONE: Final = "a lone charge"
_ALONE: Final = "pgbench -N, one client"

_CHARGES: Final = (
    Wanted("hot, charges/s", _HOT, at_least=25_000),
    Wanted("hot, charges/s: the aim", _HOT, at_least=40_000),
    Wanted("hot / plain SQL, hot", _HOT, "plain SQL, hot", at_least=25),
    Wanted("hot / bare limit, callers", _HOT, "bare limit, hot, callers"),
    Wanted("hot / bare limit, prebuilt", _HOT, "bare limit, hot, prebuilt"),
    Wanted("bare limit, prebuilt / plain SQL, hot", "bare limit, hot, prebuilt", "plain SQL, hot"),
    Wanted("hot / plain SQL, hot: CPU of one", _HOT, "plain SQL, hot", of="cpu_us"),
    Wanted("hot / bare limit, callers: CPU of one", _HOT, "bare limit, hot, callers", of="cpu_us"),
    Wanted("random / bare limit, callers", _RANDOM, "bare limit, random, callers", at_least=0.6),
    Wanted("random / bare limit, prebuilt", _RANDOM, "bare limit, random, prebuilt"),
    Wanted("random / pgbench -N", _RANDOM, "pgbench -N", at_least=2),
    Wanted("random / pgbench -N: the aim", _RANDOM, "pgbench -N", at_least=4),
    Wanted("random / plain SQL, random", _RANDOM, "plain SQL, random"),
    Wanted("random / pgbench -N: CPU of one", _RANDOM, "pgbench -N", of="cpu_us"),
    Wanted(
        "random / bare limit, callers: CPU of one",
        _RANDOM,
        "bare limit, random, callers",
        of="cpu_us",
    ),
    Wanted("a lone charge / pgbench -N, median", _LONE, _ALONE, at_most=1.3),
    Wanted("a lone charge / pgbench -N, p99", _LONE, _ALONE, of="p99_ms"),
    Wanted("10,000 lots / random", "charges, 10,000 lots", _RANDOM, at_least=0.5),
)

_GRANTS: Final = (
    Wanted("grants/s, 2,000 accounts", FEW, at_least=30_000),
    Wanted("grants/s, 100,000 accounts", MANY, at_least=30_000),
    Wanted("p99 of charges while granting / idle", BESIDE, IDLE, at_most=3),
)


# A bar for every kind of migration; what the machine does without one is told beside them.
_MIGRATING: Final = (
    Wanted(name_of(NOTHING), name_of(NOTHING)),
    *(Wanted(f"{name_of(kind)}, ms", name_of(kind), at_most=100) for kind in KINDS),
)


def _sizes(entries: int) -> tuple[Wanted, ...]:
    wanted = []
    for fresh in (False, True):
        small, large = size_name(MANY_ACCOUNTS, fresh=fresh), size_name(entries, fresh=fresh)
        when = "after a checkpoint" if fresh else "steady"
        bound = None if fresh else 1.3
        wanted += [
            Wanted(f"time of a charge, large / small, {when}", small, large, at_most=bound),
            Wanted(
                f"CPU of a charge, large / small, {when}", large, small, at_most=bound, of="cpu_us"
            ),
            Wanted(f"WAL bytes of a charge, large, {when}", large, of="wal_bytes"),
            Wanted(f"WAL bytes of a charge, small, {when}", small, of="wal_bytes"),
        ]
    return (
        *wanted,
        Wanted("audit, entries/s", f"audit, {entries:,} entries", at_least=200_000),
    )


def bars_of(samples: Mapping[str, Sequence[Sample]], entries: int) -> list[Bar]:
    """Return the bars of whatever was measured."""
    return judge((*_CHARGES, *_GRANTS, *_MIGRATING, *_sizes(entries)), samples)
