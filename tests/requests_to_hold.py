"""Requests to hold credits for work to come, and to move them within an organisation."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from requests_to_the_books import KEYS, Answer, Known, Party, Request, a_charge, timeless
from specification import reserving, sharing
from specification.books import Books

from ledger.ids import AccountRef, MovementRef

LASTS = timedelta(days=1)
LASTS_SHORTLY = timedelta(seconds=6)


@dataclass(frozen=True)
class Reserve:
    account: AccountRef
    key: str
    operation: str
    units: int
    lasts: timedelta = LASTS
    minimum: int = 0
    over_max: int = 0

    async def ask(self, party: Party) -> list[Answer]:
        assert party.reserving is not None
        outcome = await party.reserving.reserve(
            app_id=party.stage.app_id,
            account=self.account,
            key=self.key,
            operation=self.operation,
            units=self.units,
            expires_in=self.lasts,
            minimum=self.minimum,
            over_max=self.over_max,
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = reserving.reserve(
            books,
            now,
            app=app_id,
            account=self.account,
            key=self.key,
            operation=self.operation,
            units=self.units,
            expires_in=self.lasts // timedelta(microseconds=1),
            minimum=self.minimum,
            over_max=self.over_max,
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class Settle:
    reservation: MovementRef
    key: str
    amount: int

    async def ask(self, party: Party) -> list[Answer]:
        assert party.reserving is not None
        outcome = await party.reserving.settle(
            app_id=party.stage.app_id,
            reservation=self.reservation,
            key=self.key,
            amount=self.amount,
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = reserving.settle(
            books,
            now,
            app=app_id,
            reservation=self.reservation,
            key=self.key,
            amount=self.amount,
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class SettleUnits:
    reservation: MovementRef
    key: str
    units: int

    async def ask(self, party: Party) -> list[Answer]:
        assert party.reserving is not None
        outcome = await party.reserving.settle_units(
            app_id=party.stage.app_id,
            reservation=self.reservation,
            key=self.key,
            units=self.units,
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = reserving.settle_units(
            books,
            now,
            app=app_id,
            reservation=self.reservation,
            key=self.key,
            units=self.units,
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class Release:
    reservation: MovementRef
    key: str

    async def ask(self, party: Party) -> list[Answer]:
        assert party.reserving is not None
        outcome = await party.reserving.release(
            app_id=party.stage.app_id, reservation=self.reservation, key=self.key
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = reserving.release(
            books, now, app=app_id, reservation=self.reservation, key=self.key
        )
        return [timeless(outcome)]


@dataclass(frozen=True)
class Allocate:
    """Credits move from an organisation's pool to a member, or back."""

    member: AccountRef
    key: str
    amount: int
    back: bool

    async def ask(self, party: Party) -> list[Answer]:
        by = party.sharing
        assert by is not None
        move = by.take_back if self.back else by.allocate
        outcome = await move(
            app_id=party.stage.app_id, member=self.member, key=self.key, amount=self.amount
        )
        return [timeless(outcome)]

    def expected(self, books: Books, app_id: int, now: int) -> list[Answer]:
        outcome = sharing.allocate(
            books,
            now,
            app=app_id,
            member=self.member,
            amount=self.amount,
            key=self.key,
            back=self.back,
        )
        return [timeless(outcome)]


def a_reservation(rng: Random, known: Known) -> Reserve:
    asked = a_charge(rng, known)
    drawn = rng if rng.random() < 0.1 else Random(asked.key)
    return Reserve(
        asked.account,
        f"h{asked.key}",
        asked.operation,
        asked.units,
        lasts=drawn.choice((LASTS, LASTS_SHORTLY)) if known.time_passes else LASTS,
        minimum=drawn.choice((0, 0, 3, 1_000)),
        over_max=drawn.choice((0, 0, 10)),
    )


def a_settlement(rng: Random, known: Known) -> Request:
    if not known.reservations:
        return a_reservation(rng, known)
    reservation = rng.choice(known.reservations[-KEYS:])
    drawn = rng if rng.random() < 0.2 else Random(reservation.seq)
    key = f"s{reservation.seq}"
    if drawn.random() < 0.4:
        return SettleUnits(reservation, key, drawn.choice((0, 1, 2, 5)))
    return Settle(reservation, key, drawn.choice((0, 1, 2, 5, 9, 20, 50)))


def a_release(rng: Random, known: Known) -> Request:
    if not known.reservations:
        return a_reservation(rng, known)
    reservation = rng.choice(known.reservations[-KEYS:])
    return Release(reservation, f"l{reservation.seq}")


def an_allocation(rng: Random, known: Known) -> Request:
    members = [each for each in known.accounts if each.root_id != each.account_id]
    number = rng.randrange(3 * KEYS)
    drawn = rng if rng.random() < 0.1 else Random(number)
    amount, back = drawn.choice((1, 4, 15, 40)), drawn.random() < 0.4
    return Allocate(rng.choice(members), f"m{number}", amount, back)
