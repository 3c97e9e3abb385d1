"""Settling by units: exactly what they cost at the price that they were reserved at."""

import asyncio
from datetime import timedelta
from itertools import count

import psycopg
import pytest
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st
from reserving_shop import HOUR, ReservingShop, play
from specification.pricing import Terms
from town import Town

from ledger.credits import MICRO_MAX
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AlreadyEnded,
    KeyReused,
    NoSuchReservation,
    NotCoveredBeyond,
    OverBound,
    Reserved,
    Settled,
    SettleOutcome,
)
from ledger.requests import BIGINT_MAX
from ledger.reserving import Reserving

PLENTY = 10**9


@st.composite
def used(draw: st.DrawFn) -> tuple[Terms, int, int]:
    """Terms, what is reserved and what of it is used: tiers are so low that all are met."""
    each = st.integers(0, 9)
    above = sorted(draw(st.sets(st.integers(1, 12), max_size=3)))
    terms = Terms(draw(each), draw(each), tuple((units, draw(each)) for units in above))
    reserved = draw(st.integers(1, 15))
    return terms, reserved, draw(st.integers(0, reserved))


def price(owner: psycopg.Connection, operation: str, terms: Terms, version: int = 1) -> None:
    owner.execute(
        "insert into creditd.operation (name) values (%s) on conflict do nothing", (operation,)
    )
    above, per_unit = [a for a, _ in terms.tiers], [p for _, p in terms.tiers]
    owner.execute(
        "insert into creditd.price (operation_id, version, base, per_unit, unit, tier_above,"
        " tier_per_unit) select operation_id, %s, %s, %s, 'unit', %s, %s from creditd.operation"
        " where name = %s",
        (version, terms.base, terms.per_unit, above, per_unit, operation),
    )


def test_what_is_used_is_taken_to_the_micro_credit(database_url: str) -> None:
    async def rich() -> AccountRef:
        async with Town.open(database_url) as town:
            account = await town.user()
            town.grant(account, PLENTY)
            return account

    account, numbers = asyncio.run(rich()), count()
    with psycopg.connect(database_url, autocommit=True) as owner:

        @settings(deadline=None, max_examples=60)  # a busy machine is no finding
        @given(used())
        def exact(asked: tuple[Terms, int, int]) -> None:
            terms, reserved, units = asked
            operation = f"operation {next(numbers)}"
            price(owner, operation, terms)
            cost = terms.cost(units) if units else 0
            held = asyncio.run(held_and_settled(database_url, account, operation, reserved, units))
            assert held == (terms.cost(reserved), cost)

        exact()


async def held_and_settled(
    database_url: str, account: AccountRef, operation: str, reserved: int, units: int
) -> tuple[int, int]:
    async with Reserving.open(database_url, sessions=1) as reserving:
        made = await reserving.reserve(
            app_id=1,
            account=account,
            key=operation,
            operation=operation,
            units=reserved,
            expires_in=timedelta(hours=1),
        )
        assert isinstance(made, Reserved)
        settled = await reserving.settle_units(
            app_id=1, reservation=made.reservation.movement, key=f"s {operation}", units=units
        )
        assert isinstance(settled, Settled)
        ending, held = settled.ending, made.reservation
        assert (ending.held, ending.available) == (0, held.available + held.amount - ending.taken)
        return held.amount, ending.taken


async def settle(
    shop: ReservingShop,
    reservation: MovementRef,
    units: int,
    *,
    key: str | None = None,
    at_least: int = 0,
) -> SettleOutcome:
    return await shop.reserving.settle_units(
        app_id=shop.app_id,
        reservation=reservation,
        key=key or shop.key(),
        units=units,
        at_least=at_least,
    )


def taken(outcome: SettleOutcome) -> int:
    assert isinstance(outcome, Settled), outcome
    return outcome.ending.taken


def test_units_cost_what_they_did_when_they_were_reserved(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(1_000)
        large = await shop.reserving.reserve(
            app_id=1,
            account=account,
            key="large",
            operation="chat",
            model="large",
            units=10,
            expires_in=HOUR,
        )
        assert isinstance(large, Reserved)
        assert large.reservation.amount == 50
        any_model = await shop.hold(account, 10, operation="chat")
        shop.town.rows("update creditd.price set ends_at = %s", shop.now)
        with psycopg.connect(database_url) as owner:
            price(owner, "chat", Terms(0, 100), version=3)
        assert taken(await settle(shop, large.reservation.movement, 4)) == 20
        assert taken(await settle(shop, any_model, 4)) == 7 + 8

    run(
        database_url,
        "insert into creditd.operation (name) values ('chat');"
        "insert into creditd.price (operation_id, version, base, per_unit, unit, model)"
        " select operation_id, version, base, per_unit, 'unit', model from creditd.operation,"
        " (values (1, 7, 2, ''), (2, 0, 5, 'large')) t (version, base, per_unit, model)"
        " where name = 'chat'",
    )
    play(database_url, story)


def test_more_units_than_are_held_are_refused_as_that_amount_is(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(20)
        hold = await shop.hold(account, 10)
        for units in (11, 2**62, 2**63 - 1, BIGINT_MAX + 1, 2**80, -1, -(2**80)):
            assert await settle(shop, hold, units) == OverBound(most=10), units
        assert await settle(shop, hold, 1, at_least=11) == OverBound(most=10)
        wide = await shop.hold(account, 5, over_max=MICRO_MAX)
        assert await settle(shop, wide, 11) == NotCoveredBeyond(extra=6, available=5, debt=0)
        assert await settle(shop, wide, 2**62) == OverBound(most=MICRO_MAX + 5)
        assert await settle(shop, MovementRef(account, 99), 1) == NoSuchReservation()
        assert await settle(shop, MovementRef(AccountRef(5, 5), 2), 1) == NoSuchReservation()
        assert taken(await settle(shop, wide, 10)) == 10
        assert shop.has(account) == (0, 10, 0)

    play(database_url, story)


def test_a_settlement_by_units_is_made_once(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(20)
        hold = await shop.hold(account, 10)
        first = await settle(shop, hold, 4, key="s")
        assert isinstance(first, Settled)
        for again in (
            await settle(shop, hold, 4, key="s"),
            await settle(shop, hold, 4),
            await shop.settle(hold, 4),
        ):
            assert again == Settled(first.ending, replayed=True)
        assert await settle(shop, hold, 5) == AlreadyEnded(first.ending)
        assert await settle(shop, hold, 2**63 - 1) == AlreadyEnded(first.ending)
        assert await settle(shop, hold, 5, key="s") == KeyReused()
        assert await settle(shop, hold, 4, key="s", at_least=1) == KeyReused()
        assert await shop.settle(hold, 4, key="s") == KeyReused()
        assert shop.has(account) == (16, 0, 0)

    play(database_url, story)


@pytest.mark.parametrize(
    ("units", "at_least", "cost"), [(3, 5, 5), (5, 3, 5), (0, 0, 0), (0, 2, 2)]
)
def test_at_least_so_much_is_taken(database_url: str, units: int, at_least: int, cost: int) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(20)
        hold = await shop.hold(account, 10)
        assert taken(await settle(shop, hold, units, at_least=at_least)) == cost
        assert shop.has(account) == (20 - cost, 0, 0)

    play(database_url, story)
