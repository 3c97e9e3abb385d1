"""An overdraft is burned last, and what comes in pays it back first."""

import asyncio

import pytest
from conftest import earn
from town import ALICE, Town

from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.operating import OVERDRAFT_MAX
from ledger.outcomes import Insufficient, OverdraftSet


async def allow(town: Town, account: AccountRef, limit: int) -> tuple[int, int]:
    done = await town.operating.set_overdraft(account, limit)
    assert isinstance(done, OverdraftSet)
    return done.used, done.unused


def test_an_overdraft_is_spent_after_all_else_and_no_further(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            town.grant(user, 10, priority=30_000)
            assert await allow(town, user, 5) == (0, 5)
            assert town.kinds(user)[-1] == ("credit_line", 5)
            await town.sell(user, 12, "k")
            assert town.kinds(user)[-2:] == [("charge", 10), ("charge", 2)]
            assert await town.charge(user, 4, "l") == Insufficient(4, 3, 0, 1)
            await town.sell(user, 3, "l")
            assert await allow(town, user, 5) == (5, 0)

    asyncio.run(main())


def test_setting_what_is_set_changes_nothing(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            assert await allow(town, user, 0) == (0, 0)
            assert town.kinds(user) == []
            await allow(town, user, 5)
            await allow(town, user, 5)
            assert town.kinds(user) == [("credit_line", 5)]
            await allow(town, user, 8)
            assert town.kinds(user)[-1] == ("credit_line", 3)
            assert town.rows("select count(*) from creditd.lot") == [(1,)]
            await allow(town, user, 0)
            await allow(town, user, 4)
            assert town.kinds(user)[-2:] == [("line_cut", 8), ("credit_line", 4)]
            assert town.rows("select count(*) from creditd.lot") == [(1,)]

    asyncio.run(main())


def test_what_comes_in_pays_back_what_is_used(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await allow(town, user, 5)
            await town.sell(user, 4, "k")
            town.grant(user, 3)
            assert town.kinds(user)[-3:] == [("grant", 3), ("line_cut", 3), ("credit_line", 3)]
            assert town.has(user) == (4, 0)
            town.grant(user, 3)
            assert town.has(user) == (7, 0)
            assert await allow(town, user, 5) == (0, 5)
            await town.sell(user, 2, "l")
            assert town.rows("select remaining from creditd.lot where source = 'overdraft'") == [
                (5,)
            ]

    asyncio.run(main())


def test_a_lowered_limit_takes_back_what_is_not_in_use_and_the_rest_as_it_is_paid(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await allow(town, user, 10)
            await town.sell(user, 6, "k")
            assert await allow(town, user, 2) == (6, 0)
            assert town.kinds(user)[-1] == ("line_cut", 4)
            town.grant(user, 5)  # 4 end what was used beyond the limit, 1 can be used anew
            assert town.kinds(user)[-2:] == [("line_cut", 5), ("credit_line", 1)]
            assert await allow(town, user, 2) == (1, 1)
            town.grant(user, 5)
            assert await allow(town, user, 2) == (0, 2)
            assert town.has(user) == (6, 0)

    asyncio.run(main())


def test_a_raised_limit_counts_what_is_used_beyond_it(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await allow(town, user, 10)
            await town.sell(user, 6, "k")
            await allow(town, user, 2)
            assert await allow(town, user, 5) == (6, 0)
            assert await allow(town, user, 7) == (6, 1)
            assert await town.charge(user, 2, "l") == Insufficient(2, 1, 0, 1)

    asyncio.run(main())


def test_what_is_given_back_of_a_charge_falls_under_the_limit_of_now(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await allow(town, user, 10)
            charged = await town.sell(user, 6, "k")
            await allow(town, user, 2)
            await town.give_back(charged, 6)
            assert town.kinds(user)[-2:] == [("refund", 6), ("line_cut", 4)]
            assert await allow(town, user, 2) == (0, 2)

    asyncio.run(main())


@pytest.mark.parametrize("used_again", [0, 2])
def test_what_was_paid_back_of_an_overdraft_is_the_accounts_own_when_its_charge_is_refunded(
    database_url: str, used_again: int
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await allow(town, user, 10)
            charged = await town.sell(user, 6, "k")
            town.grant(user, 6)
            if used_again:
                await town.sell(user, used_again, "l")
            await town.give_back(charged, 1, "part")
            await town.give_back(charged, 5, "rest")
            # The line takes what is in use of it; the rest can be spent without it.
            assert town.rows(
                "select source, priority, amount, remaining from creditd.lot"
                " where remaining > 0 order by lot_no"
            ) == [
                ("overdraft", 32_767, 10, 10),
                *([("refund", 100, 1, 1)] if used_again == 0 else []),
                ("refund", 100, 5 - max(0, used_again - 1), 5 - max(0, used_again - 1)),
            ]
            assert await allow(town, user, 0) == (0, 0)
            assert town.has(user) == (6 - used_again, 0)

    asyncio.run(main())


def test_an_overdraft_repays_no_debt_and_what_moves_in_pays_it_back(database_url: str) -> None:
    earn(database_url, ALICE, 9)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            town.grant(user, 1)
            await allow(town, user, 5)
            await town.sell(user, 4, "k")
            town.owe(user, 2)
            assert town.has(user) == (2, 2)
            await town.linked(ALICE, user)
            # 2 for the debt, 3 for the overdraft: 4 are the user's own.
            assert town.has(user) == (9, 0)
            assert await allow(town, user, 0) == (0, 0)
            assert town.has(user) == (4, 0)

    asyncio.run(main())


def test_an_overdraft_has_its_bounds(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            for limit in (-1, OVERDRAFT_MAX + 1):
                with pytest.raises(LedgerError, match="an overdraft is between 0 and"):
                    await allow(town, user, limit)
            assert await allow(town, user, OVERDRAFT_MAX) == (0, OVERDRAFT_MAX)

    asyncio.run(main())
