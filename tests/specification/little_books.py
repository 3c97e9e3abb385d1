"""A few accounts and prices, and the shortest way to act on them."""

from typing import Any, Final

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Charged, Granted, Reserved
from specification import charging, granting, reserving
from specification.accounts import Account, Terms
from specification.books import Books
from specification.chains import Chains, Event, Rule

APP: Final = 7
ALICE: Final = AccountRef(1, 1)
ORG: Final = AccountRef(2, 2)
MEMBER: Final = AccountRef(2, 3)
WALLET: Final = AccountRef(4, 4)
ADDRESS: Final = b"\x0a" * 20
DAY: Final = 86_400 * 1_000_000


def little_books() -> Books:
    books = Books()
    books.open(ALICE, app=APP)
    books.open(ORG, kind="organisation", app=APP)
    books.open(MEMBER, kind="member", app=APP)
    books.open(WALLET, kind="wallet", app=APP)
    books.wallets[1, ADDRESS] = WALLET
    books.set_price("chat", 0, 1, 0)
    books.set_price("images", 5, 10, 0)
    books.set_price("gift", 0, 0, 0)
    return books


def little_chain(books: Books) -> Chains:
    """A chain with a rule of each policy; the books' first account has a wallet on it."""
    rules = (
        Rule("staking"),
        Rule("free", on_reversal="absorb"),
        Rule("hard", on_reversal="freeze"),
    )
    books.wallets[1, b"alice"] = ALICE
    return Chains(books, rules={rule.name: rule for rule in rules})


def event(amount: int, rule: str = "staking", block: int = 5, who: bytes = b"alice") -> Event:
    return Event((1, who, block), rule, (1, who), block, 0, 0, amount)


def give(books: Books, amount: int, now: int = 0, to: AccountRef = ALICE, **terms: object) -> int:
    """Grant under a new key and return the lot's number."""
    key = f"given {len(books.answers)}"
    given = Terms(source="plan", **terms)  # type: ignore[arg-type]
    outcome = granting.grant(books, now, account=to, key=key, amount=amount, terms=given)
    assert isinstance(outcome, Granted)
    return outcome.grant.movement.seq


def pay(books: Books, units: int, now: int = 0, who: AccountRef = ALICE) -> MovementRef:
    """Charge under a new key and return the charge."""
    key = f"paid {len(books.answers)}"
    outcome = charging.charge(
        books, now, app=APP, account=who, key=key, operation="chat", units=units
    )
    assert isinstance(outcome, Charged), outcome
    return outcome.charge.movement


def hold(books: Books, units: int, now: int = 0, **how: int) -> MovementRef:
    key = f"held {len(books.answers)}"
    asked: dict[str, Any] = {"expires_in": DAY} | how
    outcome = reserving.reserve(
        books, now, app=APP, account=ALICE, key=key, operation="chat", units=units, **asked
    )
    assert isinstance(outcome, Reserved), outcome
    return outcome.reservation.movement


def story(account: Account, since: int = 0) -> list[tuple[str, int, int | None]]:
    return [(e.kind.name.lower(), e.amount, e.lot) for e in account.entries[since:]]
