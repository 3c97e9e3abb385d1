"""What may be asked of the books, and what a model of them answers: one class for each request.

Tables say how often each comes up in a random history: a function that writes is one row more.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from random import Random
from typing import Protocol

from msgspec import Struct, structs
from specification import charging
from specification.accounts import Terms, moment
from specification.books import Books
from specification.chains import take_back
from specification.granting import receive
from sqlalchemy import make_url
from stage import GIVE, PLAIN, REVERSE, Stage

from ledger.ids import AccountRef, MovementRef
from ledger.lanes import Waiting
from ledger.outcomes import Charged, Reserved, Settled
from ledger.requests import digest128, key_digest
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.spending import Spending

KEYS = 12  # so few that several connections come to use the same at once
Answer = object
ANY_TIME = moment(0)


@dataclass
class Party:
    """Somebody who asks, one request at a time. Its `spending` has one lane."""

    stage: Stage
    spending: Spending
    reserving: Reserving | None = None  # for whoever asks for more than charges
    sharing: Sharing | None = None

    @classmethod
    @asynccontextmanager
    async def on(cls, stage: Stage, name: str = "") -> AsyncIterator["Party"]:
        """Open sessions of that name."""
        url = make_url(stage.database_url).update_query_dict({"application_name": name})
        named = url.render_as_string(hide_password=False)
        async with (
            Spending.open(named, lanes=1) as spending,
            Reserving.open(named, sessions=1) as reserving,
            Sharing.open(named) as sharing,
        ):
            yield cls(stage, spending, reserving, sharing)

    async def charge_together(self, charges: "Sequence[Charge]") -> list[Answer]:
        """Charge a batch in one statement, in the order given."""
        (lane,) = self.spending._lanes
        batch = [self._waiting(charge) for charge in charges]
        lane.put(batch)
        outcomes = await asyncio.gather(*(each.answer for each in batch), return_exceptions=True)
        return [timeless(outcome) for outcome in outcomes]

    def _waiting(self, charge: "Charge") -> Waiting:
        asked = "charge", charge.operation, str(charge.units), "None"
        return Waiting(
            app_id=self.stage.app_id,
            account=charge.account,
            key=key_digest(self.stage.app_id, charge.account, charge.key),
            request=digest128(*asked),
            operation=charge.operation,
            model="",
            units=charge.units,
            price_version=0,
            api_key_id=0,
            answer=asyncio.get_running_loop().create_future(),
        )


class Request(Protocol):
    async def ask(self, party: Party) -> list[Answer]:
        """Ask the books."""

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        """Do the same to a model of them."""


@dataclass(frozen=True)
class Charge:
    account: AccountRef
    key: str
    operation: str
    units: int

    async def ask(self, party: Party) -> list[Answer]:
        return await party.charge_together([self])

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = charging.charge(
            books,
            now,
            app=app_id,
            account=self.account,
            key=self.key,
            operation=self.operation,
            units=self.units,
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class Batch:
    """Charges of several accounts in one statement; no key comes twice."""

    charges: tuple[Charge, ...]

    async def ask(self, party: Party) -> list[Answer]:
        return await party.charge_together(self.charges)

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        return [answer for each in self.charges for answer in each.expected(books, app_id, now)]


@dataclass(frozen=True)
class Refund:
    charge: MovementRef
    key: str
    amount: int | None

    async def ask(self, party: Party) -> list[Answer]:
        outcome = await party.spending.refund(
            app_id=party.stage.app_id, charge=self.charge, key=self.key, amount=self.amount
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = charging.refund(
            books, now, app=app_id, charge=self.charge, key=self.key, amount=self.amount
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class Give:
    """A grant, by hand: it has no key, so it is not asked twice."""

    account: AccountRef
    amount: int
    terms: Terms = PLAIN

    async def ask(self, party: Party) -> list[Answer]:
        parameters = party.stage.lot_parameters(self.account, self.amount, self.terms)
        rows = await party.spending._side.rows(GIVE, parameters)
        return [MovementRef(self.account, rows[0][0])]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        del app_id
        account = books.accounts[self.account]
        lot = receive(books, account, self.amount, self.terms, now).lot
        return [MovementRef(self.account, lot.no)]


@dataclass(frozen=True)
class Reverse:
    """A grant is taken back, by hand: again has no effect."""

    lot: MovementRef

    async def ask(self, party: Party) -> list[Answer]:
        await party.spending._side.rows(REVERSE, (*self.lot.account, self.lot.seq))
        return [None]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        del app_id
        account = books.accounts[self.lot.account]
        lot = account.lots[self.lot.seq]
        if lot.reversed_as is None:
            take_back(books, account, lot, "debt", now)
        return [None]


def timeless(outcome: object) -> Answer:
    """The outcome without its times, which a model knows nothing of. Raises what is an error."""
    if isinstance(outcome, BaseException):
        raise outcome
    if isinstance(outcome, datetime):
        return ANY_TIME
    if isinstance(outcome, Struct):
        parts = {name: timeless(getattr(outcome, name)) for name in outcome.__struct_fields__}
        return structs.replace(outcome, **parts)
    if not is_dataclass(outcome) or isinstance(outcome, type):
        return outcome
    return replace(
        outcome, **{each.name: timeless(getattr(outcome, each.name)) for each in fields(outcome)}
    )


def some_terms(rng: Random) -> Terms:
    return replace(PLAIN, priority=rng.choice((0, 100, 100)))


@dataclass
class Known:
    """What whoever draws a request knows of the books so far."""

    accounts: Sequence[AccountRef]
    charges: list[MovementRef] = field(default_factory=list)
    lots: list[MovementRef] = field(default_factory=list)
    reservations: list[MovementRef] = field(default_factory=list)
    terms: Callable[[Random], Terms] = some_terms
    amount_max: int = 60
    time_passes: bool = False

    def learn(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            match answer:
                case Charged(charge, replayed=False):
                    self.charges.append(charge.movement)
                case Settled(ending, replayed=False):
                    self.charges.append(ending.movement)
                case Reserved(reservation, replayed=False):
                    self.reservations.append(reservation.movement)
                case MovementRef():
                    self.lots.append(answer)


def a_charge(rng: Random, known: Known) -> Charge:
    """Mostly one request per key, sometimes another."""
    number = rng.randrange(KEYS)
    drawn = rng if rng.random() < 0.1 else Random(number)
    operation = drawn.choice(("unit", "unit", "unit", "draw", "look", "free"))
    units = drawn.choice((1, 2, 5, 9, 20, 45))
    key = f"c{number}-{rng.randrange(3)}"
    return Charge(rng.choice(known.accounts), key, operation, units)


def a_batch(rng: Random, known: Known) -> Batch:
    """Of accounts that have nothing to do with each other: a batch may take them in any order."""
    charges = [a_charge(rng, known) for _ in range(rng.randint(2, 8))]
    of_root = {charge.account.root_id: charge.account for charge in charges}
    charges = [each for each in charges if each.account in of_root.values()]
    return Batch(tuple({(each.account, each.key): each for each in charges}.values()))


def a_refund(rng: Random, known: Known) -> Refund:
    charge = rng.choice(known.charges or [MovementRef(known.accounts[0], 1)])
    drawn = rng if rng.random() < 0.1 else Random(charge.seq)
    key = f"c{rng.randrange(KEYS)}-0"  # a charge's
    if rng.random() < 0.95:
        key = f"r{charge.seq}-{rng.randrange(2)}"
    return Refund(charge, key, drawn.choice((None, 1, 2, 7)))


def a_gift(rng: Random, known: Known) -> Give:
    return Give(rng.choice(known.accounts), rng.randint(1, known.amount_max), known.terms(rng))


def a_reversal(rng: Random, known: Known) -> Reverse | Give:
    return Reverse(rng.choice(known.lots)) if known.lots else a_gift(rng, known)


Drawn = Mapping[Callable[[Random, Known], Request], int]  # how often each comes up

# What apps do to accounts of users.
BY_USERS: Drawn = {a_charge: 10, a_batch: 4, a_refund: 5, a_gift: 3, a_reversal: 1}


def draw(rng: Random, known: Known, drawn: Drawn) -> Request:
    return rng.choices(list(drawn), list(drawn.values()))[0](rng, known)
