"""Reservations and refunds of credits that are others', moved, or taken back."""

from datetime import timedelta

import pytest
from conftest import CHAIN_ID
from reserving_shop import DAY, HOUR, ReservingShop, play
from town import ALICE

from ledger.ids import AccountRef
from ledger.outcomes import (
    Insufficient,
    MemberMoved,
    OverBudget,
    Reserved,
)

MOMENT = timedelta(microseconds=1)


def test_a_held_slice_of_a_reversed_grant_is_a_debt_when_it_is_settled(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        shop.reverse(account)
        assert shop.has(account) == (0, 8, 0)
        ending = await shop.settled(hold, 5)
        assert (ending.taken, ending.available, ending.held) == (5, 0, 0)
        assert shop.has(account) == (0, 0, 5)
        assert shop.story(account, 3) == [
            ("settlement", 5, 1),
            ("debt", 5, 1),
            ("release", 3, 1),
            ("reversal", 3, 1),
        ]

    play(database_url, story)


def test_a_debt_of_a_settlement_is_repaid_by_what_else_is_there(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 14)
        shop.reverse(account)
        await shop.settled(hold, 11)
        # 10 of what is gone are owed; 3 that come back and 6 that were left repay it.
        assert shop.has(account) == (0, 0, 1)
        shop.town.grant(account, 4)
        assert shop.has(account) == (3, 0, 0)

    play(database_url, story)


def test_a_released_slice_of_a_reversed_grant_is_owed_by_nobody(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        shop.reverse(account)
        ending = await shop.released(hold)
        assert (ending.available, ending.held) == (0, 0)
        assert shop.has(account) == (0, 0, 0)
        assert shop.story(account, 3) == [("release", 8, 1), ("reversal", 8, 1)]

    play(database_url, story)


@pytest.mark.parametrize(
    ("policy", "debt", "status", "absorbed"),
    [("debt", 5, "open", 0), ("freeze", 5, "indebted", 0), ("absorb", 0, "open", 5)],
)
def test_who_bears_a_settled_slice_of_a_reversed_grant_is_the_rules_to_say(
    database_url: str, policy: str, debt: int, status: str, absorbed: int
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        shop.reverse(account, policy=policy)
        await shop.settled(hold, 5)
        assert shop.has(account) == (0, 0, debt)
        assert shop.town.status(account) == status
        assert shop.town.rows(
            "select a.absorbed, l.absorbed from creditd.account a"
            " join creditd.lot l using (root_id, account_id)"
        ) == [(absorbed, absorbed)]

    play(database_url, story)


def test_a_freeze_for_a_debt_that_is_repaid_at_once_is_none(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 8)
        shop.reverse(account, policy="freeze")
        await shop.settled(hold, 5)
        assert (shop.has(account), shop.town.status(account)) == ((5, 0, 0), "open")

    play(database_url, story)


def test_what_a_linked_wallet_held_goes_on_when_it_is_released(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        wallet = await shop.town.wallet(ALICE)
        shop.town.grant(wallet, 10)
        one, two = await shop.hold(wallet, 3), await shop.hold(wallet, 4)
        await shop.hold(wallet, 2)
        account = await shop.user()
        await shop.town.linked(ALICE, account, CHAIN_ID)
        assert (shop.has(wallet), shop.has(account)) == ((0, 9, 0), (1, 0, 0))
        ending = await shop.settled(one, 1)
        assert (ending.available, ending.held) == (0, 6)
        assert (shop.has(wallet), shop.has(account)) == ((0, 6, 0), (3, 0, 0))
        await shop.released(two)
        assert (shop.has(wallet), shop.has(account)) == ((0, 2, 0), (7, 0, 0))
        shop.wait(HOUR)
        assert await shop.town.charge(wallet, 1, "c") == Insufficient(1, 0, 0, 1)
        assert shop.tidy() == 1
        assert (shop.has(wallet), shop.has(account)) == ((0, 0, 0), (9, 0, 0))

    play(database_url, story)


def test_a_debt_of_what_a_linked_wallet_held_is_the_accounts(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        wallet = await shop.town.wallet(ALICE)
        shop.town.grant(wallet, 10)
        hold = await shop.hold(wallet, 6)
        account = await shop.user(3)
        await shop.town.linked(ALICE, account, CHAIN_ID)
        shop.reverse(wallet, policy="freeze")
        await shop.settled(hold, 6)
        assert shop.has(wallet) == (0, 0, 0)
        assert shop.has(account) == (1, 0, 0)  # 3, and 4 that had moved there

    play(database_url, story)


async def pool_and_member(
    shop: ReservingShop, *, limit: int, pooled: int
) -> tuple[AccountRef, AccountRef]:
    pool = await shop.town.organisation()
    member = await shop.town.member(pool)
    await shop.town.sharing.set_budget(
        app_id=shop.app_id, member=member, period="month", amount=limit
    )
    shop.town.grant(pool, pooled)
    return pool, member


def used(shop: ReservingShop, member: AccountRef) -> int:
    """What of the member's budget is used, ever."""
    rows = shop.town.rows(
        "select used from creditd.budget_use where root_id = %s and account_id = %s"
        " and day = '-infinity'",
        *member,
    )
    return int(rows[0][0]) if rows else 0


def test_the_pool_holds_for_a_member_within_the_budget(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=20, pooled=50)
        key = shop.key()
        first = await shop.reserve(member, 15, key=key)
        assert isinstance(first, Reserved)
        hold = first.reservation.movement
        assert hold.account == pool
        assert used(shop, member) == 15
        assert await shop.reserve(member, 6) == OverBudget(6, 5, 1)
        assert await shop.reserve(member, 15, key=key) == Reserved(first.reservation, replayed=True)
        shop.wait(HOUR / 2)
        await shop.settled(hold, 4)
        assert used(shop, member) == 4
        assert shop.has(pool) == (46, 0, 0)
        await shop.released(await shop.hold(member, 16))
        assert used(shop, member) == 4
        await shop.hold(member, 16, minimum=1)
        shop.wait(HOUR)
        await shop.sold(member, 15)  # what is due ends before the budget refuses
        assert used(shop, member) == 20
        assert shop.has(pool) == (30, 0, 0)

    play(database_url, story)


def test_a_member_holds_its_own_credits_first(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=20, pooled=50)
        shop.town.grant(member, 8)
        own = await shop.hold(member, 8)
        assert own.account == member
        pooled = await shop.hold(member, 1)
        assert pooled.account == pool
        await shop.settled(own, 5)
        await shop.settled(pooled, 1)
        assert (shop.has(member), shop.has(pool)) == ((3, 0, 0), (49, 0, 0))

    play(database_url, story)


def test_what_a_member_that_left_had_reserved_goes_to_the_pool(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=20, pooled=50)
        shop.town.grant(member, 8)
        own, pooled = await shop.hold(member, 8), await shop.hold(member, 10, over_max=2)
        await shop.town.sharing.remove_member(app_id=shop.app_id, member=member)
        await shop.settled(own, 5)
        await shop.settled(pooled, 12)
        assert (shop.has(member), shop.has(pool)) == ((0, 0, 0), (41, 0, 0))
        assert used(shop, member) == 12

    play(database_url, story)


def test_what_a_member_that_moves_had_reserved_ends_where_it_was_held(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=20, pooled=50)
        other = await shop.town.organisation("other")
        shop.town.grant(other, 30)
        shop.town.grant(member, 8)
        own, pooled = await shop.hold(member, 8), await shop.hold(member, 10, over_max=2)
        moved = await shop.town.sharing.move_member(app_id=shop.app_id, member=member, to=other)
        assert isinstance(moved, MemberMoved)
        assert (shop.has(member), shop.has(pool)) == ((0, 8, 0), (40, 10, 0))
        await shop.settled(own, 5)
        await shop.settled(pooled, 12)
        assert (shop.has(member), shop.has(pool)) == ((0, 0, 0), (41, 0, 0))
        assert (shop.has(moved.account), shop.has(other)) == ((0, 0, 0), (30, 0, 0))
        assert (used(shop, member), used(shop, moved.account)) == (12, 0)

    play(database_url, story)


def used_by_day(shop: ReservingShop, member: AccountRef) -> list[int]:
    return [
        amount
        for (amount,) in shop.town.rows(
            "select used from creditd.budget_use where root_id = %s and account_id = %s"
            " and day > '-infinity' order by day",
            *member,
        )
    ]


def test_a_refund_to_the_pool_leaves_the_members_budget_with_more(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=20, pooled=100)
        charge = await shop.sold(member, 15)
        assert charge.account == pool
        shop.wait(DAY)
        await shop.sold(member, 3)
        await shop.refunded(charge, 10)
        assert used(shop, member) == 8
        assert used_by_day(shop, member) == [5, 3]  # of the day on which it was taken
        await shop.refunded(charge)
        assert used_by_day(shop, member) == [0, 3]
        assert shop.has(pool) == (97, 0, 0)

    play(database_url, story)


def test_what_was_settled_for_a_member_falls_in_the_days_it_was_counted(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        pool, member = await pool_and_member(shop, limit=50, pooled=100)
        hold = await shop.hold(member, 10, lasts=3 * DAY, over_max=5)
        assert hold.account == pool
        shop.wait(DAY)
        ending = await shop.settled(hold, 14)
        assert used_by_day(shop, member) == [10, 4]
        await shop.refunded(ending.movement, 5)
        assert used_by_day(shop, member) == [9, 0]
        await shop.refunded(ending.movement)
        assert used_by_day(shop, member) == [0, 0]
        assert used(shop, member) == 0

    play(database_url, story)
