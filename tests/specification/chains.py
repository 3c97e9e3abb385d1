"""What a chain's events grant, and what becomes of it when the chain leaves them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ledger.exposure import Exposure
from ledger.ids import AccountRef
from specification.accounts import (
    NEVER,
    USUAL_PRIORITY,
    Account,
    Kind,
    Lot,
    LotRef,
    Terms,
    moment,
)
from specification.books import Books, Wallet
from specification.ending import ABSORB, make_up
from specification.granting import receive

DAY: Final = 86_400 * 1_000_000
Cause = tuple[int, bytes, int]  # chain, transaction, ordinal of the log


@dataclass(frozen=True)
class Rule:
    """How events of one kind earn. Caps are None where there is none."""

    name: str
    source: str = "staking"
    on_reversal: str = "debt"
    priority: int = USUAL_PRIORITY
    operations: frozenset[str] | None = None
    cap_account: int | None = None
    cap_account_day: int | None = None
    cap_day: int | None = None
    cap_total: int | None = None
    expires_days: int | None = None


@dataclass(frozen=True)
class Event:
    """What a block says. `at` is the block's time."""

    cause: Cause
    rule: str
    wallet: Wallet
    block: int
    place: int  # among the block's logs
    at: int
    credits: int


@dataclass
class Record:
    """What came of an event: one lot for each time that it was confirmed."""

    event: Event
    account: AccountRef
    is_confirmed: bool = True
    granted: int = 0
    lots: list[LotRef] = field(default_factory=list)


@dataclass
class Chains:
    books: Books
    rules: dict[str, Rule] = field(default_factory=dict)
    records: dict[Cause, Record] = field(default_factory=dict)

    def confirm(self, event: Event, now: int) -> int:
        """Grant what an event earns, within the caps of its rule, and return it."""
        record = self.records.setdefault(event.cause, Record(event, self.earner(event)))
        record.event = event
        credits_left = self._within_caps(event, record.account)
        record.is_confirmed, record.granted = True, credits_left
        if credits_left > 0:
            account = self.books.accounts[record.account]
            to_recover = self._absorbed(record)
            terms = self._terms(event)
            lot = receive(self.books, account, credits_left, terms, now, recover=to_recover).lot
            record.lots.append(LotRef(account.ref, lot.no))
        return credits_left

    def reverse(self, chain: int, above: int, now: int) -> None:
        """Take back what the blocks above one granted."""
        left = [
            record
            for record in self.records.values()
            if record.is_confirmed and record.event.cause[0] == chain and record.event.block > above
        ]
        for record in sorted(left, key=lambda r: (r.event.block, r.event.place), reverse=True):
            record.is_confirmed = False
            if record.granted > 0:
                self._take_back(record.lots[-1], self.rules[record.event.rule].on_reversal, now)
            record.granted = 0

    def earner(self, event: Event) -> AccountRef:
        """Whom an event is for: who was granted it first, else whoever its wallet earns for."""
        if event.cause in self.records:
            return self.records[event.cause].account
        return self.books.links.get(event.wallet, self.books.wallets[event.wallet])

    def _terms(self, event: Event) -> Terms:
        rule = self.rules[event.rule]
        days = rule.expires_days
        return Terms(
            source=rule.source,
            priority=rule.priority,
            expires_at=NEVER if days is None else event.at + days * DAY,
            operations=rule.operations,
        )

    def _within_caps(self, event: Event, account: AccountRef) -> int:
        rule = self.rules[event.rule]
        day = moment(event.at).date()

        def used(counts: Callable[[Record], bool]) -> int:
            return sum(
                record.granted
                for record in self.records.values()
                if record.event.rule == rule.name and counts(record)
            )

        def same_day(record: Record) -> bool:
            return moment(record.event.at).date() == day

        caps = (
            (rule.cap_account, lambda r: r.account == account),
            (rule.cap_account_day, lambda r: r.account == account and same_day(r)),
            (rule.cap_day, same_day),
            (rule.cap_total, lambda _: True),
        )
        left = [cap - used(counts) for cap, counts in caps if cap is not None]
        return max(0, min([event.credits, *left]))

    def _absorbed(self, record: Record) -> int:
        """What the operator bears of an event's earlier grants and has not recovered."""
        lots = {
            (account.ref, lot.no)
            for origin in record.lots
            for account, lot in self.books.descendants(origin)
        }
        signs = {Kind.ABSORPTION: 1, Kind.RECOVERY: -1}
        return sum(
            signs.get(entry.kind, 0) * entry.amount
            for ref, account in self.books.accounts.items()
            for entry in account.entries
            if (ref, entry.lot) in lots
        )

    def _take_back(self, origin: LotRef, policy: str, now: int) -> None:
        for account, lot in self.books.descendants(origin):
            if lot.reversed_as is None:
                take_back(self.books, account, lot, policy, now)

    def exposure(self, chain: int, block: int, now: int) -> dict[AccountRef, Exposure]:
        """What every account would lose if the chain left that block and all above it."""
        exposed: dict[AccountRef, Exposure] = {}
        for record in self.records.values():
            event = record.event
            if not record.granted or event.cause[0] != chain or event.block < block:
                continue
            bears = self.rules[event.rule].on_reversal == ABSORB
            for account, lot in self.books.descendants(record.lots[-1]):
                one, gone = exposed.get(account.ref, Exposure()), account.gone(lot)
                exposed[account.ref] = Exposure(
                    taken_back=one.taken_back + (0 if lot.is_over(now) else lot.remaining),
                    owed=one.owed + (0 if bears else gone),
                    absorbed=one.absorbed + (gone if bears else 0),
                    reserved=one.reserved + lot.held,
                )
        return exposed


def take_back(books: Books, account: Account, lot: Lot, policy: str, now: int) -> None:
    """Take back what is left of a lot, and let somebody bear what was spent of it."""
    account.expire(now)
    first = account.next_entry
    if lot.remaining > 0:
        account.post(Kind.REVERSAL, lot.remaining, lot, now, first)
    lot.reversed_as = policy
    gone = account.gone(lot)
    if gone > 0:
        make_up(account, lot, gone, first, now)
    if account.next_entry > first:
        books.finish(account, first, now)
