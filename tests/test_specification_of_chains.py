"""The specification itself, held to cases counted by hand: chains, reservations, and who shares."""

import pytest
from specification import budgets, charging, reserving, sharing
from specification.accounts import Account, Kind, LotRef
from specification.books import Books
from specification.chains import Chains, Event, Rule
from specification.little_books import (
    ADDRESS,
    ALICE,
    APP,
    DAY,
    MEMBER,
    ORG,
    WALLET,
    event,
    give,
    hold,
    little_books,
    little_chain,
    pay,
    story,
)

from ledger.exposure import Exposure
from ledger.ids import AccountRef
from ledger.outcomes import (
    Allocated,
    AlreadyEnded,
    Frozen,
    Linked,
    LinkedElsewhere,
    NotCoveredBeyond,
    OverBound,
    OverBudget,
    Settled,
)


@pytest.fixture
def books() -> Books:
    return little_books()


@pytest.fixture
def alice(books: Books) -> Account:
    return books.accounts[ALICE]


@pytest.fixture
def chain(books: Books) -> Chains:
    return little_chain(books)


def test_what_was_spent_of_an_orphaned_grant_is_owed_and_repaid_first(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100), 0)
    pay(books, 60)
    assert chain.exposure(1, 5, 0)[ALICE] == Exposure(taken_back=40, owed=60, reserved=0)
    chain.reverse(1, above=4, now=0)
    assert story(alice, 2) == [("reversal", 40, 1), ("debt", 60, 1)]
    lot = give(books, 50)
    assert story(alice, 4) == [("grant", 50, lot), ("repayment", 50, lot)]
    chain.confirm(event(100, block=5), 0)
    assert (alice.available, alice.debt) == (90, 0)


def test_others_credits_repay_at_once_and_future_ones_too(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100), 0)
    pay(books, 100)
    future = give(books, 30, effective_at=DAY)
    chain.reverse(1, above=4, now=0)
    assert story(alice, 3) == [("debt", 100, 1), ("repayment", 30, future)]
    assert alice.debt == 70


def test_what_expired_of_an_orphaned_grant_is_owed_by_nobody(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.rules["staking"] = Rule("staking", expires_days=1)
    chain.confirm(event(100), 0)
    pay(books, 10)
    chain.reverse(1, above=4, now=DAY)
    assert story(alice, 2) == [("expiry", 90, 1), ("debt", 10, 1)]


def test_the_operator_bears_what_a_rule_absorbs_until_it_comes_back(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100, "free"), 0)
    pay(books, 60)
    chain.reverse(1, above=4, now=0)
    assert story(alice, 2) == [("reversal", 40, 1), ("absorption", 60, 1)]
    chain.confirm(event(100, "free"), 0)
    assert story(alice, 4) == [("grant", 100, 5), ("recovery", 60, 5)]
    chain.reverse(1, above=4, now=0)
    assert story(alice, 6) == [("reversal", 40, 5), ("absorption", 60, 5)]


def test_a_rule_that_freezes_does_so_until_all_is_repaid(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100, "hard"), 0)
    pay(books, 60)
    chain.reverse(1, above=4, now=0)
    give(books, 59)
    assert not alice.is_open
    give(books, 2)
    assert alice.is_open
    assert alice.available == 1


def test_a_refund_of_what_an_orphaned_grant_paid_pays_the_debt_and_the_rest_is_new(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100), 0)
    charge = pay(books, 60)
    chain.reverse(1, above=4, now=0)
    give(books, 40)
    charging.refund(books, 0, app=APP, charge=charge, key="k")
    assert story(alice, 6) == [("refund", 20, 1), ("repayment", 20, 1), ("refund", 40, 9)]
    assert alice.lots[9].terms.source == "refund"


def test_caps_cut_grants_and_a_reversal_gives_them_back(books: Books, chain: Chains) -> None:
    books.wallets[1, b"member"] = MEMBER
    chain.rules["staking"] = Rule("staking", cap_account=100, cap_account_day=60, cap_total=130)
    assert chain.confirm(event(70, block=5), 0) == 60
    assert chain.confirm(event(70, block=6), 0) == 0
    tomorrow = Event((1, b"", 7), "staking", (1, b"alice"), 7, 0, DAY, 70)
    assert chain.confirm(tomorrow, 0) == 40
    assert chain.confirm(event(70, block=8, who=b"member"), 0) == 30
    chain.reverse(1, above=7, now=0)
    assert chain.confirm(event(20, block=8, who=b"member"), 0) == 20


def test_settling_takes_in_burn_order_and_releases_the_rest(books: Books, alice: Account) -> None:
    one, two = give(books, 10), give(books, 10)
    reservation = hold(books, 15)
    assert (alice.available, alice.held) == (5, 15)
    ended = reserving.settle(books, 0, app=APP, reservation=reservation, key="s", amount=7)
    assert isinstance(ended, Settled)
    assert story(alice, 4) == [("settlement", 7, one), ("release", 5, two), ("release", 3, one)]
    again = reserving.settle(books, 0, app=APP, reservation=reservation, key="t", amount=7)
    assert isinstance(again, Settled)
    assert again.replayed
    other = reserving.settle(books, 0, app=APP, reservation=reservation, key="u", amount=8)
    assert other == AlreadyEnded(ended.ending)
    assert reserving.release(books, 0, app=APP, reservation=reservation, key="v") == other
    charging.refund(books, 0, app=APP, charge=ended.ending.movement, key="r")
    assert story(alice, 7) == [("refund", 7, one)]


def test_settling_more_than_was_held_takes_the_rest_from_what_is_there(
    books: Books, alice: Account
) -> None:
    give(books, 15)
    reservation = hold(books, 10, over_max=7)

    def settle(amount: int) -> object:
        return reserving.settle(
            books, 0, app=APP, reservation=reservation, key=str(amount), amount=amount
        )

    assert settle(18) == OverBound(17)
    assert settle(17) == NotCoveredBeyond(extra=7, available=5, debt=0)
    assert isinstance(settle(14), Settled)
    assert story(alice, 2) == [("settlement", 10, 1), ("charge", 4, 1)]


def test_a_reservation_ends_by_the_clock_when_somebody_needs_its_credits(
    books: Books, alice: Account
) -> None:
    give(books, 10)
    reservation = hold(books, 10, minimum=4, expires_in=100)
    pay(books, 6, now=100)
    assert story(alice, 2) == [("settlement", 4, 1), ("release", 6, 1), ("charge", 6, 1)]
    late = reserving.settle(books, 100, app=APP, reservation=reservation, key="s", amount=4)
    assert isinstance(late, AlreadyEnded)
    assert late.ending.how == "expired"


def test_what_is_released_to_a_lot_past_its_end_expires(books: Books, alice: Account) -> None:
    give(books, 10, expires_at=100)
    reservation = hold(books, 10)
    reserving.settle(books, 100, app=APP, reservation=reservation, key="s", amount=6)
    assert story(alice, 2) == [("settlement", 6, 1), ("release", 4, 1), ("expiry", 4, 1)]


def test_a_held_slice_of_an_orphaned_grant_is_owed_once_it_is_settled(
    books: Books, alice: Account, chain: Chains
) -> None:
    chain.confirm(event(100), 0)
    reservation = hold(books, 50)
    chain.reverse(1, above=4, now=0)
    assert story(alice, 2) == [("reversal", 50, 1)]
    reserving.settle(books, 0, app=APP, reservation=reservation, key="s", amount=30)
    assert story(alice, 3) == [
        ("settlement", 30, 1),
        ("debt", 30, 1),
        ("release", 20, 1),
        ("reversal", 20, 1),
    ]


def test_a_link_moves_what_is_left_and_what_comes_back_later(
    books: Books, alice: Account, chain: Chains
) -> None:
    books.wallets[1, ADDRESS] = WALLET
    wallet = books.accounts[WALLET]
    chain.confirm(event(100, who=ADDRESS), 0)
    charge = pay(books, 30, who=WALLET)
    linked = sharing.link(books, 0, chain=1, address=ADDRESS, account=ALICE)
    assert linked == Linked(ALICE, wallets=1, moved=70, debt=0, replayed=False)
    assert alice.lots[1].origin == LotRef(WALLET, 1)
    assert (wallet.available, alice.available) == (0, 70)
    charging.refund(books, 0, app=APP, charge=charge, key="k", amount=10)
    assert story(wallet, 2) == [("move_out", 70, 1), ("refund", 10, 1), ("move_out", 10, 1)]
    assert alice.available == 80
    pay(books, 75)
    chain.reverse(1, above=4, now=0)
    # 20 were spent by the wallet itself; its debt moves along.
    assert alice.debt == 95
    assert alice.total(Kind.DEBT_IN) == 20
    other = sharing.link(books, 0, chain=1, address=ADDRESS, account=MEMBER)
    assert other == LinkedElsewhere()
    again = sharing.link(books, 0, chain=1, address=ADDRESS, account=ALICE)
    assert again == Linked(ALICE, wallets=0, moved=0, debt=0, replayed=True)
    sharing.unlink(books, chain=1, address=ADDRESS, account=ALICE)
    chain.confirm(event(10, block=9, who=ADDRESS), 0)
    assert wallet.available == 10


def test_the_pool_pays_for_a_member_who_cannot_within_the_budget(books: Books) -> None:
    give(books, 100, to=ORG)
    give(books, 5, to=MEMBER)
    sharing.set_budget(books, member=MEMBER, period="day", limit=30)
    assert pay(books, 5, who=MEMBER).account == MEMBER
    charge = pay(books, 20, who=MEMBER)
    assert charge.account == ORG
    outcome = charging.charge(
        books, 0, app=APP, account=MEMBER, key="k", operation="chat", units=11
    )
    assert outcome == OverBudget(required=11, left=10, price_version=1)
    charging.refund(books, 0, app=APP, charge=charge, key="r", amount=5)
    assert budgets.room_in_budget(books, MEMBER, 0) == 15
    assert budgets.room_in_budget(books, MEMBER, DAY) == 30


def test_an_organisation_gives_its_member_credits_and_takes_them_back(books: Books) -> None:
    give(books, 100, to=ORG)
    for key, amount, back in (("a", 30, False), ("b", 10, True)):
        moved = sharing.allocate(
            books, 0, app=APP, member=MEMBER, amount=amount, key=key, back=back
        )
        assert isinstance(moved, Allocated)
    assert (books.accounts[ORG].available, books.accounts[MEMBER].available) == (80, 20)


def test_a_member_who_leaves_leaves_its_credits(books: Books) -> None:
    other = AccountRef(9, 10)
    books.open(AccountRef(9, 9), kind="organisation")
    give(books, 5, to=MEMBER)
    sharing.move_member(books, 0, member=MEMBER, to=other)
    assert books.accounts[ORG].available == 5
    outcome = charging.charge(books, 0, app=APP, account=MEMBER, key="k", operation="chat", units=1)
    assert outcome == Frozen()
