"""How reservations end: settled, released, or by the clock."""

from datetime import timedelta

import psycopg
from reserving_shop import DAY, HOUR, ReservingShop, play

from ledger.credits import MICRO_MAX
from ledger.outcomes import (
    AlreadyEnded,
    Charged,
    Extended,
    Insufficient,
    KeyReused,
    NotCoveredBeyond,
    OverBound,
    Released,
    Reserved,
    Settled,
)
from ledger.price_book import PriceRow

MOMENT = timedelta(microseconds=1)


def test_a_settlement_takes_in_burn_order_and_gives_the_rest_back(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10, 10)
        hold = await shop.hold(account, 25)
        ending = await shop.settled(hold, 12)
        assert (ending.how, ending.taken, ending.available, ending.held) == ("settled", 12, 18, 0)
        assert shop.lots(account) == {1: 0, 2: 8, 3: 10}
        assert shop.story(account, 6) == [
            ("settlement", 10, 1),
            ("settlement", 2, 2),
            ("release", 5, 3),
            ("release", 8, 2),
        ]
        await shop.sold(account, 18)

    play(database_url, story)


def test_a_settlement_is_idempotent_by_its_amount_under_any_key(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        first = await shop.settle(hold, 5, "s")
        assert isinstance(first, Settled)
        await shop.sold(account, 1)
        for key in ("s", "another"):
            assert await shop.settle(hold, 5, key) == Settled(first.ending, replayed=True)
        assert await shop.settle(hold, 4, "third") == AlreadyEnded(first.ending)
        assert await shop.settle(hold, 4, "s") == KeyReused()
        assert await shop.settle(hold, 2**80, "fourth") == AlreadyEnded(first.ending)
        released = await shop.reserving.release(app_id=1, reservation=hold, key="r")
        assert released == AlreadyEnded(first.ending)
        extended = await shop.reserving.extend(app_id=1, reservation=hold, until=shop.now + DAY)
        assert extended == AlreadyEnded(first.ending)
        assert shop.has(account) == (4, 0, 0)

    play(database_url, story)


def test_a_key_of_another_request_settles_and_releases_nothing(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        await shop.town.charge(account, 1, "c")
        one = await shop.reserve(account, 4, key="r")
        assert isinstance(one, Reserved)
        two = await shop.hold(account, 4)
        await shop.settle(two, 4, "s")
        hold = one.reservation.movement
        for key in ("c", "r", "s"):
            assert await shop.settle(hold, 4, key) == KeyReused()
            outcome = await shop.reserving.release(app_id=1, reservation=hold, key=key)
            assert outcome == KeyReused()
        assert shop.has(account) == (1, 4, 0)

    play(database_url, story)


def test_a_settlement_goes_beyond_what_is_held_within_its_bound(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 8, over_max=6)
        for amount in (15, -1, 2**63, -(2**90)):
            assert await shop.settle(hold, amount) == OverBound(most=14)
        assert shop.has(account) == (12, 8, 0)
        ending = await shop.settled(hold, 14)
        assert (ending.taken, ending.available, ending.held) == (14, 6, 0)
        assert shop.story(account, 3) == [
            ("settlement", 8, 1),
            ("charge", 2, 1),
            ("charge", 4, 2),
        ]
        assert shop.has(account) == (6, 0, 0)
        plain = await shop.hold(account, 3)
        assert await shop.settle(plain, 4) == OverBound(most=3)

    play(database_url, story)


def test_what_is_not_there_beyond_leaves_the_reservation_open(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8, over_max=6)
        assert await shop.settle(hold, 11, "s") == NotCoveredBeyond(3, 2, 0)
        assert shop.has(account) == (2, 8, 0)
        shop.town.grant(account, 1)
        outcome = await shop.settle(hold, 11, "s")
        assert isinstance(outcome, Settled)
        assert not outcome.replayed

    play(database_url, story)


def test_what_is_taken_beyond_is_of_lots_that_the_operation_may_burn(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(5)
        shop.town.grant(account, 9, operations=["other"])
        hold = await shop.hold(account, 4, over_max=6)
        assert await shop.settle(hold, 6) == NotCoveredBeyond(2, 1, 0)
        await shop.settled(hold, 5)
        assert shop.lots(account) == {1: 0, 2: 9}

    play(database_url, story)


def test_due_reservations_end_before_more_is_missing_beyond(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 5, over_max=6, lasts=DAY)
        await shop.hold(account, 5, minimum=1)
        shop.wait(HOUR)
        assert await shop.settle(hold, 10) == NotCoveredBeyond(5, 4, 0)
        assert shop.has(account) == (4, 5, 0)
        await shop.settled(hold, 9)

    play(database_url, story)


def test_a_settlement_of_nothing_gives_all_back_and_is_no_release(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        ending = await shop.settled(hold, 0)
        assert (ending.how, ending.taken, ending.available) == ("settled", 0, 10)
        released = await shop.reserving.release(app_id=1, reservation=hold, key="r")
        assert released == AlreadyEnded(ending)

    play(database_url, story)


def test_what_costs_nothing_is_reserved_and_ends_like_all_else(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        await shop.town.operating.apply_prices([PriceRow("free", 0, 0, "unit")])
        hold = await shop.hold(account, 3, operation="free", over_max=5)
        ending = await shop.settled(hold, 0)
        assert await shop.settle(hold, 0) == Settled(ending, replayed=True)
        assert shop.story(account) == [("reserve", 0, None), ("settlement", 0, None)]
        hold = await shop.hold(account, 3, operation="free")
        released = await shop.released(hold)
        assert released.movement.seq == 4
        await shop.hold(account, 3, operation="free")
        shop.wait(HOUR)
        assert shop.tidy() == 1
        shop.town.grant(account, 5)
        hold = await shop.hold(account, 3, operation="free", over_max=5)
        ending = await shop.settled(hold, 4)
        assert shop.has(account) == (1, 0, 0)
        assert (await shop.refunded(ending.movement)).amount == 4

    play(database_url, story)


def test_settling_takes_no_notice_of_a_later_end_of_the_lots(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 10, DAY)
        hold = await shop.hold(account, 8, lasts=9 * DAY)
        shop.wait(2 * DAY)
        ending = await shop.settled(hold, 5)
        assert (ending.taken, ending.available) == (5, 0)
        assert shop.story(account, 2) == [
            ("expiry", 2, 1),
            ("settlement", 5, 1),
            ("release", 3, 1),
            ("expiry", 3, 1),
        ]

    play(database_url, story)


def test_a_frozen_account_settles_releases_and_extends(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        one = await shop.hold(account, 4, over_max=1)
        two = await shop.hold(account, 3)
        await shop.town.freeze(account)
        outcome = await shop.reserving.extend(app_id=1, reservation=two, until=shop.now + DAY)
        assert outcome == Extended(shop.now + DAY)
        await shop.settled(one, 5)
        await shop.released(two)
        assert shop.has(account) == (5, 0, 0)

    play(database_url, story)


def test_a_release_gives_all_back_where_it_was(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 15)
        first = await shop.reserving.release(app_id=1, reservation=hold, key="r")
        assert isinstance(first, Released)
        assert (first.ending.taken, first.ending.available, first.ending.held) == (0, 20, 0)
        assert shop.story(account, 4) == [("release", 5, 2), ("release", 10, 1)]
        await shop.sold(account, 20)
        for key in ("r", "other"):
            again = await shop.reserving.release(app_id=1, reservation=hold, key=key)
            assert again == Released(first.ending, replayed=True)
        assert await shop.settle(hold, 0) == AlreadyEnded(first.ending)

    play(database_url, story)


def test_what_is_released_to_a_lot_past_its_end_lapses(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(4)
        shop.lasting(account, 10, DAY)
        hold = await shop.hold(account, 12, lasts=9 * DAY)
        shop.wait(DAY)
        ending = await shop.released(hold)
        assert ending.available == 4
        assert shop.story(account, 4) == [
            ("release", 2, 1),
            ("release", 10, 2),
            ("expiry", 10, 2),
        ]

    play(database_url, story)


def test_what_is_released_ends_in_its_time_and_is_burned_in_its_place(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(4)
        shop.lasting(account, 10, DAY)
        hold = await shop.hold(account, 10)
        await shop.sold(account, 1)
        await shop.released(hold)
        await shop.sold(account, 2)
        assert shop.lots(account) == {1: 3, 2: 8}
        shop.wait(DAY)
        assert await shop.reserve(account, 4) == Insufficient(4, 3, 0, 1)

    play(database_url, story)


def test_a_reservation_is_open_until_its_time_and_not_then(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(20)
        one, two, three = [await shop.hold(account, 5) for _ in range(3)]
        shop.wait(HOUR - MOMENT)
        assert shop.tidy() == 0
        await shop.settled(one, 5)
        shop.wait(MOMENT)
        outcome = await shop.settle(two, 5, "late")
        assert isinstance(outcome, AlreadyEnded)
        ending = outcome.ending
        assert (ending.how, ending.taken, ending.available, ending.held) == ("expired", 0, 10, 5)
        assert await shop.settle(two, 5, "late") == outcome
        released = await shop.reserving.release(app_id=1, reservation=three, key="r")
        assert isinstance(released, AlreadyEnded)
        assert released.ending.how == "expired"
        again = await shop.reserving.release(app_id=1, reservation=three, key="r")
        assert again == released
        assert shop.has(account) == (15, 0, 0)

    play(database_url, story)


def test_the_clock_takes_the_minimum_at_most_what_is_held(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        await shop.hold(account, 12, minimum=11)
        shop.wait(HOUR)
        assert shop.tidy() == 1
        assert shop.story(account, 4) == [
            ("settlement", 10, 1),
            ("settlement", 1, 2),
            ("release", 1, 2),
        ]
        hold = await shop.hold(account, 9, minimum=MICRO_MAX)
        shop.wait(HOUR)
        outcome = await shop.settle(hold, 0)
        assert isinstance(outcome, AlreadyEnded)
        assert (outcome.ending.taken, outcome.ending.available) == (9, 0)

    play(database_url, story)


def test_due_reservations_end_before_a_charge_or_a_reservation_is_refused(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        await shop.hold(account, 6, minimum=1)
        await shop.hold(account, 3, lasts=2 * HOUR)
        assert await shop.town.charge(account, 2, "c") == Insufficient(2, 1, 0, 1)
        shop.wait(HOUR)
        await shop.sold(account, 5)
        assert shop.has(account) == (1, 3, 0)
        shop.wait(HOUR)
        assert await shop.reserve(account, 5) == Insufficient(5, 4, 0, 1)
        await shop.hold(account, 4)

    play(database_url, story)


def test_one_refusal_ends_a_thousand_reservations_and_no_more(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(1_002)
        for _ in range(1_002):
            await shop.hold(account, 1)
        shop.wait(HOUR)
        assert await shop.town.charge(account, 1_002, "c") == Insufficient(1_002, 1_000, 0, 1)
        assert shop.has(account) == (1_000, 2, 0)
        assert isinstance(await shop.town.charge(account, 1_002, "c"), Charged)

    play(database_url, story)


def test_the_job_ends_what_is_due_and_no_more_than_it_may(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        accounts = [await shop.user(10) for _ in range(3)]
        for account in accounts:
            await shop.hold(account, 4)
            await shop.hold(account, 3)
            await shop.hold(account, 2, lasts=DAY)
        shop.wait(HOUR)
        assert [shop.tidy(4), shop.tidy(4), shop.tidy(4)] == [4, 2, 0]
        assert [shop.has(account) for account in accounts] == [(8, 2, 0)] * 3

    play(database_url, story)


def test_the_job_passes_over_accounts_that_are_held(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        await shop.hold(account, 4)
        shop.wait(HOUR)
        with psycopg.connect(database_url) as other:
            other.execute("select from creditd.account for update")
            assert shop.tidy() == 0
        assert shop.tidy() == 1

    play(database_url, story)
