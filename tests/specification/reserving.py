"""Reservations: credits held for work whose price is not known yet."""

from collections.abc import Hashable
from dataclasses import replace

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Insufficient, KeyReused
from specification.accounts import Account, Kind, Taken
from specification.books import Answer, Books, Reservation
from specification.budgets import count_in_budget
from specification.deciding import Ask, Purse, Refusal, decide, made_ready
from specification.ending import end, end_by_clock
from specification.outcomes import (
    AlreadyEnded,
    Ending,
    Extended,
    NoSuchReservation,
    OverBound,
    Released,
    Reserved,
    Settled,
)


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
) -> Reserved | Refusal:
    """Hold the price of up to so many units. If nobody settles in time, only `minimum` is taken."""
    request = ("reserve", operation, units, expires_in, minimum, over_max)
    purse = decide(books, Ask(app, account, key, request, operation, units), now)
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
        legs=legs,
        amount=purse.cost,
        over_max=over_max,
        minimum=min(minimum, purse.cost),
        expires_at=now + expires_in,
        at=payer.entries[ref.seq - 1].at,
    )
    books.reservations[ref] = reservation
    count_in_budget(books, purse.member, purse.cost, reservation.at)
    outcome = Reserved(ref, purse.cost, payer.available, payer.held, reservation.expires_at)
    books.answers[app, account, key] = Answer(request, outcome)
    return outcome


def settle(
    books: Books, now: int, *, app: int, reservation: MovementRef, key: str, amount: int
) -> Ending | KeyReused | NoSuchReservation | AlreadyEnded | OverBound | Insufficient:
    """Take what the work cost and give the rest back, whatever has ended or frozen meanwhile."""
    request = ("settle", reservation.seq, amount)
    open_one = opened(books, now, app=app, ref=reservation, key=key, request=request)
    if isinstance(open_one, (KeyReused, NoSuchReservation)):
        return open_one
    account = books.accounts[reservation.account]
    if open_one.ending is not None:
        return again(open_one.ending, Settled, amount)
    if amount > open_one.amount + open_one.over_max:
        return OverBound(open_one.amount + open_one.over_max)
    extra = max(0, amount - open_one.amount)
    if extra > 0:
        there = made_ready(books, account, open_one.operation, extra, now)
        if there < extra:
            return Insufficient(extra, there, account.debt, 0)
    account.expire(now)
    first = end(books, open_one, amount - extra, now)
    if extra > 0:
        legs = account.burn(Kind.CHARGE, extra, open_one.operation, now, first)
        ref = MovementRef(account.ref, first)
        taken = books.taken.setdefault(ref, Taken(app, [], open_one.member, open_one.at))
        taken.legs.extend(legs)
        count_in_budget(books, open_one.member, extra, open_one.at)
    books.finish(account, first, now)
    ending = Settled(
        reservation=reservation,
        movement=MovementRef(account.ref, first),
        amount=amount,
        available=account.available,
        held=account.held,
    )
    open_one.ending = ending
    books.answers[app, reservation.account, key] = Answer(request, ending)
    return ending


def release(
    books: Books, now: int, *, app: int, reservation: MovementRef, key: str
) -> Ending | KeyReused | NoSuchReservation | AlreadyEnded:
    """Give back all that is held."""
    request = ("release", reservation.seq)
    open_one = opened(books, now, app=app, ref=reservation, key=key, request=request)
    if isinstance(open_one, (KeyReused, NoSuchReservation)):
        return open_one
    account = books.accounts[reservation.account]
    if open_one.ending is not None:
        return again(open_one.ending, Released, 0)
    account.expire(now)
    first = end(books, open_one, 0, now)
    books.finish(account, first, now)
    ending = Released(
        reservation=reservation,
        movement=MovementRef(account.ref, first),
        amount=0,
        available=account.available,
        held=account.held,
    )
    open_one.ending = ending
    books.answers[app, reservation.account, key] = Answer(request, ending)
    return ending


def extend(
    books: Books, now: int, *, app: int, reservation: MovementRef, until: int
) -> Extended | NoSuchReservation | AlreadyEnded:
    """Let a reservation that is open last until then; never shorter than it would have."""
    open_one = opened(books, now, app=app, ref=reservation, key=None, request=None)
    if isinstance(open_one, (KeyReused, NoSuchReservation)):
        return NoSuchReservation()
    if open_one.ending is not None:
        return AlreadyEnded(open_one.ending)
    open_one.expires_at = max(open_one.expires_at, until)
    return Extended(open_one.expires_at)


def opened(
    books: Books, now: int, *, app: int, ref: MovementRef, key: str | None, request: Hashable
) -> Reservation | KeyReused | NoSuchReservation:
    """Find a reservation, ended if its time is over."""
    if books.reached(app, ref.account) is None:
        return NoSuchReservation()
    answer = books.answers.get((app, ref.account, key))
    if answer is not None and answer.request != request:
        return KeyReused()
    reservation = books.reservations.get(ref)
    if reservation is None or reservation.app != app:
        return NoSuchReservation()
    if reservation.ending is None and reservation.expires_at <= now:
        end_due(books, reservation, now)
    return reservation


def end_due(books: Books, reservation: Reservation, now: int) -> None:
    account: Account = books.accounts[reservation.ref.account]
    account.expire(now)
    end_by_clock(books, reservation, now)


def again(ending: Ending, asked: type[Settled | Released], amount: int) -> Ending | AlreadyEnded:
    """Answer a second ending: the same one is a replay, under whatever key."""
    by_clock = isinstance(ending, Released) and ending.expired
    if isinstance(ending, asked) and ending.amount == amount and not by_clock:
        return replace(ending, replayed=True)
    return AlreadyEnded(ending)
