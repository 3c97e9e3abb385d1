"""Reserving: credits held for work whose price is not known yet."""

from datetime import datetime, timedelta

import psycopg
import pytest
from reserving_shop import DAY, HOUR, ReservingShop, play

from ledger.credits import MICRO_MAX
from ledger.ids import AccountRef, MovementRef, format_movement, parse_movement
from ledger.outcomes import (
    AlreadyEnded,
    DurationRefused,
    Extended,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    NoSuchReservation,
    PriceChanged,
    Reserved,
    TooExpensive,
    UnknownOperation,
)
from ledger.reserving import RESERVATION_MAX

MOMENT = timedelta(microseconds=1)


def test_a_reservation_holds_in_burn_order_and_cannot_be_spent(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        shop.town.grant(account, 6, priority=0)
        made = await shop.held(account, 9)
        assert (made.amount, made.available, made.held) == (9, 7, 9)
        assert (made.operation, made.units, made.price_version) == ("unit", 9, 1)
        assert made.expires_at == shop.now + HOUR
        assert shop.lots(account) == {1: 7, 2: 0}
        assert shop.story(account, 2) == [("reserve", 6, 2), ("reserve", 3, 1)]
        refused = await shop.town.charge(account, 8, "c")
        assert refused == Insufficient(8, 7, 0, 1)
        assert await shop.reserve(account, 8) == Insufficient(8, 7, 0, 1)

    play(database_url, story)


def test_a_reservation_is_refused_as_a_charge_is(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        assert await shop.reserve(account, 1, operation="none") == UnknownOperation()
        assert await shop.reserve(account, 1, version=2) == PriceChanged(in_force=1)
        for never in (0, -1, 2**40, -(2**40)):
            assert await shop.reserve(account, 1, version=never) == PriceChanged(in_force=1)
        for units in (0, -1, -(2**80), 2**62, 2**63, 2**80):
            assert await shop.reserve(account, units) == TooExpensive()
        assert await shop.reserve(account, 1, app_id=99) == NoSuchAccount()
        assert await shop.reserve(AccountRef(5, 5), 1) == NoSuchAccount()
        assert await shop.reserve(account, 11) == Insufficient(11, 10, 0, 1)
        await shop.town.freeze(account)
        assert await shop.reserve(account, 1) == Frozen()
        assert shop.story(account) == [("grant", 10, 1)]
        outcome = await shop.reserve(account, 1, version=1)
        assert outcome == Frozen()

    play(database_url, story)


def test_only_what_the_operation_may_burn_is_held(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(4)
        shop.town.grant(account, 6, priority=0, operations=["other"])
        assert await shop.reserve(account, 5) == Insufficient(5, 4, 0, 1)
        hold = await shop.hold(account, 8, operation="other")
        assert shop.lots(account) == {1: 2, 2: 0}
        await shop.released(hold)
        await shop.hold(account, 4)
        assert shop.lots(account) == {1: 0, 2: 6}

    play(database_url, story)


def test_credits_to_come_and_credits_past_their_end_are_not_held(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 5, DAY)
        shop.town.grant(account, 7, effective_at=(shop.now + DAY).isoformat())
        assert await shop.reserve(account, 6) == Insufficient(6, 5, 0, 1)
        shop.wait(DAY)
        assert await shop.reserve(account, 8) == Insufficient(8, 7, 0, 1)
        await shop.hold(account, 7)
        assert shop.has(account) == (0, 7, 0)

    play(database_url, story)


def test_bad_terms_are_refused_before_anything_is_asked(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        for lasts in (timedelta(0), -HOUR, RESERVATION_MAX + MOMENT, timedelta.max):
            assert await shop.reserve(account, 1, lasts=lasts) == DurationRefused(RESERVATION_MAX)
        for terms in ({"minimum": -1}, {"minimum": MICRO_MAX + 1}, {"over_max": 2**63}):
            with pytest.raises(ValueError, match="micro-credits"):
                await shop.reserve(account, 1, **terms)  # type: ignore[arg-type]
        await shop.hold(account, 1, lasts=RESERVATION_MAX, over_max=MICRO_MAX)
        assert shop.has(account) == (9, 1, 0)

    play(database_url, story)


def test_the_books_themselves_refuse_bad_terms(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        for lasts, minimum, over_max in (
            ("0 s", 0, 0),
            ("30 days 1 us", 0, 0),
            ("1 s", -1, 0),
            ("1 s", 0, MICRO_MAX + 1),
        ):
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                shop.town.rows(
                    "select creditd.reserve(%s::bigint, %s::bigint, 1, gen_random_uuid(),"
                    " gen_random_uuid(), 'unit', '', 1::bigint, 0, %s::interval, %s::bigint,"
                    " %s::bigint, 0)",
                    *(*account, lasts, minimum, over_max),
                )
        ((longest,),) = shop.town.rows("select creditd.longest_reservation()")
        assert longest == RESERVATION_MAX

    play(database_url, story)


def test_a_reservation_is_made_once_by_its_key(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        first = await shop.reserve(account, 15, key="k", minimum=2)
        assert isinstance(first, Reserved)
        shop.wait(HOUR / 2)
        await shop.sold(account, 5)
        await shop.town.freeze(account)
        await shop.reserving.extend(
            app_id=shop.app_id, reservation=first.reservation.movement, until=shop.now + DAY
        )
        again = await shop.reserve(account, 15, key="k", minimum=2)
        assert again == Reserved(first.reservation, replayed=True)
        await shop.settled(first.reservation.movement, 3)
        again = await shop.reserve(account, 15, key="k", minimum=2)
        assert again == Reserved(first.reservation, replayed=True)
        assert await shop.reserve(account, 14, key="k", minimum=2) == KeyReused()
        assert await shop.reserve(account, 15, key="k") == KeyReused()
        assert await shop.reserve(account, 15, key="k", minimum=2, lasts=DAY) == KeyReused()
        assert await shop.reserve(account, 15, key="k", minimum=2, over_max=1) == KeyReused()
        assert await shop.town.charge(account, 15, "k") == KeyReused()

    play(database_url, story)


def test_a_refused_reservation_leaves_its_key_free(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(3)
        assert isinstance(await shop.reserve(account, 5, key="k"), Insufficient)
        shop.town.grant(account, 3)
        outcome = await shop.reserve(account, 5, key="k")
        assert isinstance(outcome, Reserved)
        assert not outcome.replayed

    play(database_url, story)


def test_a_reservation_can_be_extended_and_never_shortened(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 4)

        async def extend(until: datetime) -> object:
            return await shop.reserving.extend(app_id=shop.app_id, reservation=hold, until=until)

        until = shop.now + DAY
        assert await extend(until) == Extended(until)
        assert await extend(until - HOUR) == Extended(until)
        assert await extend(shop.now - DAY) == Extended(until)
        latest = shop.now + RESERVATION_MAX
        assert await extend(latest + MOMENT) == DurationRefused(RESERVATION_MAX)
        assert await extend(latest) == Extended(latest)
        with pytest.raises(ValueError, match="zone"):
            await extend(latest.replace(tzinfo=None))
        shop.wait(RESERVATION_MAX - MOMENT)
        await shop.settled(hold, 4)

    play(database_url, story)


def test_what_is_due_is_not_extended(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 4)
        shop.wait(HOUR)
        outcome = await shop.reserving.extend(app_id=1, reservation=hold, until=shop.now + DAY)
        assert isinstance(outcome, AlreadyEnded)
        assert outcome.ending.how == "expired"
        assert shop.has(account) == (10, 0, 0)

    play(database_url, story)


def test_only_who_reserved_ends_or_extends(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 4)
        await shop.town.operating.create_app_key(
            app="other", scopes=["charge:write"], digest=bytes(range(32)), hint=""
        )
        nobodys = (MovementRef(account, 1), MovementRef(AccountRef(5, 5), 2))
        asked = [(1, each) for each in nobodys] + [(2, hold)]
        for access in (False, True):
            if access:
                shop.town.rows(
                    "insert into creditd.account_access (root_id, account_id, app_id)"
                    " values (%s, %s, 2)",
                    *account,
                )
            for app_id, which in asked:
                for outcome in (
                    await shop.reserving.settle(
                        app_id=app_id, reservation=which, key="k", amount=1
                    ),
                    await shop.reserving.release(app_id=app_id, reservation=which, key="k"),
                    await shop.reserving.extend(
                        app_id=app_id, reservation=which, until=shop.now + DAY
                    ),
                ):
                    assert outcome == NoSuchReservation()
        assert shop.has(account) == (6, 4, 0)
        name = format_movement("rsv", hold)
        assert name.startswith("rsv_")
        assert parse_movement("rsv", name) == hold

    play(database_url, story)


def test_an_overdraft_is_held_last_and_given_back(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(5)
        await shop.town.operating.set_overdraft(account, 10)
        hold = await shop.hold(account, 12)
        assert shop.has(account) == (3, 12, 0)
        await shop.town.operating.set_overdraft(account, 0)
        assert shop.has(account) == (0, 12, 0)
        await shop.settled(hold, 8)
        assert shop.has(account) == (0, 0, 0)  # 3 of the line are used, the rest is gone
        assert shop.story(account, 5)[-2:] == [("release", 4, 2), ("line_cut", 4, 2)]

    play(database_url, story)


def test_an_account_may_hold_and_spend_as_much_as_the_books_count(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(MICRO_MAX)
        hold = await shop.hold(account, MICRO_MAX)
        ending = await shop.settled(hold, MICRO_MAX)
        await shop.refunded(ending.movement)
        assert await shop.reserve(account, 10**18 + 1) == TooExpensive()
        hold = await shop.hold(account, 10**18 - 1, over_max=MICRO_MAX)
        assert await shop.reserve(account, 2) == TooExpensive()
        assert await shop.settle(hold, 10**18 + 1) == TooExpensive()
        ending = await shop.settled(hold, 10**18)
        await shop.refunded(ending.movement)
        assert shop.has(account) == (MICRO_MAX, 0, 0)

    play(database_url, story)
