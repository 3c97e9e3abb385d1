"""Reservations and refunds do what their specification says, whatever happens in whatever order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import pytest
from proof_of_the_books import assert_sound
from requests_to_the_books import Charge, Give, Party, timeless
from specification import charging, reserving
from specification.accounts import moment
from specification.books import Books
from specification.chains import take_back
from specification.ending import end_by_clock
from specification.outcomes import AlreadyEnded as SpecifiedEnd
from specification.outcomes import Extended as SpecifiedExtension
from specification.outcomes import OverBound as SpecifiedBound
from specification.outcomes import Released as SpecifiedRelease
from specification.outcomes import Reserved as SpecifiedReservation
from specification.outcomes import Settled as SpecifiedSettlement
from stage import PLAIN, REVERSE, SECOND, Stage, entries_of

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AlreadyEnded,
    Charged,
    Ending,
    Extended,
    Insufficient,
    NoSuchReservation,
    NotCoveredBeyond,
    OverBound,
    Released,
    Reserved,
    Settled,
)
from ledger.reserving import Reserving
from ledger.spending import IfOver, Spending

STEPS = 60
HOUR = 3_600 * SECOND
LONG = 20 * HOUR
OPERATIONS = ("unit", "unit", "unit", "draw", "look", "free")

Answer = object


def told(outcome: object) -> Answer:  # noqa: PLR0911 - one for each outcome
    """An outcome of the books, as far as the specification has it."""
    match outcome:
        case Reserved(made, replayed):
            return (
                *("reserved", replayed, made.movement, made.amount, made.available, made.held),
                made.expires_at,
            )
        case Settled(ending, replayed) | Released(ending, replayed):
            return ended(ending, replayed)
        case AlreadyEnded(ending):
            return ("already", *ended(ending, None))
        case OverBound(most):
            return "over bound", most
        case NotCoveredBeyond(extra, available, debt):
            return "insufficient", extra, available, debt
        case NoSuchReservation():
            return "no such reservation"
        case Extended(until):
            return "extended", until
    return outcome


def ended(ending: Ending, replayed: bool | None) -> tuple[object, ...]:
    return (
        *(ending.how, replayed, ending.reservation, ending.movement, ending.taken),
        *(ending.available, ending.held),
    )


def specified(outcome: object) -> Answer:  # noqa: PLR0911 - as above
    """The same of an outcome of the specification."""
    match outcome:
        case SpecifiedReservation():
            return (
                *("reserved", outcome.replayed, outcome.reservation, outcome.amount),
                *(outcome.available, outcome.held, moment(outcome.expires_at)),
            )
        case SpecifiedSettlement() | SpecifiedRelease():
            return specified_end(outcome, outcome.replayed)
        case SpecifiedEnd(ending):
            return ("already", *specified_end(ending, None))
        case SpecifiedBound(most):
            return "over bound", most
        case SpecifiedExtension(until):
            return "extended", moment(until)
    if type(outcome).__name__ == "NoSuchReservation":
        return "no such reservation"
    return outcome


def specified_end(
    ending: SpecifiedSettlement | SpecifiedRelease, replayed: bool | None
) -> tuple[object, ...]:
    by_clock = isinstance(ending, SpecifiedRelease) and ending.expired
    how = "settled" if isinstance(ending, SpecifiedSettlement) else "released"
    return (
        *("expired" if by_clock else how, replayed, ending.reservation, ending.movement),
        *(ending.amount, ending.available, ending.held),
    )


@dataclass
class Story:
    """What happens to one account, told to the books and to their specification."""

    stage: Stage
    spending: Spending
    reserving: Reserving
    rng: Random
    account: AccountRef
    books: Books
    holds: list[MovementRef] = field(default_factory=list)
    charges: list[MovementRef] = field(default_factory=list)
    lots: list[int] = field(default_factory=list)

    @property
    def app(self) -> int:
        return self.stage.app_id

    @property
    def now(self) -> int:
        return self.stage.now

    def key(self) -> str:
        return f"key {self.rng.randrange(40)}"

    def a_hold(self) -> MovementRef:
        return self.rng.choice(self.holds or [MovementRef(self.account, 1)])

    async def reserves(self) -> None:
        asked = {
            "account": self.account,
            "key": self.key(),
            "operation": self.rng.choice(OPERATIONS),
            "units": self.rng.choice((1, 3, 8, 20, 50)),
            "minimum": self.rng.choice((0, 0, 2, 30)),
            "over_max": self.rng.choice((0, 5, 40)),
        }
        lasts = self.rng.choice((1, HOUR, 4 * HOUR, LONG))
        got = await self.reserving.reserve(
            app_id=self.app,
            expires_in=timedelta(microseconds=lasts),
            **asked,  # type: ignore[arg-type]
        )
        want = reserving.reserve(
            self.books,
            self.now,
            app=self.app,
            expires_in=lasts,
            **asked,  # type: ignore[arg-type]
        )
        assert told(got) == specified(want)
        if isinstance(got, Reserved) and not got.replayed:
            self.holds.append(got.reservation.movement)

    async def settles(self) -> None:
        hold, key = self.a_hold(), self.key()
        amount = self.rng.choice((0, 1, 2, 5, 9, 21, 60))
        got = await self.reserving.settle(app_id=self.app, reservation=hold, key=key, amount=amount)
        want = reserving.settle(
            self.books, self.now, app=self.app, reservation=hold, key=key, amount=amount
        )
        if isinstance(want, Insufficient):
            assert got == NotCoveredBeyond(want.required, want.available, want.debt)
            return
        assert told(got) == specified(want)
        if isinstance(got, Settled) and got.ending.taken:
            self.charges.append(got.ending.movement)

    async def releases(self) -> None:
        hold, key = self.a_hold(), self.key()
        got = await self.reserving.release(app_id=self.app, reservation=hold, key=key)
        want = reserving.release(self.books, self.now, app=self.app, reservation=hold, key=key)
        assert told(got) == specified(want)

    async def extends(self) -> None:
        hold, until = self.a_hold(), self.now + self.rng.choice((-HOUR, HOUR, LONG))
        got = await self.reserving.extend(app_id=self.app, reservation=hold, until=moment(until))
        want = reserving.extend(self.books, self.now, app=self.app, reservation=hold, until=until)
        assert told(got) == specified(want)

    async def charges_some(self) -> None:
        operation, units = self.rng.choice(OPERATIONS), self.rng.choice((1, 4, 12))
        await self.asks(Charge(self.account, self.key(), operation, units))

    async def asks(self, request: Charge | Give) -> None:
        (got,) = await request.ask(Party(self.stage, self.spending))
        (want,) = request.expected(self.books, self.app, self.now)
        assert got == want
        if isinstance(got, Charged) and not got.replayed:
            self.charges.append(got.charge.movement)
        if isinstance(got, MovementRef):
            self.lots.append(got.seq)

    async def refunds(self) -> None:
        charge = self.rng.choice(self.charges or [MovementRef(self.account, 1)])
        key, amount = self.key(), self.rng.choice((None, 1, 3, 7))
        if_over: IfOver = self.rng.choice(("lapse", "renew"))
        got = await self.spending.refund(
            app_id=self.app, charge=charge, key=key, amount=amount, if_over=if_over
        )
        want = charging.refund(
            self.books,
            self.now,
            app=self.app,
            charge=charge,
            key=key,
            amount=amount,
            if_over=if_over,
        )
        assert timeless(got) == timeless(want)

    async def is_given(self) -> None:
        terms = replace(
            PLAIN,
            priority=self.rng.choice((0, 100, 100)),
            operations=self.rng.choice((None, None, frozenset({"draw"}))),
        )
        if self.rng.random() < 0.6:
            terms = replace(terms, expires_at=self.now + self.rng.choice((HOUR, 5 * HOUR, LONG)))
        if self.rng.random() < 0.1:
            terms = replace(terms, effective_at=self.now + HOUR // 2)
        await self.asks(Give(self.account, self.rng.randint(1, 40), terms))

    async def loses_a_grant(self) -> None:
        if not self.lots:
            return
        lot = self.lots.pop(self.rng.randrange(len(self.lots)))
        account = self.books.accounts[self.account]
        self.stage.rows(REVERSE, *self.account, lot)
        take_back(self.books, account, account.lots[lot], "debt", self.now)

    async def waits(self) -> None:
        # Entries of one moment are microseconds apart: those must not reach the end of a lot.
        self.stage.wait(self.rng.choice((SECOND, HOUR - SECOND, HOUR, 3 * HOUR)))

    async def is_tidied(self) -> None:
        ((count,),) = self.stage.rows("select creditd.expire_reservations(1000)")
        account = self.books.accounts[self.account]
        due = [
            hold
            for hold in self.books.reservations.values()
            if hold.ending is None and hold.expires_at <= self.now
        ]
        assert count == len(due)
        if due:
            account.expire(self.now)
        for hold in sorted(due, key=lambda hold: (hold.expires_at, hold.ref.seq)):
            end_by_clock(self.books, hold, self.now)


# How often each comes up.
DRAWN: Mapping[Callable[[Story], object], int] = {
    Story.reserves: 8,
    Story.settles: 8,
    Story.releases: 3,
    Story.extends: 1,
    Story.charges_some: 3,
    Story.refunds: 6,
    Story.is_given: 5,
    Story.loses_a_grant: 1,
    Story.waits: 4,
    Story.is_tidied: 1,
}


async def tell(stage: Stage, spending: Spending, holding: Reserving, seed: str) -> None:
    rng = Random(seed)
    account = stage.account(f"of {seed}")
    story = Story(stage, spending, holding, rng, account, stage.model_of(account))
    for _ in range(STEPS):
        (step,) = rng.choices(list(DRAWN), list(DRAWN.values()))
        await step(story)  # type: ignore[misc]
        assert stage.entries(account) == entries_of(story.books, account), (seed, step)
    # Nothing is left open that another story would have to know of.
    stage.wait(LONG)
    await story.is_tidied()
    assert stage.entries(account) == entries_of(story.books, account), seed


def tell_many(database_url: str, name: str, stories: int) -> None:
    async def main() -> None:
        with Stage.on(database_url, pretended_time=True) as stage:
            async with (
                Spending.open(database_url, lanes=1) as spending,
                Reserving.open(database_url, sessions=1) as holding,
            ):
                for number in range(stories):
                    await tell(stage, spending, holding, f"{name} {number}")

    asyncio.run(main())
    assert_sound(database_url)


def test_reservations_do_what_their_specification_says(database_url: str) -> None:
    tell_many(database_url, "story", 40)


@pytest.mark.soak
def test_reservations_do_what_their_specification_says_for_long(database_url: str) -> None:
    tell_many(database_url, "long story", 2_000)
