"""Accounts, their lots and their entries.

Amounts are micro-credits, times are microseconds since 1970 handed in by the caller. Nothing is
remembered that can be added up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

from ledger.ids import AccountRef, MovementRef

ALWAYS: Final = -(10**18)  # before all times
NEVER: Final = 10**18  # after all times
USUAL_PRIORITY: Final = 100
LINE_PRIORITY: Final = 32_767
OVERDRAFT: Final = "overdraft"
FOR_OPERATOR: Final = "operator"
FOR_DEBT: Final = "debt"


class Kind(IntEnum):
    GRANT = 1
    CHARGE = 2
    REFUND = 3
    REVERSAL = 4
    DEBT = 5
    REPAYMENT = 6
    EXPIRY = 7
    RESERVE = 8
    SETTLEMENT = 9
    RELEASE = 10
    ABSORPTION = 11
    RECOVERY = 12
    MOVE_OUT = 13
    MOVE_IN = 14
    DEBT_OUT = 15
    DEBT_IN = 16
    CREDIT_LINE = 17
    LINE_CUT = 18


# What an entry does: to what is left of its lot, to what is held of it, to the account's debt.
EFFECTS: Final = {
    Kind.GRANT: (1, 0, 0),
    Kind.CHARGE: (-1, 0, 0),
    Kind.REFUND: (1, 0, 0),
    Kind.REVERSAL: (-1, 0, 0),
    Kind.DEBT: (0, 0, 1),
    Kind.REPAYMENT: (-1, 0, -1),
    Kind.EXPIRY: (-1, 0, 0),
    Kind.RESERVE: (-1, 1, 0),
    Kind.SETTLEMENT: (0, -1, 0),
    Kind.RELEASE: (1, -1, 0),
    Kind.ABSORPTION: (0, 0, 0),
    Kind.RECOVERY: (-1, 0, 0),
    Kind.MOVE_OUT: (-1, 0, 0),
    Kind.MOVE_IN: (1, 0, 0),
    Kind.DEBT_OUT: (0, 0, -1),
    Kind.DEBT_IN: (0, 0, 1),
    Kind.CREDIT_LINE: (1, 0, 0),
    Kind.LINE_CUT: (-1, 0, 0),
}
# What of a lot is gone for good: if its grant turns out to be void, somebody has to make up for it.
GONE: Final = {
    Kind.CHARGE: 1,
    Kind.REFUND: -1,
    Kind.REPAYMENT: 1,
    Kind.SETTLEMENT: 1,
    Kind.RECOVERY: 1,
    Kind.LINE_CUT: 1,
}


@dataclass(frozen=True)
class LotRef:
    account: AccountRef
    no: int


@dataclass(frozen=True)
class Terms:
    """How the credits of a lot may be spent."""

    source: str
    priority: int = USUAL_PRIORITY
    effective_at: int = ALWAYS
    expires_at: int = NEVER
    operations: frozenset[str] | None = None  # None: all


@dataclass
class Lot:
    no: int
    terms: Terms
    origin: LotRef | None  # of what was moved: its first account and lot
    remaining: int = 0
    held: int = 0
    reversed_as: str | None = None  # its grant is void: what becomes of what was spent of it

    @property
    def burn_order(self) -> tuple[int, int, int]:
        return self.terms.priority, self.terms.expires_at, self.no

    def is_over(self, now: int) -> bool:
        return self.terms.expires_at <= now

    def may_pay(self, operation: str, now: int) -> bool:
        terms = self.terms
        return (
            self.remaining > 0
            and terms.effective_at <= now < terms.expires_at
            and (terms.operations is None or operation in terms.operations)
        )


@dataclass(frozen=True)
class Entry:
    no: int
    kind: Kind
    amount: int
    lot: int | None
    movement: int
    available_after: int
    held_after: int
    debt_after: int
    at: int


@dataclass
class Account:
    """`kind` is user, wallet, organisation or member."""

    ref: AccountRef
    kind: str = "user"
    apps: set[int] = field(default_factory=set)  # that may reach it
    lots: dict[int, Lot] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    debt: int = 0
    frozen_for: str | None = None  # OPERATOR, DEBT
    is_closed: bool = False
    line_limit: int = 0

    @property
    def available(self) -> int:
        return sum(lot.remaining for lot in self.lots.values())

    @property
    def held(self) -> int:
        return sum(lot.held for lot in self.lots.values())

    @property
    def status(self) -> str:
        reasons = {None: "open", FOR_OPERATOR: "frozen", FOR_DEBT: "indebted"}
        return "closed" if self.is_closed else reasons[self.frozen_for]

    @property
    def is_open(self) -> bool:
        return self.frozen_for is None and not self.is_closed

    @property
    def next_entry(self) -> int:
        return len(self.entries) + 1

    def total(self, *kinds: Kind) -> int:
        return sum(entry.amount for entry in self.entries if entry.kind in kinds)

    def unspent(self) -> list[Lot]:
        """Lots with something left, in burn order."""
        left = [lot for lot in self.lots.values() if lot.remaining > 0]
        return sorted(left, key=lambda lot: lot.burn_order)

    def spendable(self, operation: str, now: int) -> int:
        return sum(lot.remaining for lot in self.unspent() if lot.may_pay(operation, now))

    def gone(self, lot: Lot) -> int:
        return sum(GONE.get(e.kind, 0) * e.amount for e in self.entries if e.lot == lot.no)

    def line(self) -> Lot | None:
        """The lot of its overdraft."""
        return next((lot for lot in self.lots.values() if lot.terms.source == OVERDRAFT), None)

    def post(
        self, kind: Kind, amount: int, lot: Lot | None, now: int, movement: int | None = None
    ) -> Entry:
        """Write one entry; without a movement it starts one. Times of entries only grow."""
        to_remaining, to_held, to_debt = EFFECTS[kind]
        if lot is not None:
            lot.remaining += to_remaining * amount
            lot.held += to_held * amount
            assert min(lot.remaining, lot.held) >= 0, (kind, amount, lot)
        self.debt += to_debt * amount
        assert self.debt >= 0, (kind, amount)
        entry = Entry(
            no=self.next_entry,
            kind=kind,
            amount=amount,
            lot=None if lot is None else lot.no,
            movement=self.next_entry if movement is None else movement,
            available_after=self.available,
            held_after=self.held,
            debt_after=self.debt,
            at=self.next_at(now),
        )
        self.entries.append(entry)
        return entry

    def add_lot(
        self,
        kind: Kind,
        amount: int,
        terms: Terms,
        now: int,
        *,
        movement: int | None = None,
        origin: LotRef | None = None,
    ) -> Lot:
        """Make a lot by the entry that fills it and gives it its number."""
        lot = Lot(self.next_entry, terms, origin)
        self.lots[lot.no] = lot
        self.post(kind, amount, lot, now, movement)
        return lot

    def expire(self, now: int) -> None:
        """Post the end of what is past its end."""
        for lot in self.unspent():
            if lot.is_over(now):
                self.post(Kind.EXPIRY, lot.remaining, lot, now)

    def burn(
        self, kind: Kind, amount: int, operation: str, now: int, movement: int | None = None
    ) -> list["Leg"]:
        """Take what is known to be there from the lots in their order."""
        first = self.next_entry if movement is None else movement
        if amount == 0:
            self.post(kind, 0, None, now, first)
            return []
        legs: list[Leg] = []
        left = amount
        for lot in self.unspent():
            part = min(left, lot.remaining) if lot.may_pay(operation, now) else 0
            if part > 0:
                entry = self.post(kind, part, lot, now, first)
                counted_at = legs[0].at if legs else entry.at
                legs.append(Leg(lot.no, part, entry.at, counted_at))
                left -= part
        assert left == 0
        return legs

    def repay(self, movement: int, now: int) -> None:
        """Let what is there pay what is owed: who owes has nothing to spend but its overdraft."""
        for lot in self.unspent():
            part = min(self.debt, lot.remaining) if lot.terms.source != OVERDRAFT else 0
            if part > 0:
                self.post(Kind.REPAYMENT, part, lot, now, movement)
        if self.debt == 0 and self.frozen_for == FOR_DEBT:
            self.frozen_for = None

    def outstanding(self) -> int:
        """What the overdraft has put into the account and not taken back."""
        return self.total(Kind.CREDIT_LINE) - self.total(Kind.LINE_CUT)

    def drawn(self) -> int:
        """What is spent of the overdraft."""
        line = self.line()
        return 0 if line is None else self.outstanding() - line.remaining - line.held

    def refill_line(self, lot: Lot, movement: int, now: int) -> None:
        """Let a new lot give back what was drawn: up to the limit it can be drawn again."""
        line = self.line()
        part = min(self.drawn(), lot.remaining)
        if line is None or part == 0:
            return
        self.post(Kind.LINE_CUT, part, lot, now, movement)
        again = min(part, self.line_limit - self.outstanding())
        if again > 0:
            self.post(Kind.CREDIT_LINE, again, line, now, movement)

    def fit_line(self, now: int, movement: int | None = None) -> None:
        """Bring the overdraft to its limit: less as far as it is not in use."""
        line, more = self.line(), self.line_limit - self.outstanding()
        if more > 0 and line is None:
            terms = Terms(OVERDRAFT, priority=LINE_PRIORITY)
            self.add_lot(Kind.CREDIT_LINE, more, terms, now, movement=movement)
        elif more > 0 and line is not None:
            self.post(Kind.CREDIT_LINE, more, line, now, movement)
        elif line is not None and min(-more, line.remaining) > 0:
            self.post(Kind.LINE_CUT, min(-more, line.remaining), line, now, movement)

    def next_at(self, now: int) -> int:
        """When the next entry would be made."""
        return max(now, self.entries[-1].at + 1) if self.entries else now


@dataclass(frozen=True)
class Leg:
    """What was taken from one lot, when, and when a budget counted it."""

    lot: int
    amount: int
    at: int
    counted_at: int


@dataclass
class Taken:
    """A charge or a settlement, as a refund finds it: its legs in the order they were taken."""

    app: int
    legs: list[Leg]
    member: AccountRef | None = None  # whose budget it counts in
    refunded: int = 0
    caused: int = 0  # granted because of it

    @property
    def cost(self) -> int:
        return sum(leg.amount for leg in self.legs)

    def legs_to_refund(self, amount: int) -> Iterator[Leg]:
        """The parts that come next if so much is given back, last one first."""
        skip = self.refunded
        for leg in reversed(self.legs):
            left = leg.amount - min(skip, leg.amount)
            skip -= leg.amount - left
            part = min(left, amount)
            amount -= part
            if part > 0:
                yield replace(leg, amount=part)


def moment(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def movement_ref(account: Account, first: int) -> MovementRef:
    return MovementRef(account.ref, first)


@dataclass(frozen=True)
class Balance:
    available: int
    held: int
    debt: int


def balance_as_of(account: Account, at: int) -> Balance:
    """What the account had then, ends of lots included that nobody had posted yet."""
    then = [entry for entry in account.entries if entry.at <= at]
    if not then:
        return Balance(0, 0, 0)
    over = sum(
        EFFECTS[entry.kind][0] * entry.amount
        for entry in then
        if entry.lot is not None and account.lots[entry.lot].is_over(at)
    )
    last = then[-1]
    return Balance(last.available_after - over, last.held_after, last.debt_after)
