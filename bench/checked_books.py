"""That the books hold exactly what the chain says: events, grants, entries and balances."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

import psycopg
from chain_of_stakes import Stake
from watched import CREDITS_PER_TOKEN

from ledger.audit import audit, render

_GRANTED = CREDITS_PER_TOKEN * 1_000_000  # micro-credits for a token of 18 decimals


def require_books(
    url: str, stakes: Sequence[Stake], *, confirmed: int, indexed: int | None = None
) -> None:
    """End the run unless the books have these events, granted up to block `confirmed`.

    `stakes` are all of the chain. Those after `confirmed` are pending up to block `indexed`, or
    up to the last; no event of another branch may count. The books must balance, too.
    """
    last = confirmed if indexed is None else indexed
    final = [stake for stake in stakes if stake.block_number <= confirmed]
    waiting = [stake for stake in stakes if confirmed < stake.block_number <= last]
    grants: Counter[bytes] = Counter()
    for stake in final:
        grants[stake.wallet] += stake.amount * _GRANTED // 10**18
    with psycopg.connect(url) as session:
        for state, expected in (("confirmed", final), ("pending", waiting)):
            rows = session.execute(
                "select block_number, log_index, block_hash, tx_hash, wallet, amount::text"
                " from creditd.event where state = %s",
                (state,),
            ).fetchall()
            found = [
                Stake(number, index, block, tx, wallet, int(amount))
                for number, index, block, tx, wallet, amount in rows
            ]
            if sorted(found) != sorted(expected):
                raise SystemExit(
                    f"{len(rows):,} events are {state}, the chain has {len(expected):,}, or others"
                )
        balances = session.execute(
            "select w.address, a.available, (select sum(case e.kind when 1 then e.amount"
            " when 4 then -e.amount end) from creditd.entry e"
            " where (e.root_id, e.account_id) = (a.root_id, a.account_id))"
            " from creditd.wallet w join creditd.account a using (root_id, account_id)"
        ).fetchall()
    given = {wallet: (available, granted) for wallet, available, granted in balances if available}
    if given != {wallet: (sum_, sum_) for wallet, sum_ in grants.items()}:
        raise SystemExit("the grants and balances are not what the chain's events earn")
    report = asyncio.run(audit(url))
    if not report.balanced:
        raise SystemExit(f"the books do not balance:\n{render(report)}")


def require_sums(url: str, stakes: Iterable[Stake]) -> None:
    """End the run unless a reference's tables have these events, and their sums."""
    sums: Counter[bytes] = Counter()
    events = 0
    for stake in stakes:
        events += 1
        sums[stake.wallet] += stake.amount
    with psycopg.connect(url) as session:
        (count,) = session.execute("select count(*) from seen").fetchone() or (0,)
        totals = session.execute("select wallet, amount::text from total").fetchall()
    if count != events or {wallet: int(amount) for wallet, amount in totals} != dict(sums):
        raise SystemExit(f"the reference has {count:,} events of {events:,}, or other sums")
