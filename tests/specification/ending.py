"""How reservations end: settled, released, or by the clock."""

from ledger.ids import MovementRef
from specification.accounts import FOR_DEBT, Account, Kind, Leg, Lot, Taken
from specification.books import Books, Reservation
from specification.budgets import count_in_budget
from specification.outcomes import Released

DEBT, ABSORB, FREEZE = "debt", "absorb", "freeze"


def make_up(account: Account, lot: Lot, amount: int, movement: int, now: int) -> None:
    """Say who bears what was spent of a grant that turned out to be void."""
    if lot.reversed_as == ABSORB:
        account.post(Kind.ABSORPTION, amount, lot, now, movement)
        return
    account.post(Kind.DEBT, amount, lot, now, movement)
    if lot.reversed_as == FREEZE and account.frozen_for is None:
        account.frozen_for = FOR_DEBT


def end(books: Books, reservation: Reservation, take: int, now: int) -> int:
    """Take so much of what is held, in burn order, give back the rest, and return the movement.

    The caller takes what is asked for beyond that, and finishes the movement.
    """
    account = books.accounts[reservation.ref.account]
    first = account.next_entry
    if reservation.amount == 0:  # nothing is held, and yet it ends by an entry
        account.post(Kind.SETTLEMENT, 0, None, now, first)
    taken, rest = parted(reservation.legs, take)
    at = {leg.lot: leg.at for leg in reservation.legs}
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
    if taken:
        legs = [Leg(leg.lot, leg.amount, at[leg.lot]) for leg in taken]
        books.taken[MovementRef(account.ref, first)] = Taken(
            reservation.app, legs, reservation.member, reservation.at
        )
    given_back = reservation.amount - take
    count_in_budget(books, reservation.member, -given_back, reservation.at)
    return first


def parted(legs: list[Leg], take: int) -> tuple[list[Leg], list[Leg]]:
    """Part the legs of a reservation into what is taken of them and the rest."""
    taken, rest = [], []
    for leg in legs:
        part = min(take, leg.amount)
        take -= part
        if part > 0:
            taken.append(Leg(leg.lot, part, leg.at))
        if leg.amount > part:
            rest.append(Leg(leg.lot, leg.amount - part, leg.at))
    return taken, rest


def sweep(books: Books, account: Account, now: int) -> None:
    """End what holds credits of an account and whose time is over, the earliest first."""
    due = [
        reservation
        for reservation in books.reservations.values()
        if reservation.ref.account == account.ref
        and reservation.ending is None
        and reservation.amount > 0
        and reservation.expires_at <= now
    ]
    for reservation in sorted(due, key=lambda r: (r.expires_at, r.ref.seq)):
        end_by_clock(books, reservation, now)


def end_by_clock(books: Books, reservation: Reservation, now: int) -> None:
    account = books.accounts[reservation.ref.account]
    first = end(books, reservation, reservation.minimum, now)
    books.finish(account, first, now)
    reservation.ending = Released(
        reservation=reservation.ref,
        movement=MovementRef(account.ref, first),
        amount=reservation.minimum,
        available=account.available,
        held=account.held,
        expired=True,
    )
