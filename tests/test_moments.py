"""A lot ends between two looks at the clock: a request sees one moment, and fails for none."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import LiteralString

import pytest
from books_and_model import Both
from proof_of_the_books import assert_sound
from requests_to_hold import Release, Reserve, Settle
from requests_to_the_books import Batch, Charge, Give, Refund, Request
from stage import PLAIN, START, Stage

from ledger.ids import AccountRef
from ledger.outcomes import Charged, Reserved

LOOKS_MAX = 60  # no request looks at the clock so often
TICK = 1_000  # microseconds: more than the entries of one movement add to each other's times

# Each look at the clock finds it later than the one before, whatever is rolled back.
_TICKING: LiteralString = """
create sequence by_hand.tick;
create or replace function creditd.clock() returns timestamptz language sql volatile
return timestamptz '2040-01-01Z' + nextval('by_hand.tick') * interval '1 millisecond';
"""
_SET: LiteralString = "select setval('by_hand.tick', %s)"
_STOPPED: LiteralString = """
create or replace function creditd.clock() returns timestamptz language sql volatile
begin atomic
  select timestamptz '2040-01-01Z' + last_value * interval '1 millisecond' from by_hand.tick;
end;
"""
HOUR = 3_600_000  # of ticks

Scene = Callable[[Both, AccountRef], Awaitable[Request]]


async def a_lone_charge(_: Both, account: AccountRef) -> Request:
    return Charge(account, "k", "unit", 12)


async def a_free_charge(_: Both, account: AccountRef) -> Request:
    return Charge(account, "k", "free", 1)


async def a_charge_of_all(_: Both, account: AccountRef) -> Request:
    return Charge(account, "k", "unit", 22)


async def a_batch(_: Both, account: AccountRef) -> Request:
    return Batch(tuple(Charge(account, f"k{n}", "unit", 6) for n in range(3)))


async def a_charge_with_care(both: Both, account: AccountRef) -> Request:
    restricted = replace(PLAIN, operations=frozenset({"unit"}), priority=200)
    await Give(account, 5, restricted).ask(both.party)
    return Charge(account, "k", "unit", 12)


async def a_refund(both: Both, account: AccountRef) -> Request:
    (outcome,) = await Charge(account, "c", "unit", 12).ask(both.party)
    assert isinstance(outcome, Charged)
    return Refund(outcome.charge.movement, "k", 11)


async def a_reservation(_: Both, account: AccountRef) -> Request:
    return Reserve(account, "k", "unit", 12)


async def a_settlement(both: Both, account: AccountRef) -> Request:
    (outcome,) = await Reserve(account, "c", "unit", 12, over_max=8).ask(both.party)
    assert isinstance(outcome, Reserved)
    return Settle(outcome.reservation.movement, "k", 18)


async def a_release(both: Both, account: AccountRef) -> Request:
    (outcome,) = await Reserve(account, "c", "unit", 12).ask(both.party)
    assert isinstance(outcome, Reserved)
    return Release(outcome.reservation.movement, "k")


@pytest.mark.parametrize(
    "scene",
    [
        a_lone_charge,
        a_free_charge,
        a_charge_of_all,
        a_batch,
        a_charge_with_care,
        a_refund,
        a_reservation,
        a_settlement,
        a_release,
    ],
)
def test_a_lot_may_end_at_any_moment_of_a_request(database_url: str, scene: Scene) -> None:
    async def main(stage: Stage) -> None:
        async with Both.on(stage) as both:
            for looks in range(LOOKS_MAX):
                account = stage.account(f"{looks}")
                ends = (looks + 1) * HOUR
                at = START + ends * TICK
                stage.give(account, 9, replace(PLAIN, expires_at=at, priority=50))
                stage.give(account, 9)
                stage.give(account, 9, replace(PLAIN, effective_at=at + TICK))
                request = await scene(both, account)
                stage.rows(_SET, ends - looks)
                await request.ask(both.party)

    with Stage.on(database_url, pretended_time=True) as stage:
        stage.rows(_TICKING)
        asyncio.run(main(stage))
        stage.rows(_STOPPED)
    assert_sound(database_url)
