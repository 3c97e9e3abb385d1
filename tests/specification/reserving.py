"""Reservations: credits held for work whose price is not known yet."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Final, NamedTuple

from ledger import outcomes
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AlreadyEnded,
    Ending,
    Extended,
    ExtendOutcome,
    KeyReused,
    NoSuchReservation,
    NotCoveredBeyond,
    OverBound,
    Released,
    ReleaseOutcome,
    Reserved,
    ReserveOutcome,
    Settled,
    SettleOutcome,
)
from specification.accounts import Kind, moment
from specification.books import COST_MAX, Answer, Books, Reservation
from specification.budgets import count_in_budget
from specification.deciding import Ask, Purse, decide, made_ready
from specification.ending import due, end

BEYOND: Final = 2**63  # more than any reservation may take


class Settle(NamedTuple):
    """A settlement that an app asks for."""

    app: int
    reservation: MovementRef
    key: str
    request: Hashable
    units: int | None = None


def reserve(
    books: Books,
    now: int,
    *,
    app: int,
    account: AccountRef,
    key: str,
    operation: str,
    units: int,
    expires_in: int,
    minimum: int = 0,
    over_max: int = 0,
    model: str | None = None,
) -> ReserveOutcome:
    """Hold the price of up to so many units. If nobody settles in time, only `minimum` is taken."""
    request = ("reserve", operation, units, expires_in, minimum, over_max, model)
    ask = Ask(app, account, key, request, operation, units, model=model)
    purse = decide(books, ask, now)
    if isinstance(purse, Answer):
        assert isinstance(purse.outcome, Reserved)
        return replace(purse.outcome, replayed=True)
    if not isinstance(purse, Purse):
        return purse
    payer = purse.payer
    ref = MovementRef(payer.ref, payer.next_entry)
    legs = payer.burn(Kind.RESERVE, purse.cost, operation, now)
    reservation = Reservation(
        ref=ref,
        app=app,
        member=purse.member,
        operation=operation,
        terms=purse.price.terms,
        legs=legs,
        amount=purse.cost,
        over_max=over_max,
        minimum=min(minimum, purse.cost),
        expires_at=now + expires_in,
        at=payer.entries[ref.seq - 1].at,
    )
    books.reservations[ref] = reservation
    count_in_budget(books, purse.member, purse.cost, reservation.at)
    made = outcomes.Reservation(
        movement=ref,
        operation=operation,
        model=purse.model,
        units=units,
        price_version=purse.version,
        amount=purse.cost,
        available=payer.available,
        held=payer.held,
        expires_at=moment(reservation.expires_at),
        at=moment(reservation.at),
    )
    outcome = Reserved(made, replayed=False)
    books.answers[app, account, key] = Answer(request, outcome)
    return outcome


def settle(
    books: Books, now: int, *, app: int, reservation: MovementRef, key: str, amount: int
) -> SettleOutcome:
    """Take what the work cost and give the rest back, whatever has ended or frozen meanwhile."""
    ask = Settle(app, reservation, key, ("settle", reservation.seq, amount))
    return settle_for(books, now, ask, amount)


def settle_units(
    books: Books,
    now: int,
    *,
    app: int,
    reservation: MovementRef,
    key: str,
    units: int,
    at_least: int = 0,
) -> SettleOutcome:
    """Take what so many units cost when they were reserved, and `at_least`."""
    found = books.reservations.get(reservation)
    cost = 0 if found is None or units == 0 else found.terms.cost(units)
    request = ("settle units", reservation.seq, units, at_least)
    ask = Settle(app, reservation, key, request, units)
    return settle_for(books, now, ask, max(cost if cost <= COST_MAX else BEYOND, at_least))


def settle_for(books: Books, now: int, ask: Settle, amount: int) -> SettleOutcome:
    app, reservation, key, request, units = ask
    found = opened(books, now, app=app, ref=reservation, key=key, request=request)
    if isinstance(found, KeyReused | NoSuchReservation):
        return found
    if found.ending is not None:
        if (found.ending.how, found.ending.taken) == ("settled", amount):
            return Settled(found.ending, replayed=True)
        return AlreadyEnded(found.ending)
    if not 0 <= amount <= found.amount + found.over_max:
        return OverBound(found.amount + found.over_max)
    account = books.accounts[reservation.account]
    account.expire(now)
    extra = amount - found.amount
    if extra > 0:
        there = made_ready(books, account, found.operation, extra, now)
        if there < extra:
            return NotCoveredBeyond(extra, there, account.debt)
    ending = end(books, found, "settled", amount, now, units=units)
    books.answers[app, reservation.account, key] = Answer(request, ending)
    return Settled(ending, replayed=False)


def release(
    books: Books, now: int, *, app: int, reservation: MovementRef, key: str
) -> ReleaseOutcome:
    """Give back all that is held."""
    request = ("release", reservation.seq)
    found = opened(books, now, app=app, ref=reservation, key=key, request=request)
    if isinstance(found, KeyReused | NoSuchReservation):
        return found
    if found.ending is not None:
        return again(found.ending)
    books.accounts[reservation.account].expire(now)
    ending = end(books, found, "released", 0, now)
    books.answers[app, reservation.account, key] = Answer(request, ending)
    return Released(ending, replayed=False)


def again(ending: Ending) -> Released | AlreadyEnded:
    if ending.how == "released":
        return Released(ending, replayed=True)
    return AlreadyEnded(ending)


def extend(
    books: Books, now: int, *, app: int, reservation: MovementRef, until: int
) -> ExtendOutcome:
    """Let a reservation that is open last until then; never shorter than it would have."""
    found = opened(books, now, app=app, ref=reservation, key=None, request=None)
    if isinstance(found, KeyReused | NoSuchReservation):
        return NoSuchReservation()
    if found.ending is not None:
        return AlreadyEnded(found.ending)
    found.expires_at = max(found.expires_at, until)
    return Extended(moment(found.expires_at))


def opened(
    books: Books, now: int, *, app: int, ref: MovementRef, key: str | None, request: Hashable
) -> Reservation | KeyReused | NoSuchReservation:
    """Find a reservation, ended if its time is over."""
    reservation = books.reservations.get(ref)
    named = [ref.account] if reservation is None else [ref.account, reservation.member]
    if not any(books.reached(app, one) for one in named):
        return NoSuchReservation()
    answer = books.answers.get((app, ref.account, key))
    if answer is not None and answer.request != request:
        return KeyReused()
    if reservation is None or reservation.app != app:
        return NoSuchReservation()
    if reservation.ending is None and reservation.expires_at <= now:
        books.accounts[ref.account].expire(now)
        end(books, reservation, "expired", reservation.minimum, now)
    return reservation


def end_all_due(books: Books, now: int) -> None:
    """End every reservation whose time is over."""
    for account in books.accounts.values():
        if due(books, account, now):
            account.expire(now)
        for reservation in due(books, account, now):
            end(books, reservation, "expired", reservation.minimum, now)
