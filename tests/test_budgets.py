"""What an organisation's pool pays for a member, and how it is told."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest
from town import Town

from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.outcomes import (
    BudgetSet,
    Charged,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    TooExpensive,
)
from ledger.periods import Period


async def budget(
    town: Town,
    member: AccountRef,
    amount: int | None,
    period: Period = "month",
    levels: Sequence[int] = (),
) -> None:
    done = await town.sharing.set_budget(
        app_id=1, member=member, period=period, amount=amount, levels=levels
    )
    assert done == BudgetSet()


async def team(town: Town, pool: int) -> tuple[AccountRef, AccountRef]:
    """An organisation with credits, and a member."""
    works = await town.organisation()
    anna = await town.member(works)
    # Nothing of them is later than the moments that the tests set.
    town.rows("update creditd.account set last_at = '2024-01-01Z'")
    town.grant(works, pool)
    return works, anna


def at(town: Town, moment: str) -> None:
    """Set the clock of the books."""
    town.rows(
        "create or replace function creditd.clock() returns timestamptz language sql volatile"
        f" return timestamptz '{moment}'"
    )


def used(town: Town, member: AccountRef) -> dict[str, int]:
    return dict(
        town.rows(
            "select day::text, used from creditd.budget_use where account_id = %s",
            member.account_id,
        )
    )


def test_the_pool_pays_for_a_member_within_its_budget(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 100)
            await budget(town, anna, 50)
            made = await town.sell(anna, 30, "k")
            assert made.charge.movement.account == works
            assert made.charge.available == 70
            assert await town.charge(anna, 21, "l") == OverBudget(21, 20, 1)
            await town.sell(anna, 20, "l")  # the refused charge left its key free
            assert (town.has(works), town.has(anna)) == ((50, 0), (0, 0))
            members = town.rows("select member_id from creditd.entry where kind = 2")
            assert members == [(anna.account_id,)] * 2

    asyncio.run(main())


def test_a_member_pays_by_itself_what_it_covers_whole(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 100)
            town.grant(anna, 10)
            await budget(town, anna, 50)
            assert (await town.sell(anna, 4, "k")).charge.movement.account == anna
            # 6 are left: 7 is the pool's whole.
            assert (await town.sell(anna, 7, "l")).charge.movement.account == works
            assert (await town.sell(anna, 6, "m")).charge.movement.account == anna
            assert (town.has(works), town.has(anna)) == ((93, 0), (0, 0))
            assert used(town, anna)["-infinity"] == 7

    asyncio.run(main())


def test_without_a_budget_the_pool_pays_nothing(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            _, anna = await team(town, 100)
            assert await town.charge(anna, 1, "k") == OverBudget(1, 0, 1)
            await budget(town, anna, 5)
            await town.sell(anna, 1, "k")
            await budget(town, anna, None)
            assert await town.charge(anna, 1, "l") == OverBudget(1, 0, 1)

    asyncio.run(main())


def test_a_budget_beyond_the_pool_is_refused_by_the_pool(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 10)
            await budget(town, anna, 50)
            assert await town.charge(anna, 11, "k") == Insufficient(11, 10, 0, 1)
            assert used(town, anna) == {}
            assert town.has(works) == (10, 0)

    asyncio.run(main())


def test_a_members_charge_is_made_once_whoever_pays(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 100)
            await budget(town, anna, 50)
            first = await town.sell(anna, 30, "k")
            town.grant(anna, 40)  # now it would pay by itself
            again = await town.charge(anna, 30, "k")
            assert again == Charged(first.charge, replayed=True)
            assert await town.charge(anna, 31, "k") == KeyReused()
            assert (town.has(works), town.has(anna)) == ((70, 0), (40, 0))

    asyncio.run(main())


def test_a_frozen_organisation_pays_for_nobody(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 100)
            town.grant(anna, 5)
            await budget(town, anna, 50)
            await town.freeze(works)
            assert await town.charge(anna, 1, "k") == Frozen()
            await town.unfreeze(works)
            await town.freeze(anna)
            assert await town.charge(anna, 1, "k") == Frozen()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("period", "first", "last", "then"),
    [
        ("day", "2024-02-29 00:00Z", "2024-02-29 23:59:59.999999Z", "2024-03-01 00:00Z"),
        ("week", "2024-12-30 00:00Z", "2025-01-05 23:59:59.999999Z", "2025-01-06 00:00Z"),
        ("month", "2024-12-01 00:00Z", "2024-12-31 23:59:59.999999Z", "2025-01-01 00:00Z"),
    ],
)
def test_a_budget_begins_anew_with_its_period(
    database_url: str, period: Period, first: str, last: str, then: str
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            at(town, "2024-01-01Z")
            _, anna = await team(town, 100)
            await budget(town, anna, 10, period)
            at(town, first)
            await town.sell(anna, 6, "a")
            at(town, last)
            assert await town.charge(anna, 5, "b") == OverBudget(5, 4, 1)
            await town.sell(anna, 4, "c")
            at(town, then)
            await town.sell(anna, 10, "d")
            assert await town.charge(anna, 1, "e") == OverBudget(1, 0, 1)

    asyncio.run(main())


def test_every_budget_of_a_member_must_leave_room(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            at(town, "2024-05-01 12:00Z")
            _, anna = await team(town, 100)
            await budget(town, anna, 10, "day")
            await budget(town, anna, 15, "month")
            await budget(town, anna, 90, "ever")
            await town.sell(anna, 10, "a")
            assert await town.charge(anna, 1, "b") == OverBudget(1, 0, 1)
            at(town, "2024-05-02 12:00Z")
            assert await town.charge(anna, 6, "b") == OverBudget(6, 5, 1)
            await town.sell(anna, 5, "b")
            at(town, "2024-06-01 12:00Z")
            await town.sell(anna, 10, "c")
            assert used(town, anna) == {
                "-infinity": 25,
                "2024-05-01": 10,
                "2024-05-02": 5,
                "2024-06-01": 10,
            }

    asyncio.run(main())


def test_a_budget_set_in_the_midst_of_its_period_knows_what_was_used(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            _, anna = await team(town, 100)
            await budget(town, anna, 10, "ever")
            await town.sell(anna, 8, "a")
            await budget(town, anna, 9, "month")
            assert await town.charge(anna, 2, "b") == OverBudget(2, 1, 1)
            await budget(town, anna, 5, "month")  # below what was used: nothing is left
            assert await town.charge(anna, 1, "b") == OverBudget(1, 0, 1)

    asyncio.run(main())


def test_what_is_given_back_is_the_budgets_of_the_day_it_was_taken(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            at(town, "2024-05-01 12:00Z")
            works, anna = await team(town, 100)
            await budget(town, anna, 10, "day")
            made = await town.sell(anna, 10, "a")
            at(town, "2024-05-02 12:00Z")
            await town.sell(anna, 10, "b")
            root, member = works.root_id, anna.account_id
            give_back = "select creditd.budget_give_back(%s, %s, %s::bigint, %s)"
            await town.give_back(made, 4)
            assert used(town, anna) == {"-infinity": 16, "2024-05-01": 6, "2024-05-02": 10}
            with pytest.raises(psycopg.DatabaseError, match="nothing was taken"):
                town.rows(give_back, root, member, 4, "2024-05-03Z")
            with pytest.raises(psycopg.errors.CheckViolation, match="budget_use_is_never"):
                town.rows(give_back, root, member, 7, made.charge.at)

    asyncio.run(main())


def test_each_level_of_a_budget_is_told_once_in_a_period(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            at(town, "2024-05-01 12:00Z")
            works, anna = await team(town, 1000)
            await budget(town, anna, 10, "day", [50, 80, 100])
            await budget(town, anna, 30, "ever", [100])

            def told() -> list[tuple[str, int, int]]:
                return town.rows(
                    "select body->>'period', (body->>'level')::int, (body->>'used')::int"
                    " from creditd.message where topic = 'budget.level'"
                    " and (root_id, account_id) = (%s, %s) order by seq, place",
                    works.root_id,
                    anna.account_id,
                )

            town.rows(
                "insert into creditd.receiver (name, topics) values ('ear', '{budget.level}')"
            )
            made = await town.sell(anna, 4, "a")
            assert told() == []
            await town.sell(anna, 1, "b")
            assert told() == [("day", 50, 5)]
            await town.sell(anna, 2, "c")
            await town.sell(anna, 3, "d")
            day = [("day", 50, 5), ("day", 80, 10), ("day", 100, 10)]
            assert told() == day
            town.rows(
                "select creditd.budget_give_back(%s, %s, 4::bigint, %s)",
                *(works.root_id, anna.account_id, made.charge.at),
            )
            town.rows(
                "select creditd.budget_take(%s, %s, 4::bigint, %s)",
                *(works.root_id, anna.account_id, made.charge.at),
            )
            await budget(town, anna, 10, "day", [50, 80, 100])  # as it is
            assert told() == day
            at(town, "2024-05-02 12:00Z")
            await town.sell(anna, 5, "e")
            assert told() == [*day, ("day", 50, 5)]
            at(town, "2024-05-03 12:00Z")
            await town.sell(anna, 10, "f")
            at(town, "2024-05-04 12:00Z")
            await town.sell(anna, 5, "g")
            assert told()[-2:] == [("day", 50, 5), ("ever", 100, 30)]

    asyncio.run(main())


def test_budgets_that_make_no_sense_are_refused(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, anna = await team(town, 10)
            for amount, levels in ((-1, []), (2**62, []), (1, [0]), (1, [101]), (1, [5] * 11)):
                with pytest.raises(LedgerError, match="a budget is between 0 and"):
                    await budget(town, anna, amount, levels=levels)
            for app_id, member in ((2, anna), (1, works), (1, await town.user())):
                done = await town.sharing.set_budget(
                    app_id=app_id, member=member, period="day", amount=5
                )
                assert done == NoSuchAccount()

    asyncio.run(main())


def test_what_a_pool_has_spent_stays_within_what_the_books_hold(database_url: str) -> None:
    half = 25 * 10**17  # of what an account may ever spend

    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, half)
            await budget(town, anna, half)
            for turn in range(2):
                charged = await town.sell(anna, half, f"charge {turn}")
                assert charged.charge.movement.account == works
                await town.give_back(charged, half, f"refund {turn}")
            assert await town.charge(anna, 1, "one more") == TooExpensive()
            assert town.has(works) == (half, 0)

    asyncio.run(main())
