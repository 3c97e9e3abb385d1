"""The database's clock jumps, forwards and back: what was done stays done, in the order it was."""

from datetime import datetime, timedelta
from itertools import pairwise

from reserving_shop import DAY, HOUR, ReservingShop, play

from ledger.ids import AccountRef
from ledger.outcomes import AlreadyEnded, Charged, Insufficient, OverBudget, Refunded


def times(shop: ReservingShop, account: AccountRef) -> list[datetime]:
    rows = shop.town.rows(
        "select at from creditd.entry where root_id = %s and account_id = %s order by seq",
        *account,
    )
    return [at for (at,) in rows]


def test_entries_keep_their_order_when_the_clock_goes_back(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(100)
        await shop.sold(account, 1)
        shop.wait(-2 * DAY)
        charge = await shop.sold(account, 2)
        hold = await shop.hold(account, 5)
        await shop.settled(hold, 3)
        await shop.refunded(charge, 1)
        at = times(shop, account)
        assert len(at) > 5
        assert all(before < after for before, after in pairwise(at))
        assert shop.has(account) == (95, 0, 0)

    play(database_url, story)


def test_a_key_is_answered_alike_however_the_clock_jumps(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 10, DAY)
        first = await shop.town.sell(account, 4, "k")
        for jump in (9 * DAY, -30 * DAY):
            shop.wait(jump)
            again = await shop.town.charge(account, 4, "k")
            assert again == Charged(first.charge, replayed=True)

    play(database_url, story)


def test_what_expired_stays_expired_when_the_clock_goes_back(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 10, DAY)
        charge = await shop.sold(account, 4)
        shop.wait(2 * DAY)
        # A refund posts what is past its end: from then on that is so, whatever the clock says.
        assert isinstance(await shop.refund(charge, 1), Refunded)
        shop.wait(-2 * DAY)
        assert isinstance(await shop.town.charge(account, 1, "late"), Insufficient)
        assert shop.has(account) == (0, 0, 0)
        assert [kind for kind, _, _ in shop.story(account)].count("expiry") == 2

    play(database_url, story)


def test_a_lot_whose_end_nobody_posted_lives_again_when_the_clock_goes_back(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 10, DAY)
        shop.wait(2 * DAY)
        shop.wait(-2 * DAY)
        await shop.sold(account, 10)
        assert shop.has(account) == (0, 0, 0)

    play(database_url, story)


def test_a_reservation_that_a_jump_ended_is_not_settled_after_the_jump_back(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8, lasts=HOUR, minimum=2)
        shop.wait(2 * HOUR)
        assert shop.tidy() == 1
        shop.wait(-2 * HOUR)
        assert isinstance(await shop.settle(hold, 5), AlreadyEnded)
        assert shop.has(account) == (8, 0, 0)

    play(database_url, story)


def test_a_budget_counts_in_the_period_of_the_entry_when_the_clock_goes_back(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        pool = await shop.town.organisation()
        anna = await shop.town.member(pool)
        shop.town.grant(pool, 100)
        await shop.town.sharing.set_budget(
            app_id=shop.app_id, member=anna, period="day", amount=20, levels=[]
        )
        shop.wait(DAY)
        await shop.sold(anna, 15)
        shop.wait(-DAY + timedelta(hours=1))
        # The pool's entries have gone on to the later day: no second budget is opened behind it.
        over = await shop.town.charge(anna, 6, "over")
        assert isinstance(over, OverBudget)
        await shop.sold(anna, 5)
        days = shop.town.rows("select used from creditd.budget_use order by day")
        assert days == [(20,), (20,)]
        assert shop.has(pool) == (80, 0, 0)

    play(database_url, story)
