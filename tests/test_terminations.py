"""Sessions that are ended at each of their steps leave nothing half done, and the key tells."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from books import Books as Tables
from books_and_model import Both
from proof_of_the_books import assert_sound
from requests_to_the_books import Batch, Charge, Refund, Request, Reverse
from stage import PLAIN, SECOND, Stage
from terminated_sessions import count_steps, end_who_waits_for, ending_at, tables

from ledger.errors import LedgerUnavailable

STEPS_MAX = 200  # no writing function takes so many on these few rows

Scene = Callable[[Both, str], Awaitable[Request]]


async def a_lone_charge(both: Both, name: str) -> Request:
    account = both.account(name)
    await both.give(account, 10, PLAIN)
    return Charge(account, "k", "unit", 4)


async def a_free_charge(both: Both, name: str) -> Request:
    return Charge(both.account(name), "k", "free", 4)


async def a_charge_over_three_lots(both: Both, name: str) -> Request:
    account = both.account(name)
    for amount in (3, 3, 3):
        await both.give(account, amount, PLAIN)
    return Charge(account, "k", "unit", 8)


async def a_charge_after_an_expiry(both: Both, name: str) -> Request:
    account = both.account(name)
    both.stage.wait(SECOND)
    await both.give(account, 5, replace(PLAIN, expires_at=both.stage.now + 1))
    await both.give(account, 5, replace(PLAIN, operations=frozenset({"unit"})))
    await both.give(account, 5, PLAIN)
    both.stage.wait(SECOND)
    return Charge(account, "k", "unit", 8)


async def a_refusal_after_an_expiry(both: Both, name: str) -> Request:
    account = both.account(name)
    both.stage.wait(SECOND)
    await both.give(account, 5, replace(PLAIN, expires_at=both.stage.now + 1))
    both.stage.wait(SECOND)
    return Charge(account, "k", "unit", 4)


async def a_batch_of_all_sorts(both: Both, name: str) -> Request:
    several = [both.account(f"{name} {number}") for number in range(3)]
    for account in several:
        await both.give(account, 4, PLAIN)
        await both.give(account, 4, PLAIN)
    await both.give(several[2], 4, replace(PLAIN, operations=frozenset({"unit"})))
    return Batch(
        tuple(
            Charge(account, f"k{number}", operation, number)
            for account in several
            for number, operation in enumerate(["unit", "unit", "draw", "free", "unit"], start=1)
        )
    )


async def a_refund_over_two_lots(both: Both, name: str) -> Request:
    account = both.account(name)
    for amount in (3, 3):
        await both.give(account, amount, PLAIN)
    charge = await both.charge(Charge(account, "c", "unit", 6))
    return Refund(charge, "k", 5)


async def a_refund_that_pays_a_debt(both: Both, name: str) -> Request:
    account = both.account(name)
    lot = await both.give(account, 9, PLAIN)
    charge = await both.charge(Charge(account, "c", "unit", 9))
    await both.ask(Reverse(lot))
    await both.give(account, 5, PLAIN)
    return Refund(charge, "k", 6)  # 4 are owed, 2 are a lot of their own


ASKED: list[Scene] = [
    a_lone_charge,
    a_free_charge,
    a_charge_over_three_lots,
    a_charge_after_an_expiry,
    a_refusal_after_an_expiry,
    a_batch_of_all_sorts,
    a_refund_over_two_lots,
    a_refund_that_pays_a_debt,
]


async def ended_at_each_step(both: Both, scene: Scene, tables_before: Tables) -> int:
    """End the request at its first step, at its second, … Returns how many it has."""
    for step in range(1, STEPS_MAX):
        request = await scene(both, f"{scene.__name__} {step}")
        before = tables_before.contents()
        with ending_at(both.stage, step):
            try:
                answers = await request.ask(both.party)
            except LedgerUnavailable:
                answers = None
        if answers is not None:
            assert answers == both.expected(request)
            return step - 1
        assert tables_before.contents() == before, f"half done at step {step}"
        await both.ask(request)  # and again, for what it is answered then
        await both.ask(request)
        both.assert_same_entries(since=f"step {step}")
    raise AssertionError(f"{scene.__name__} takes more than {STEPS_MAX} steps")


@pytest.mark.parametrize("scene", ASKED)
def test_a_request_that_is_ended_at_any_step_has_done_nothing_and_may_be_made_again(
    database_url: str, scene: Scene
) -> None:
    async def main(stage: Stage, books: Tables) -> int:
        async with Both.on(stage) as both:
            return await ended_at_each_step(both, scene, books)

    with (
        Stage.on(database_url, pretended_time=True) as stage,
        Tables.open(database_url) as books,
    ):
        count_steps(stage)
        assert asyncio.run(main(stage, books)) >= 5
    assert_sound(database_url)


ALWAYS_ASKED = {"account", "entry", "account_access"}


@pytest.mark.parametrize("scene", ASKED)
def test_a_request_that_is_ended_while_it_waits_for_a_table_has_done_nothing(
    database_url: str, scene: Scene
) -> None:
    async def main(stage: Stage, books: Tables) -> list[str]:
        waited_for = []
        async with Both.on(stage) as both:
            for table in tables(stage):
                request = await scene(both, f"{scene.__name__} {table}")
                before = books.contents()
                asking: asyncio.Task[object] = asyncio.create_task(request.ask(both.party))
                if await end_who_waits_for(stage, table, asking):
                    with pytest.raises(LedgerUnavailable):
                        await asking
                    waited_for.append(table)
                    assert books.contents() == before, f"half done at {table}"
                    await both.ask(request)
                else:
                    assert await asking == both.expected(request)
                await both.ask(request)
                both.assert_same_entries(since=table)
        return waited_for

    with (
        Stage.on(database_url, pretended_time=True) as stage,
        Tables.open(database_url) as books,
    ):
        waited_for = asyncio.run(main(stage, books))
        # An app may give back what it took, whether it still reaches the account or not.
        asked = {"account", "entry"} if "refund" in scene.__name__ else ALWAYS_ASKED
        assert asked <= set(waited_for)
    assert_sound(database_url)
