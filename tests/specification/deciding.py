"""What may refuse a charge or a reservation, and who pays for it."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from ledger.ids import AccountRef
from ledger.outcomes import (
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    PriceChanged,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from specification.accounts import Account, Kind
from specification.books import COST_MAX, SPENT_MAX, Answer, Books
from specification.budgets import room_in_budget
from specification.ending import sweep
from specification.pricing import Price


@dataclass(frozen=True)
class Ask:
    """What an app asks a price for."""

    app: int
    account: AccountRef
    key: str
    request: Hashable
    operation: str
    units: int
    version: int | None = None
    model: str | None = None


@dataclass(frozen=True)
class Purse:
    """Whose lots pay, at which price and in whose budget."""

    payer: Account
    member: AccountRef | None
    price: Price
    cost: int

    @property
    def version(self) -> int:
        return self.price.version

    @property
    def model(self) -> str | None:
        return self.price.model or None


class Cost(NamedTuple):
    operation: str
    price: Price
    amount: int


Refusal = (
    NoSuchAccount
    | KeyReused
    | Frozen
    | UnknownOperation
    | UnknownModel
    | PriceChanged
    | TooExpensive
    | Insufficient
    | OverBudget
)


def decide(books: Books, ask: Ask, now: int) -> Purse | Answer | Refusal:
    """Find what may refuse a charge or a reservation, in the order in which it does."""
    account = books.reached(ask.app, ask.account)
    if account is None:
        return NoSuchAccount()
    answer = books.answers.get((ask.app, ask.account, ask.key))
    if answer is not None:
        return answer if answer.request == ask.request else KeyReused()
    if not account.is_open:
        return Frozen()
    return who_pays(books, account, ask, now)


def who_pays(books: Books, account: Account, ask: Ask, now: int) -> Purse | Refusal:
    prices = books.prices_of(ask.operation)
    price = prices.at(ask.model, now)
    if price is None:
        return UnknownModel() if prices.has_any(now) else UnknownOperation()
    if ask.version not in {None, price.version}:
        return PriceChanged(in_force=price.version)
    cost = price.terms.cost(ask.units)
    spent = account.total(Kind.CHARGE, Kind.SETTLEMENT)
    if ask.units < 1 or cost > COST_MAX or spent + cost > SPENT_MAX:
        return TooExpensive()
    return purse(books, account, Cost(ask.operation, price, cost), now)


def purse(
    books: Books, account: Account, asked: Cost, now: int
) -> Purse | Frozen | Insufficient | OverBudget:
    """Whoever is named pays; for a member who cannot, the organisation, within the budgets."""
    operation, price, cost = asked
    if account.kind == "member":
        pool = books.pool_of(account)
        if not pool.is_open:
            return Frozen()
        if made_ready(books, account, operation, cost, now) >= cost:
            return Purse(account, None, price, cost)
        left = room_for(books, account, pool, cost, now)
        if left < cost:
            return OverBudget(cost, left, price.version)
        member, account = account.ref, pool
    else:
        member = None
    there = made_ready(books, account, operation, cost, now)
    if there >= cost:
        return Purse(account, member, price, cost)
    return Insufficient(cost, there, account.debt, price.version)


def room_for(books: Books, account: Account, pool: Account, cost: int, now: int) -> int:
    """What the budgets leave, once what the pool holds for too long is given back if need be."""
    at = pool.next_at(now)
    if room_in_budget(books, account.ref, at) < cost and pool.held > 0:
        pool.expire(now)
        sweep(books, pool, now)
    return room_in_budget(books, account.ref, at)


def made_ready(books: Books, account: Account, operation: str, cost: int, now: int) -> int:
    """What the account can spend, once what is due is done if that is needed."""
    account.expire(now)
    if account.spendable(operation, now) < cost:
        sweep(books, account, now)
    return account.spendable(operation, now)
