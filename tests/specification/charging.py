"""Charges and refunds."""

from dataclasses import replace

from msgspec import structs

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    Charge,
    Charged,
    ChargeOutcome,
    KeyReused,
    MoreThanTaken,
    NoSuchCharge,
    Refund,
    Refunded,
    RefundOutcome,
)
from specification.accounts import OVERDRAFT, Account, Kind, Leg, Lot, Taken, Terms, moment
from specification.books import Answer, Books
from specification.budgets import count_in_budget
from specification.deciding import Ask, Purse, decide

LAPSE, RENEW = "lapse", "renew"  # what becomes of what goes back to a lot past its end


def charge(
    books: Books,
    now: int,
    *,
    app: int,
    account: AccountRef,
    key: str,
    operation: str,
    units: int,
    version: int | None = None,
    model: str | None = None,
) -> ChargeOutcome:
    request = ("charge", operation, units, version, model)
    ask = Ask(app, account, key, request, operation, units, version, model)
    purse = decide(books, ask, now)
    if isinstance(purse, Answer):
        assert isinstance(purse.outcome, Charged)
        return structs.replace(purse.outcome, replayed=True)
    if not isinstance(purse, Purse):
        return purse
    payer = purse.payer
    first = payer.next_entry
    legs = payer.burn(Kind.CHARGE, purse.cost, operation, now)
    ref = MovementRef(payer.ref, first)
    at = payer.entries[first - 1].at
    books.taken[ref] = Taken(app, legs, purse.member)
    count_in_budget(books, purse.member, purse.cost, at)
    made = Charge(
        movement=ref,
        operation=operation,
        model=purse.model,
        units=units,
        price_version=purse.version,
        cost=purse.cost,
        available=payer.available,
        at=moment(at),
    )
    outcome = Charged(made, replayed=False)
    books.answers[app, account, key] = Answer(request, outcome)
    return outcome


def refund(
    books: Books,
    now: int,
    *,
    app: int,
    charge: MovementRef,
    key: str,
    amount: int | None = None,
    if_over: str = LAPSE,
) -> RefundOutcome:
    """Give back part of a charge or of a settlement, or (None) all that is left of it."""
    taken = books.taken.get(charge)
    named = [charge.account] if taken is None else [charge.account, taken.member]
    if not any(books.reached(app, ref) for ref in named):
        return NoSuchCharge()
    account = books.accounts[charge.account]
    request = ("refund", charge.seq, amount, if_over)
    answer = books.answers.get((app, charge.account, key))
    if answer is not None:
        if answer.request != request:
            return KeyReused()
        assert isinstance(answer.outcome, Refunded)
        return replace(answer.outcome, replayed=True)
    if taken is None or taken.app != app:
        return NoSuchCharge()
    left = taken.cost - taken.refunded
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        return MoreThanTaken(left)
    account.expire(now)
    first = account.next_entry
    for leg in list(taken.legs_to_refund(wanted)):
        give_back(account, leg, first, if_over, now)
        count_in_budget(books, taken.member, -leg.amount, leg.counted_at)
    taken.refunded += wanted
    books.finish(account, first, now)
    entries = account.entries[first - 1 :]
    made = Refund(
        movement=MovementRef(account.ref, first),
        charge=charge,
        amount=wanted,
        repaid=sum(e.amount for e in entries if e.kind == Kind.REPAYMENT),
        available=account.available,
        at=moment(entries[0].at),
    )
    outcome = Refunded(made, replayed=False)
    books.answers[app, charge.account, key] = Answer(request, outcome)
    return outcome


def give_back(account: Account, leg: Leg, movement: int, if_over: str, now: int) -> None:
    """Put one leg back where it came from, or where that now belongs."""
    lot = account.lots[leg.lot]
    if lot.reversed_as is not None:
        owed = min(account.debt, leg.amount)
        if owed > 0:
            account.post(Kind.REFUND, owed, lot, now, movement)
            account.post(Kind.REPAYMENT, owed, lot, now, movement)
        if leg.amount > owed:
            give_anew(account, lot, leg.amount - owed, lot.terms.expires_at, now, movement=movement)
    elif lot.terms.source == OVERDRAFT:
        drawn = min(account.drawn(), leg.amount)
        if drawn > 0:
            account.post(Kind.REFUND, drawn, lot, now, movement)
        if leg.amount > drawn:  # what was drawn is paid back already
            terms = Terms("refund")
            account.add_lot(Kind.REFUND, leg.amount - drawn, terms, now, movement=movement)
    elif lot.is_over(now) and if_over == RENEW:
        lives_again = now + lot.terms.expires_at - leg.at
        give_anew(account, lot, leg.amount, lives_again, now, movement=movement)
    else:
        account.post(Kind.REFUND, leg.amount, lot, now, movement)
        if lot.is_over(now):
            account.post(Kind.EXPIRY, leg.amount, lot, now, movement)


def give_anew(
    account: Account, old: Lot, amount: int, expires_at: int, now: int, *, movement: int
) -> None:
    terms = replace(old.terms, source="refund", expires_at=expires_at)
    account.add_lot(Kind.REFUND, amount, terms, now, movement=movement)
