"""How reservations end: settled, released, or by the clock."""

from typing import Literal

from ledger.ids import MovementRef
from ledger.outcomes import Ending
from specification.accounts import FOR_DEBT, Account, Kind, Leg, Lot, Taken, moment
from specification.books import Books, Reservation
from specification.budgets import count_in_budget

DEBT, ABSORB, FREEZE = "debt", "absorb", "freeze"


def make_up(account: Account, lot: Lot, amount: int, movement: int, now: int) -> None:
    """Say who bears what was spent of a grant that turned out to be void."""
    if lot.reversed_as == ABSORB:
        account.post(Kind.ABSORPTION, amount, lot, now, movement)
        return
    account.post(Kind.DEBT, amount, lot, now, movement)
    if lot.reversed_as == FREEZE and account.frozen_for is None:
        account.frozen_for = FOR_DEBT


def end(
    books: Books,
    reservation: Reservation,
    how: Literal["settled", "released", "expired"],
    take: int,
    now: int,
    *,
    units: int | None = None,
) -> Ending:
    """Take so much, what is held first and in burn order, and give back the rest.

    What is taken beyond what is held is known to be there. `units` is how many were used, if
    anybody says it.
    """
    account = books.accounts[reservation.ref.account]
    first = account.next_entry
    legs = part(account, reservation, min(take, reservation.amount), now)
    if take > reservation.amount:
        extra = take - reservation.amount
        more = account.burn(Kind.CHARGE, extra, reservation.operation, now, first)
        count_in_budget(books, reservation.member, extra, more[0].at)
        legs += more
    else:
        given_back = reservation.amount - take
        count_in_budget(books, reservation.member, -given_back, reservation.at)
    if take > 0 or reservation.amount == 0:
        taken = Taken(reservation.app, legs, reservation.member)
        books.taken[MovementRef(account.ref, first)] = taken
    books.finish(account, first, now)
    entries = [entry for entry in account.entries if entry.movement == first]
    reservation.ending = Ending(
        reservation=reservation.ref,
        movement=MovementRef(account.ref, first),
        how=how,
        taken=take,
        available=entries[-1].available_after,
        held=entries[-1].held_after,
        at=moment(entries[0].at),
        units=units,
    )
    return reservation.ending


def part(account: Account, reservation: Reservation, take: int, now: int) -> list[Leg]:
    """Part what is held into what is taken, whose legs are returned, and what goes back."""
    first = account.next_entry
    if reservation.amount == 0:  # it ends by an entry all the same
        account.post(Kind.SETTLEMENT, 0, None, now, first)
    taken, rest = parted(reservation.legs, take)
    for leg in taken:
        lot = account.lots[leg.lot]
        account.post(Kind.SETTLEMENT, leg.amount, lot, now, first)
        if lot.reversed_as is not None:
            make_up(account, lot, leg.amount, first, now)
    for leg in reversed(rest):
        lot = account.lots[leg.lot]
        account.post(Kind.RELEASE, leg.amount, lot, now, first)
        if lot.reversed_as is not None:
            account.post(Kind.REVERSAL, leg.amount, lot, now, first)
        elif lot.is_over(now):
            account.post(Kind.EXPIRY, leg.amount, lot, now, first)
    return taken


def parted(legs: list[Leg], take: int) -> tuple[list[Leg], list[Leg]]:
    """Part legs after so much."""
    taken, rest = [], []
    for leg in legs:
        amount = min(take, leg.amount)
        take -= amount
        if amount > 0:
            taken.append(Leg(leg.lot, amount, leg.at, leg.counted_at))
        if leg.amount > amount:
            rest.append(Leg(leg.lot, leg.amount - amount, leg.at, leg.counted_at))
    return taken, rest


def due(books: Books, account: Account, now: int) -> list[Reservation]:
    """The reservations of an account whose time is over, the earliest first."""
    found = [
        reservation
        for reservation in books.reservations.values()
        if reservation.ref.account == account.ref
        and reservation.ending is None
        and reservation.expires_at <= now
    ]
    return sorted(found, key=lambda reservation: (reservation.expires_at, reservation.ref.seq))


def sweep(books: Books, account: Account, now: int) -> None:
    """End what holds credits for too long; not where they would go on to another account."""
    if books.home_of(account) is None:
        for reservation in due(books, account, now):
            if reservation.amount > 0:
                end(books, reservation, "expired", reservation.minimum, now)
