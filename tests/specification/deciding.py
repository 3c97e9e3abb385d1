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
    UnknownOperation,
)
from specification.accounts import Account, Kind
from specification.books import COST_MAX, SPENT_MAX, Answer, Books
from specification.budgets import room_in_budget
from specification.ending import sweep


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


@dataclass(frozen=True)
class Purse:
    """Whose lots pay, at which price and in whose budget."""

    payer: Account
    member: AccountRef | None
    version: int
    cost: int


class Cost(NamedTuple):
    operation: str
    version: int
    amount: int


Refusal = (
    NoSuchAccount
    | KeyReused
    | Frozen
    | UnknownOperation
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
    if account.is_frozen or account.closed:
        return Frozen()
    return who_pays(books, account, ask, now)


def who_pays(books: Books, account: Account, ask: Ask, now: int) -> Purse | Refusal:
    price = books.price(ask.operation, now)
    if price is None:
        return UnknownOperation()
    if ask.version not in {None, price.version}:
        return PriceChanged(in_force=price.version)
    cost = price.cost(ask.units)
    spent = account.total(Kind.CHARGE, Kind.SETTLEMENT)
    if ask.units < 1 or cost > COST_MAX or spent + cost > SPENT_MAX:
        return TooExpensive()
    return purse(books, account, Cost(ask.operation, price.version, cost), now)


def purse(
    books: Books, account: Account, price: Cost, now: int
) -> Purse | Insufficient | OverBudget:
    """Whoever is named pays; for a member who cannot, the organisation, within the budget."""
    operation, version, cost = price
    own = made_ready(books, account, operation, cost, now)
    if own >= cost:
        return Purse(account, None, version, cost)
    if account.kind != "member":
        return Insufficient(cost, own, account.debt, version)
    pool = books.accounts[AccountRef(account.ref.root_id, account.ref.root_id)]
    left = room_in_budget(books, account.ref, now)
    if left is not None and cost > left:
        return OverBudget(cost, left, version)
    pooled = made_ready(books, pool, operation, cost, now)
    if pooled >= cost:
        return Purse(pool, account.ref, version, cost)
    return Insufficient(cost, pooled, pool.debt, version)


def made_ready(books: Books, account: Account, operation: str, cost: int, now: int) -> int:
    """What the account can spend, once what is due is done if that is needed."""
    account.expire(now)
    if account.spendable(operation, now) < cost:
        sweep(books, account, now)
    return account.spendable(operation, now)
