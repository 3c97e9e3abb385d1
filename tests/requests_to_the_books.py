"""What may be asked of the books, and what a model of them answers: one class for each request.

`DRAWN` lists how each comes up in a random history; whoever adds a function that writes adds a row.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Protocol

from model_of_lots import Answer, ModelAccount
from stage import GIVE, LotSpec, Stage

from ledger.ids import AccountRef, MovementRef
from ledger.lanes import Lane, Waiting
from ledger.outcomes import (
    Charged,
    ChargeOutcome,
    Insufficient,
    KeyReused,
    MoreThanTaken,
    NoSuchCharge,
    Refunded,
    RefundOutcome,
    TooExpensive,
)
from ledger.session import Session
from ledger.spending import Spending, digest128, key_digest

KEYS = 12  # so few that several connections come to use the same at once
QUEUE_MAX = 1_000


@dataclass
class Party:
    """Somebody who asks, on one session of their own."""

    stage: Stage
    session: Session
    accounts: Sequence[AccountRef]

    @property
    def spending(self) -> Spending:
        return Spending([], self.session)

    async def charge_together(self, charges: "Sequence[Charge]") -> list[Answer]:
        """Charge a batch in one statement, in the order given."""
        lane = Lane([self.session], QUEUE_MAX)
        batch = [self._waiting(charge) for charge in charges]
        await lane._send(self.session, batch)
        outcomes = await asyncio.gather(
            *(waiting.answer for waiting in batch), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [told_charge(outcome) for outcome in outcomes if not isinstance(outcome, BaseException)]

    def _waiting(self, charge: "Charge") -> Waiting:
        account = self.accounts[charge.account]
        asked = "charge", charge.operation, str(charge.units), "None"
        return Waiting(
            app_id=self.stage.app_id,
            account=account,
            key=key_digest(self.stage.app_id, account, charge.key),
            request=digest128(*asked),
            operation=charge.operation,
            units=charge.units,
            price_version=None,
            answer=asyncio.get_running_loop().create_future(),
        )


class Request(Protocol):
    async def ask(self, party: Party) -> list[Answer]:
        """Ask the books; the answers as the model tells them."""

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        """Do the same to the model."""


@dataclass(frozen=True)
class Charge:
    account: int
    key: str
    operation: str
    units: int

    async def ask(self, party: Party) -> list[Answer]:
        return await party.charge_together([self])

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        return [accounts[self.account].charge(self.key, self.operation, self.units, now)]


@dataclass(frozen=True)
class Batch:
    """Charges of several accounts in one statement; no key comes twice."""

    charges: tuple[Charge, ...]

    async def ask(self, party: Party) -> list[Answer]:
        return await party.charge_together(self.charges)

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        return [answer for each in self.charges for answer in each.expected(accounts, now)]


@dataclass(frozen=True)
class Refund:
    account: int
    key: str
    charge: int
    amount: int | None

    async def ask(self, party: Party) -> list[Answer]:
        outcome = await party.spending.refund(
            app_id=party.stage.app_id,
            charge=MovementRef(party.accounts[self.account], self.charge),
            key=self.key,
            amount=self.amount,
        )
        return [told_refund(outcome)]

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        return [accounts[self.account].refund(self.key, self.charge, self.amount, now)]


@dataclass(frozen=True)
class Give:
    """A grant, by hand: it has no key, so it is not asked twice."""

    account: int
    lot: LotSpec

    async def ask(self, party: Party) -> list[Answer]:
        account = party.accounts[self.account]
        rows = await party.session.rows(GIVE, party.stage.lot_parameters(account, self.lot))
        return [("given", rows[0][0])]

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        return [("given", accounts[self.account].give(self.lot, now))]


@dataclass(frozen=True)
class Reverse:
    account: int
    lot_no: int

    async def ask(self, party: Party) -> list[Answer]:
        account = party.accounts[self.account]
        await party.session.rows(
            "select by_hand.reverse(%s, %s, %s)", (*account, self.lot_no)
        )
        return [("reversed",)]

    def expected(self, accounts: Sequence[ModelAccount], now: datetime) -> list[Answer]:
        accounts[self.account].reverse(self.lot_no, now)
        return [("reversed",)]


def told_charge(outcome: ChargeOutcome) -> Answer:
    match outcome:
        case Charged(charge, replayed):
            told = "charged", charge.movement.seq, charge.cost, charge.available
            return ("replayed" if replayed else "new", *told)
        case Insufficient(required, available, debt):
            return "insufficient", required, available, debt
        case KeyReused():
            return ("key_reused",)
        case TooExpensive():
            return ("too_expensive",)
    raise AssertionError(outcome)


def told_refund(outcome: RefundOutcome) -> Answer:
    match outcome:
        case Refunded(refund, replayed):
            told = refund.movement.seq, refund.amount, refund.repaid, refund.available
            return ("replayed" if replayed else "new", "refunded", *told)
        case KeyReused():
            return ("key_reused",)
        case NoSuchCharge():
            return ("no_charge",)
        case MoreThanTaken(refundable):
            return "more_than_taken", refundable
    raise AssertionError(outcome)


@dataclass
class Known:
    """What whoever draws a request knows of the books so far: by account, charges and lots."""

    charges: list[list[int]]
    lots: list[list[int]]
    lot_kinds: Callable[[Random], LotSpec] = field(
        default=lambda rng: LotSpec(rng.randint(1, 60), priority=rng.choice((0, 100)))
    )

    def learn(self, account: int, answer: Answer) -> None:
        match answer:
            case ("new", "charged", seq, *_):
                self.charges[account].append(seq)
            case ("given", lot_no):
                self.lots[account].append(lot_no)


def a_charge(rng: Random, known: Known) -> Charge:
    """Mostly one request per key, sometimes another."""
    account = rng.randrange(len(known.charges))
    number = rng.randrange(KEYS)
    drawn = rng if rng.random() < 0.1 else Random(number)
    operation = drawn.choice(("unit", "unit", "unit", "draw", "look", "free"))
    units = drawn.choice((1, 2, 5, 9, 20, 45))
    return Charge(account, f"c{number}-{rng.randrange(3)}", operation, units)


def a_batch(rng: Random, known: Known) -> Batch:
    charges = [a_charge(rng, known) for _ in range(rng.randint(2, 8))]
    return Batch(tuple({(each.account, each.key): each for each in charges}.values()))


def a_refund(rng: Random, known: Known) -> Refund:
    account = rng.randrange(len(known.charges))
    charge = rng.choice(known.charges[account] or [1])
    drawn = rng if rng.random() < 0.1 else Random(charge)
    key = f"c{rng.randrange(KEYS)}-0" if rng.random() < 0.05 else f"r{charge}-{rng.randrange(2)}"
    return Refund(account, key, charge, drawn.choice((None, 1, 2, 7)))


def a_gift(rng: Random, known: Known) -> Give:
    return Give(rng.randrange(len(known.lots)), known.lot_kinds(rng))


def a_reversal(rng: Random, known: Known) -> Reverse | Give:
    account = rng.randrange(len(known.lots))
    lots = known.lots[account]
    return Reverse(account, rng.choice(lots)) if lots else a_gift(rng, known)


# How often each comes up.
DRAWN: Mapping[Callable[[Random, Known], Request], int] = {
    a_charge: 10,
    a_batch: 4,
    a_refund: 5,
    a_gift: 3,
    a_reversal: 1,
}


def draw(rng: Random, known: Known) -> Request:
    drawn = rng.choices(list(DRAWN), list(DRAWN.values()))[0]
    return drawn(rng, known)


def accounts_of(request: Request) -> list[int]:
    """The account of each of its answers."""
    match request:
        case Batch(charges):
            return [charge.account for charge in charges]
        case Charge(account) | Refund(account) | Give(account) | Reverse(account):
            return [account]
    raise AssertionError(request)
