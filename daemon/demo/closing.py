"""The end of the story: the chain's own account of it, the API's, and the audit's, side by side."""

import logging
from collections import Counter
from decimal import Decimal

from daemon.demo.doors import Entry
from daemon.demo.printing import Printer
from daemon.demo.stage import Stage
from daemon.demo.terms import expected_credits
from daemon.demo.town import Earner
from ledger.audit import audit, render

_log = logging.getLogger(__name__)
_GIVES = frozenset({"grant", "refund"})


async def close(stage: Stage, printer: Printer, database_url: str) -> None:
    """Check that every event on the chain has one grant, and audit the books. Raises StepFailed."""
    stage.checks.begin("comparing the chain with the books")
    events = sum([await _compare(stage, earner) for earner in stage.town.earners])
    printer.fact("chain", f"{events} events in its own logs, each granted once")
    stage.checks.begin("auditing the books")
    report = await audit(database_url)
    if not report.balanced:
        _log.error("the audit found breaches:\n%s", render(report))
    broken = ", ".join(check.name for check in report.checks if check.breaches_total)
    stage.checks.equal("checks that find a breach", found=broken or "none", expected="none")
    stage.checks.equal("balanced", found=report.balanced, expected=True)
    printer.fact(
        "audit",
        f"{report.entries} entries of {report.accounts} accounts, {len(report.checks)} checks:"
        " the books balance",
    )


async def _compare(stage: Stage, earner: Earner) -> int:
    """Compare one earner's events with earnings, grants and balance; return how many there are."""
    checks, account = stage.checks, stage.account(earner)
    on_chain = await stage.town.all_earned(earner)
    earnings = await stage.api.earnings(account)
    entries = await stage.api.entries(account)
    balance = await stage.api.balance(account)
    checks.equal(
        f"{earner.name}'s confirmed earnings",
        found=Counter(
            (each.source, each.tx_hash, int(each.amount))
            for each in earnings
            if each.state == "confirmed"
        ),
        expected=Counter(on_chain),
    )
    checks.equal(
        f"{earner.name}'s grants",
        found=Counter(
            (entry.grant.source, entry.grant.tx_hash, entry.amount)
            for entry in entries
            if entry.kind == "grant" and entry.grant is not None
        ),
        expected=Counter(
            (source, tx_hash, expected_credits(source, amount))
            for source, tx_hash, amount in on_chain
        ),
    )
    checks.equal(
        f"what {earner.name}'s entries come to",
        found=_sum(entries),
        expected=balance.available,
    )
    checks.equal(
        f"what {earner.name} waits for and owes",
        found=(balance.pending, balance.debt),
        expected=(0, 0),
    )
    return len(on_chain)


def _sum(entries: list[Entry]) -> Decimal:
    return sum(
        (entry.amount if entry.kind in _GIVES else -entry.amount for entry in entries), Decimal(0)
    )
