"""Settling by units: exactly what they cost at the price that they were reserved at."""

import asyncio
import io
from datetime import timedelta
from itertools import count

import psycopg
import pytest
from conftest import run
from forged_exports import rows_of, sealed
from hypothesis import given, settings
from hypothesis import strategies as st
from reserving_shop import HOUR, ReservingShop, play
from specification.pricing import Terms
from town import Town

from ledger.audit import audit, render
from ledger.credits import MICRO_MAX
from ledger.export import export
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
from ledger.reading import Reading, UsageRow
from ledger.requests import BIGINT_MAX
from ledger.reserving import Reserving
from ledger.verify_export import Wrong, verify

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
    report = asyncio.run(audit(database_url))
    assert report.balanced, render(report)


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


def units_in_the_books(shop: ReservingShop, account: AccountRef) -> list[tuple[str, int]]:
    """The kinds of the entries that say units, and how many."""
    return shop.town.rows(
        "select k.name, e.units from creditd.entry e join creditd.entry_kind k using (kind)"
        " where e.root_id = %s and e.account_id = %s and e.units is not null order by e.seq",
        *account,
    )


def test_the_books_keep_the_units_that_were_used(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(5, 20, 20)  # several lots: one entry says it all the same
        hold = await shop.hold(account, 10, over_max=20)
        first = await settle(shop, hold, 25, key="s")
        assert isinstance(first, Settled)
        assert (first.ending.units, first.ending.taken) == (25, 25)
        assert units_in_the_books(shop, account) == [("reserve", 10), ("settlement", 25)]
        for key in ("s", "another"):
            assert await settle(shop, hold, 25, key=key) == Settled(first.ending, replayed=True)
        assert await settle(shop, hold, 24, key="s") == KeyReused()
        by_amount = await shop.settle(hold, 25)
        assert by_amount == Settled(first.ending, replayed=True)
        assert await settle(shop, hold, 24) == AlreadyEnded(first.ending)
        released = await shop.reserving.release(app_id=1, reservation=hold, key="r")
        assert released == AlreadyEnded(first.ending)
        async with Reading.open(database_url) as reading:
            charge = await reading.charge(first.ending.movement)
            assert charge is not None
            assert (charge.units, charge.cost, charge.operation) == (25, 25, "unit")
            reservation = await reading.reservation(hold)
            assert reservation is not None
            assert (reservation.units, reservation.used) == (10, 25)

    play(database_url, story)


def test_it_is_the_first_settlement_that_says_how_many_units_were_used(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(20)
        hold = await shop.hold(account, 10)
        first = await settle(shop, hold, 3, at_least=5)
        assert isinstance(first, Settled)
        assert (first.ending.units, first.ending.taken) == (3, 5)
        assert await settle(shop, hold, 4, at_least=5) == Settled(first.ending, replayed=True)
        by_amount = await shop.settled(await shop.hold(account, 10), 5)
        assert (by_amount.units, by_amount.taken) == (None, 5)
        again = await settle(shop, by_amount.reservation, 5)
        assert again == Settled(by_amount, replayed=True)

    play(database_url, story)


def test_no_other_end_of_a_reservation_says_units(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(50)
        settled = await shop.settled(await shop.hold(account, 10), 7)
        released = await shop.released(await shop.hold(account, 10))
        expired = await shop.hold(account, 10, minimum=2)
        shop.wait(HOUR)
        assert shop.tidy() == 1
        late = await settle(shop, expired, 9)
        assert isinstance(late, AlreadyEnded)
        assert [each.units for each in (settled, released, late.ending)] == [None] * 3
        assert units_in_the_books(shop, account) == [("reserve", 10)] * 3
        async with Reading.open(database_url) as reading:
            for ending in (settled, late.ending):
                charge = await reading.charge(ending.movement)
                assert charge is not None
                assert (charge.units, charge.cost) == (None, ending.taken)

    play(database_url, story)


def test_an_export_says_the_units_that_were_used(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(5, 50)
        assert taken(await settle(shop, await shop.hold(account, 10), 6)) == 6
        await shop.settled(await shop.hold(account, 10), 7)
        out = io.BytesIO()
        await export(database_url, out)
        lines = out.getvalue().splitlines(keepends=True)
        assert verify(lines).entries == 10
        rows = rows_of(lines)
        settlements = [row for row in rows if row.get("kind") == 9]
        assert [(row["amount"], row.get("units")) for row in settlements] == [
            *((5, 6), (1, None), (7, None)),
        ]
        settlements[0]["units"] = 10
        with pytest.raises(Wrong, match="its hash is not of the last"):
            verify(sealed(rows))

    play(database_url, story)


def test_units_that_cost_nothing_are_kept_and_counted(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(50)
        with psycopg.connect(database_url) as owner:
            price(owner, "chat", Terms(0, 0, ((100, 1),)))  # the first hundred are free
            price(owner, "gift", Terms(0, 0))
        used = (("chat", 110, 60), ("chat", 110, 0), ("gift", 10, 4))
        for operation, reserved, units in used:
            outcome = await settle(
                shop, await shop.hold(account, reserved, operation=operation), units
            )
            assert isinstance(outcome, Settled)
            assert (outcome.ending.units, outcome.ending.taken) == (units, 0)
            again = await settle(shop, outcome.ending.reservation, units)
            assert again == Settled(outcome.ending, replayed=True)
        assert [kept for kept in units_in_the_books(shop, account) if kept[0] != "reserve"] == [
            ("release", 60),
            ("release", 0),
            ("settlement", 4),
        ]
        async with Reading.open(database_url) as reading:
            usage = await reading.usage(account, "operation", after_seq=0, to_seq=99)
        assert usage == [UsageRow("chat", 0, 60, 0, 0), UsageRow("gift", 1, 4, 0, 0)]
        assert shop.has(account) == (50, 0, 0)

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
