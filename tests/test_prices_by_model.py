"""Prices by model and by tiers of units: what a charge and a reservation take."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import psycopg
from conftest import run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs
from specification.books import COST_MAX
from specification.pricing import Terms
from town import Town

from ledger.ids import AccountRef
from ledger.outcomes import (
    Charged,
    ChargeOutcome,
    Insufficient,
    KeyReused,
    PriceChanged,
    Reserved,
    ReserveOutcome,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.reading import Reading
from ledger.reserving import Reserving

TIERS = Terms(base=7, per_unit=5, tiers=((10, 3), (20, 0), (30, 9)))
_TIERED = """
insert into creditd.operation (name) values ('tiered');
insert into creditd.price (operation_id, version, base, per_unit, unit, tier_above, tier_per_unit)
  select operation_id, 1, 7, 5, 'unit', '{10,20,30}', '{3,0,9}' from creditd.operation
  where name = 'tiered'"""
_BY_MODEL = """
insert into creditd.operation (name) values ('chat'), ('only');
insert into creditd.price (operation_id, version, base, per_unit, unit, model)
  select operation_id, version, 0, per_unit, 'unit', model from creditd.operation,
    (values ('chat', 1, 1, ''), ('chat', 2, 4, 'large'), ('only', 1, 2, 'small')) t
      (operation, version, per_unit, model)
  where name = operation"""
_COST = """
select creditd.cost_of(row(1, 1, %s::bigint, %s::bigint, 'unit', now(), '', %s::bigint[],
  %s::bigint[], 'infinity')::creditd.price, %s::bigint)"""


async def rich(town: Town, amount: int = 10**12) -> AccountRef:
    account = await town.user()
    town.grant(account, amount)
    return account


def test_each_unit_costs_what_its_tier_says(database_url: str) -> None:
    run(database_url, _TIERED)

    async def main() -> None:
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            account = await rich(town)
            for units in (1, 9, 10, 11, 20, 21, 30, 31, 1_000):
                counted = 7 + sum(
                    5 if unit <= 10 else 3 if unit <= 20 else 0 if unit <= 30 else 9
                    for unit in range(1, units + 1)
                )
                assert TIERS.cost(units) == counted
                outcome = await town.charge(account, units, f"c{units}", operation="tiered")
                assert isinstance(outcome, Charged)
                assert outcome.charge.cost == counted
                held = await reserving.reserve(
                    app_id=1,
                    account=account,
                    key=f"r{units}",
                    operation="tiered",
                    units=units,
                    expires_in=timedelta(hours=1),
                )
                assert isinstance(held, Reserved)
                assert held.reservation.amount == counted
            batch = [
                town.charge(account, units, f"b{units}", operation="tiered")
                for units in (5, 15, 25, 2**62, 0, 2**63 - 1)
            ]
            *made, much, none, most = await asyncio.gather(*batch)
            assert [each.charge.cost for each in made if isinstance(each, Charged)] == [32, 72, 87]
            assert (much, none, most) == (TooExpensive(),) * 3

    asyncio.run(main())


class Asked(NamedTuple):
    operation: str
    model: str | None = None
    version: int | None = None


async def charged(town: Town, account: AccountRef, key: str, asked: Asked) -> ChargeOutcome:
    operation, model, version = asked
    return await town.spending.charge(
        app_id=1,
        account=account,
        key=key,
        operation=operation,
        model=model,
        units=3,
        price_version=version,
    )


async def held(reserving: Reserving, account: AccountRef, key: str, asked: Asked) -> ReserveOutcome:
    operation, model, version = asked
    return await reserving.reserve(
        app_id=1,
        account=account,
        key=key,
        operation=operation,
        model=model,
        units=3,
        expires_in=timedelta(hours=1),
        price_version=version,
    )


@st.composite
def priced(draw: st.DrawFn) -> tuple[Terms, int]:
    """Terms, and units to ask them for: small numbers that meet, and the largest."""
    each = st.integers(0, 5) | st.integers(0, COST_MAX)
    above = draw(st.sets(st.integers(1, 9) | st.integers(1, 999_999_999), max_size=4))
    tiers = tuple((units, draw(each)) for units in sorted(above))
    units = draw(st.integers(1, 12) | st.integers(1, 2**63 - 1))
    return Terms(draw(each), draw(each), tiers), units


def test_costs_are_exact_and_never_beyond_what_a_charge_may_take(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:

        @settings(deadline=None)  # a busy machine is no finding
        @given(priced())
        @example((Terms(COST_MAX, 0), 2**63 - 1))
        @example((Terms(COST_MAX, 1), 1))
        @example((Terms(0, 1, ((1, COST_MAX),)), 2))
        def exact(asked: tuple[Terms, int]) -> None:
            terms, units = asked
            above, per_unit = [a for a, _ in terms.tiers], [p for _, p in terms.tiers]
            row = owner.execute(_COST, (terms.base, terms.per_unit, above, per_unit, units))
            cost = terms.cost(units)
            assert row.fetchone() == (cost if cost <= COST_MAX else None,)

        exact()


def test_a_model_has_its_own_price_or_that_of_any(database_url: str) -> None:
    run(database_url, _BY_MODEL)

    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            Reserving.open(database_url) as reserving,
            Reading.open(database_url) as reading,
        ):
            account = await rich(town)
            for operation, model, cost, whose in (
                ("chat", None, 3, None),
                ("chat", "large", 12, "large"),
                ("chat", "unheard-of", 3, None),
                ("only", "small", 6, "small"),
            ):
                asked = Asked(operation, model)
                for replayed in (False, True):  # alone, and again
                    outcome = await charged(town, account, f"c {asked}", asked)
                    assert isinstance(outcome, Charged)
                    assert outcome.replayed == replayed
                    assert (outcome.charge.cost, outcome.charge.model) == (cost, whose)
                    reserved = await held(reserving, account, f"r {asked}", asked)
                    assert isinstance(reserved, Reserved)
                    assert reserved.replayed == replayed
                    assert reserved.reservation.amount == cost
                    assert reserved.reservation.model == whose
                assert isinstance(outcome, Charged)
                record = await reading.charge(outcome.charge.movement)
                assert record is not None
                assert record.model == whose
            page = await reading.entries(account, before_seq=None, limit=2)
            assert [(row.operation, row.model) for row in page] == [("only", "small")] * 2
            assert await reading.models_of("only", 5) == ("small",)

            together = await asyncio.gather(
                charged(town, account, "b1", Asked("chat")),
                charged(town, account, "b2", Asked("chat", "large")),
                charged(town, account, "b3", Asked("only", "small")),
                charged(town, account, "b4", Asked("only")),
            )
            *made, refused = together
            costs = [(o.charge.cost, o.charge.model) for o in made if isinstance(o, Charged)]
            assert costs == [(3, None), (12, "large"), (6, "small")]
            assert refused == UnknownModel()

    asyncio.run(main())


def test_what_has_no_price_for_a_model_is_refused(database_url: str) -> None:
    run(database_url, _BY_MODEL)

    async def main() -> None:
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            account = await rich(town, 5)
            for asked, refusal in (
                (Asked("only", "large"), UnknownModel()),
                (Asked("only"), UnknownModel()),
                (Asked("none", "large"), UnknownOperation()),
                (Asked("chat", "large", 1), PriceChanged(2)),
                (Asked("chat", None, 2), PriceChanged(1)),
                (Asked("chat", "large"), Insufficient(12, 5, 0, 2)),
            ):
                assert await charged(town, account, "k", asked) == refusal
                assert await held(reserving, account, "k", asked) == refusal

    asyncio.run(main())


def test_a_key_stands_for_its_model_too(database_url: str) -> None:
    run(database_url, _BY_MODEL)

    async def main() -> None:
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            account = await rich(town)
            plain, of_large = Asked("chat"), Asked("chat", "large")
            assert isinstance(await charged(town, account, "c", plain), Charged)
            assert await charged(town, account, "c", of_large) == KeyReused()
            assert isinstance(await held(reserving, account, "r", plain), Reserved)
            assert await held(reserving, account, "r", of_large) == KeyReused()

    asyncio.run(main())


def test_a_replay_says_whose_price_it_was_when_it_was_made(database_url: str) -> None:
    run(database_url, _BY_MODEL)

    async def main() -> None:
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            account = await rich(town)
            asked = Asked("chat", "large")
            before = await charged(town, account, "c", asked)
            reserved = await held(reserving, account, "r", asked)
            run(database_url, "update creditd.price set ends_at = now() where model = 'large'")
            assert isinstance(before, Charged)
            assert await charged(town, account, "c", asked) == structs.replace(
                before, replayed=True
            )
            assert isinstance(reserved, Reserved)
            assert await held(reserving, account, "r", asked) == replace(reserved, replayed=True)
            after = await charged(town, account, "d", asked)
            assert isinstance(after, Charged)
            assert (after.charge.cost, after.charge.model) == (3, None)

    asyncio.run(main())


def test_without_a_model_a_request_is_known_as_before_there_were_models(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            account = await rich(town)
            await town.charge(account, 3, "k")
            ((request,),) = town.rows("select request_hash from creditd.entry where kind = 2")
            assert request.bytes == sha256(b"6 charge4 unit1 34 None").digest()[:16]

    asyncio.run(main())
