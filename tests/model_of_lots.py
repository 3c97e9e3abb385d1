"""What charges, refunds, grants and reversals do to an account's lots, told in the plainest way."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stage import PRICES, LotSpec

Answer = tuple[Any, ...]
NEVER = datetime.max.replace(tzinfo=UTC)
GRANT, CHARGE, REFUND, REVERSAL, DEBT, REPAYMENT, EXPIRY = 1, 2, 3, 4, 5, 6, 7
COST_MAX = 4 * 10**18


@dataclass
class ModelLot:
    no: int
    amount: int
    remaining: int
    priority: int
    effective_at: datetime
    expires_at: datetime
    operations: tuple[str, ...] | None
    expired: int = 0
    live: bool = True

    @property
    def place(self) -> tuple[int, datetime, int]:
        return self.priority, self.expires_at, self.no

    def may_pay(self, operation: str, now: datetime) -> bool:
        return (
            self.remaining > 0
            and self.effective_at <= now < self.expires_at
            and (self.operations is None or operation in self.operations)
        )


@dataclass
class ModelEntry:
    seq: int
    kind: int
    amount: int
    available_after: int
    debt_after: int
    lot_no: int | None
    movement: int
    total: int | None
    refers_to: int | None


@dataclass
class ModelAccount:
    available: int = 0
    debt: int = 0
    lots: dict[int, ModelLot] = field(default_factory=dict)
    entries: list[ModelEntry] = field(default_factory=list)
    keys: dict[str, tuple[Answer, Answer]] = field(default_factory=dict)

    def charge(self, key: str, operation: str, units: int, now: datetime) -> Answer:
        request = "charge", operation, units
        if key in self.keys:
            return self._again(key, request)
        base, per_unit = PRICES[operation]
        cost = base + per_unit * units
        if units < 1 or cost > COST_MAX:
            return ("too_expensive",)
        self._expire(now)
        eligible = [lot for lot in self._in_order() if lot.may_pay(operation, now)]
        spendable = sum(lot.remaining for lot in eligible)
        if spendable < cost:
            return "insufficient", cost, spendable, self.debt
        first = len(self.entries) + 1
        if cost == 0:
            self._post(CHARGE, 0, None, total=0)
        left = cost
        for lot in eligible:
            if left == 0:
                break
            take = min(left, lot.remaining)
            lot.remaining -= take
            left -= take
            self._post(CHARGE, take, lot.no, first, total=cost)
        return self._made(key, request, "charged", first, cost, self.available)

    def refund(self, key: str, charge: int, amount: int | None, now: datetime) -> Answer:
        request = "refund", charge, amount
        if key in self.keys:
            return self._again(key, request)
        legs = [e for e in self.entries if e.movement == charge and e.kind == CHARGE]
        if not legs or legs[0].seq != charge:
            return ("no_charge",)
        given = [e for e in self.entries if e.refers_to == charge and e.kind == REFUND]
        skip = sum(e.amount for e in given)
        most = sum(e.amount for e in legs) - skip
        total = most if amount is None else amount
        if not 1 <= total <= most:
            return "more_than_taken", most
        self._expire(now)
        first, left = len(self.entries) + 1, total
        for leg in reversed(legs):
            part = min(left, max(0, leg.amount - skip))
            skip = max(0, skip - leg.amount)
            left -= part
            if part:
                self._give_back(part, leg.lot_no or 0, first, total, charge, now)
        self._repay_from_lots(first, charge)
        repaid = sum(e.amount for e in self.entries[first - 1 :] if e.kind == REPAYMENT)
        available = self.entries[first - 1].available_after - self.entries[first - 1].amount
        return self._made(
            key, request, "refunded", first, total, repaid, available + total - repaid
        )

    def give(self, spec: LotSpec, now: datetime) -> int:
        self._expire(now)
        no = len(self.entries) + 1
        self._post(GRANT, spec.amount, no, total=spec.amount)
        lot = ModelLot(
            no,
            spec.amount,
            spec.amount,
            spec.priority,
            spec.effective_at,
            spec.expires_at,
            spec.operations,
        )
        self.lots[no] = lot
        self._repay(lot, self.debt, no)
        return no

    def reverse(self, no: int, now: datetime) -> None:
        lot = self.lots[no]
        if not lot.live:
            return
        self._expire(now)
        first = len(self.entries) + 1
        spent = lot.amount - lot.remaining - lot.expired
        if lot.remaining:
            self._post(REVERSAL, lot.remaining, no, first)
        if spent:
            self._post(DEBT, spent, no, first)
        lot.remaining, lot.live = 0, False
        self._repay_from_lots(first, None)

    def told(self) -> list[Answer]:
        return [tuple(vars(entry).values()) for entry in self.entries]

    def _again(self, key: str, request: Answer) -> Answer:
        asked, answer = self.keys[key]
        return ("replayed", *answer) if asked == request else ("key_reused",)

    def _made(self, key: str, request: Answer, *answer: object) -> Answer:
        self.keys[key] = request, answer
        return "new", *answer

    def _in_order(self) -> list[ModelLot]:
        return sorted(self.lots.values(), key=lambda lot: lot.place)

    def _post(
        self,
        kind: int,
        amount: int,
        lot_no: int | None,
        movement: int | None = None,
        *,
        total: int | None = None,
        refers_to: int | None = None,
    ) -> None:
        seq = len(self.entries) + 1
        first = movement in {None, seq}
        sign = {GRANT: 1, REFUND: 1, DEBT: 0}.get(kind, -1)
        self.available += sign * amount
        self.debt += {DEBT: amount, REPAYMENT: -amount}.get(kind, 0)
        self.entries.append(
            ModelEntry(
                seq,
                kind,
                amount,
                self.available,
                self.debt,
                lot_no,
                seq if movement is None else movement,
                total if first else None,
                refers_to,
            )
        )

    def _expire(self, now: datetime) -> None:
        for lot in self._in_order():
            if lot.remaining and lot.expires_at <= now:
                self._post(EXPIRY, lot.remaining, lot.no)
                lot.expired, lot.remaining = lot.expired + lot.remaining, 0

    def _give_back(
        self, part: int, lot_no: int, first: int, total: int, charge: int, now: datetime
    ) -> None:
        lot = self.lots[lot_no]
        if lot.live:
            lot.remaining += part
            self._post(REFUND, part, lot_no, first, total=total, refers_to=charge)
            if lot.expires_at <= now:
                self._post(EXPIRY, part, lot_no, first, refers_to=charge)
                lot.expired, lot.remaining = lot.expired + part, lot.remaining - part
            return
        pays = min(part, self.debt)
        if pays:
            self._post(REFUND, pays, lot_no, first, total=total, refers_to=charge)
            self._post(REPAYMENT, pays, lot_no, first, refers_to=charge)
        if part > pays:
            no, rest = len(self.entries) + 1, part - pays
            self._post(REFUND, rest, no, first, total=total, refers_to=charge)
            self.lots[no] = ModelLot(
                no, rest, rest, lot.priority, lot.effective_at, lot.expires_at, lot.operations
            )

    def _repay_from_lots(self, movement: int, charge: int | None) -> None:
        for lot in self._in_order():
            self._repay(lot, self.debt, movement, charge)

    def _repay(self, lot: ModelLot, most: int, movement: int, charge: int | None = None) -> None:
        pays = min(most, self.debt, lot.remaining)
        if pays:
            lot.remaining -= pays
            self._post(REPAYMENT, pays, lot.no, movement, refers_to=charge)
