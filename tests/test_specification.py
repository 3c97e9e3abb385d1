"""The specification itself, held to cases counted by hand: charges, refunds, grants."""

import pytest
from specification import charging, granting, sharing
from specification.accounts import Account, Balance, Terms, balance_as_of
from specification.books import Books
from specification.little_books import (
    ALICE,
    APP,
    DAY,
    give,
    little_books,
    pay,
    story,
)

from ledger.ids import MovementRef
from ledger.outcomes import (
    BeyondBreaker,
    Charged,
    Frozen,
    Granted,
    Insufficient,
    KeyReused,
    MoreThanTaken,
    NoSuchAccount,
    PriceChanged,
    Refunded,
    TooExpensive,
    UnknownOperation,
)


@pytest.fixture
def books() -> Books:
    return little_books()


@pytest.fixture
def alice(books: Books) -> Account:
    return books.accounts[ALICE]


def test_a_charge_burns_by_priority_then_end_then_age(books: Books, alice: Account) -> None:
    late = give(books, 10, priority=200)
    forever, ending = give(books, 10), give(books, 10, expires_at=DAY)
    first = give(books, 10, priority=1)
    younger = give(books, 10)
    pay(books, 45)
    assert story(alice, 5) == [
        ("charge", 10, first),
        ("charge", 10, ending),
        ("charge", 10, forever),
        ("charge", 10, younger),
        ("charge", 5, late),
    ]


def test_a_lot_is_spent_from_its_start_until_just_before_its_end(
    books: Books, alice: Account
) -> None:
    lot = give(books, 10, effective_at=100, expires_at=200)

    def ask(now: int) -> object:
        return charging.charge(
            books, now, app=APP, account=ALICE, key=str(now), operation="chat", units=1
        )

    assert ask(99) == Insufficient(required=1, available=0, debt=0, price_version=1)
    assert isinstance(ask(100), Charged)
    assert isinstance(ask(199), Charged)
    assert ask(200) == Insufficient(required=1, available=0, debt=0, price_version=1)
    assert story(alice, 3) == [("expiry", 8, lot)]


def test_a_402_speaks_of_what_the_operation_may_burn(books: Books) -> None:
    give(books, 10, operations=frozenset({"images"}))
    give(books, 3)
    outcome = charging.charge(books, 0, app=APP, account=ALICE, key="k", operation="chat", units=4)
    assert outcome == Insufficient(required=4, available=3, debt=0, price_version=1)
    pay(books, 3)


def test_refusals_come_in_their_order(books: Books, alice: Account) -> None:
    def ask(
        app: int = APP, key: str = "new", operation: str = "chat", units: int = 1, version: int = 1
    ) -> object:
        return charging.charge(
            books,
            0,
            app=app,
            account=ALICE,
            key=key,
            operation=operation,
            units=units,
            version=version,
        )

    give(books, 10)
    made = ask(key="used")
    sharing.freeze(books, account=ALICE)
    assert isinstance(made, Charged)
    assert ask(app=8, key="used") == NoSuchAccount()
    assert ask(key="used") == Charged(made.charge, replayed=True)
    assert ask(key="used", units=2) == KeyReused()
    assert ask(operation="unheard of") == Frozen()
    sharing.unfreeze(books, account=ALICE)
    assert ask(operation="unheard of", version=9) == UnknownOperation()
    assert ask(version=2, units=0) == PriceChanged(in_force=1)
    assert ask(units=0) == TooExpensive()
    assert ask(units=4 * 10**18 + 1) == TooExpensive()
    assert isinstance(ask(units=10), Insufficient)
    assert isinstance(ask(units=9), Charged)  # the same key: a 402 left it free
    assert alice.available == 0


def test_a_price_changes_for_what_comes_after(books: Books) -> None:
    give(books, 100)
    books.set_price("chat", 1, 2, 50)
    costs = [
        charging.charge(
            books, now, app=APP, account=ALICE, key=str(now), operation="chat", units=10
        )
        for now in (49, 50)
    ]
    assert [outcome.charge.cost for outcome in costs if isinstance(outcome, Charged)] == [10, 21]


def test_what_costs_nothing_goes_through_whatever_is_owed(books: Books, alice: Account) -> None:
    outcome = charging.charge(books, 0, app=APP, account=ALICE, key="k", operation="gift", units=1)
    assert isinstance(outcome, Charged)
    assert story(alice) == [("charge", 0, None)]


def test_a_refund_goes_back_last_leg_first_and_never_twice(books: Books, alice: Account) -> None:
    one, two = give(books, 10), give(books, 10)
    charge = pay(books, 15)
    for key, amount in (("a", 2), ("b", 6), ("b", 6)):
        outcome = charging.refund(books, 0, app=APP, charge=charge, key=key, amount=amount)
        assert isinstance(outcome, Refunded)
    assert story(alice, 4) == [("refund", 2, two), ("refund", 3, two), ("refund", 3, one)]
    more = charging.refund(books, 0, app=APP, charge=charge, key="c", amount=8)
    assert more == MoreThanTaken(refundable=7)
    assert isinstance(charging.refund(books, 0, app=APP, charge=charge, key="c"), Refunded)
    assert alice.available == 20


def test_a_refund_to_a_lot_past_its_end_lapses_or_is_renewed(books: Books, alice: Account) -> None:
    lot = give(books, 10, expires_at=100, priority=5)
    charge = pay(books, 10, now=40)
    charging.refund(books, 100, app=APP, charge=charge, key="a", amount=4)
    assert story(alice, 2) == [("refund", 4, lot), ("expiry", 4, lot)]
    charging.refund(books, 1_000, app=APP, charge=charge, key="b", amount=6, if_over=charging.RENEW)
    assert story(alice, 4) == [("refund", 6, 5)]
    assert alice.lots[5].terms == Terms("refund", priority=5, expires_at=1_060)


def test_all_that_a_charge_causes_is_at_most_half_of_what_it_holds(books: Books) -> None:
    give(books, 100)
    charge = pay(books, 40)
    charging.refund(books, 0, app=APP, charge=charge, key="k", amount=20)

    def cashback(key: str, amount: int) -> object:
        return granting.grant(
            books,
            0,
            account=ALICE,
            key=key,
            amount=amount,
            terms=Terms("promotional"),
            cause=charge,
        )

    assert isinstance(cashback("a", 6), Granted)
    assert cashback("b", 5) == BeyondBreaker(left=4)
    assert isinstance(cashback("b", 4), Granted)


def test_what_a_refund_leaves_unbacked_lessens_what_later_charges_cause(books: Books) -> None:
    give(books, 200)

    def cashback(charge: MovementRef, amount: int) -> object:
        return granting.grant(
            books,
            0,
            account=ALICE,
            key=f"{charge}",
            amount=amount,
            terms=Terms("promotional"),
            cause=charge,
        )

    first = pay(books, 60)
    assert isinstance(cashback(first, 30), Granted)
    charging.refund(books, 0, app=APP, charge=first, key="a", amount=15)  # 22 are backed of 30
    second = pay(books, 40)
    assert cashback(second, 20) == BeyondBreaker(left=12)
    assert isinstance(cashback(second, 12), Granted)
    charging.refund(books, 0, app=APP, charge=first, key="b")
    assert cashback(pay(books, 61), 1) == BeyondBreaker(left=0)
    assert cashback(pay(books, 62), 2) == BeyondBreaker(left=1)


def test_an_overdraft_is_drawn_last_and_refilled_by_grants(books: Books, alice: Account) -> None:
    give(books, 10)
    granting.set_overdraft(books, 0, account=ALICE, limit=50)
    pay(books, 40)
    assert alice.available == 20
    granting.set_overdraft(books, 0, account=ALICE, limit=25)
    assert alice.available == 0  # 30 are drawn and stay drawn
    lot = give(books, 10)
    assert story(alice, 5) == [("grant", 10, lot), ("line_cut", 10, lot), ("credit_line", 5, 2)]
    give(books, 30)
    assert alice.available == 35
    assert alice.drawn() == 0


def test_a_past_balance_counts_ends_that_nobody_had_posted(books: Books, alice: Account) -> None:
    give(books, 10, now=10, expires_at=100)
    give(books, 7, now=20)
    pay(books, 4, now=30)
    pay(books, 1, now=500)
    assert [balance_as_of(alice, at).available for at in (9, 10, 25, 99, 100, 501)] == [
        0,
        10,
        17,
        13,
        7,
        6,
    ]
    assert balance_as_of(alice, 30) == Balance(13, 0, 0)
