"""Organisations: a pool, members under the same root, and credits that move between them."""

import asyncio

import pytest
from conftest import CHAIN_ID, earn
from town import ALICE, BOB, Town

from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.outcomes import (
    AccountClosed,
    AccountOpened,
    Allocated,
    BeyondRange,
    Frozen,
    KeyReused,
    LinkedElsewhere,
    MemberMoved,
    MemberRemoved,
    NameTaken,
    NoSuchAccount,
    NotCovered,
)


async def give(town: Town, member: AccountRef, amount: int, key: str = "a") -> object:
    return await town.sharing.allocate(app_id=town.app_id, member=member, key=key, amount=amount)


async def take_back(town: Town, member: AccountRef, amount: int, key: str = "b") -> object:
    return await town.sharing.take_back(app_id=town.app_id, member=member, key=key, amount=amount)


def test_an_organisation_and_a_member_are_opened_once_under_their_names(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.sharing.open_organisation(app_id=1, name="works")
            assert isinstance(works, AccountOpened)
            assert works.created
            again = await town.sharing.open_organisation(app_id=1, name="works")
            assert again == AccountOpened(works.account, created=False)
            assert works.account.root_id == works.account.account_id

            async def add() -> AccountOpened | NoSuchAccount:
                return await town.sharing.add_member(
                    app_id=1, organisation=works.account, name="anna"
                )

            anna = await add()
            assert isinstance(anna, AccountOpened)
            assert (anna.created, anna.account.root_id) == (True, works.account.root_id)
            assert anna.account != works.account
            assert await add() == AccountOpened(anna.account, created=False)
            kinds = town.rows("select kind from creditd.account order by kind")
            assert kinds == [("member",), ("organisation",)]

    asyncio.run(main())


def test_a_users_name_stands_for_no_organisation(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user("works")
            assert await town.sharing.open_organisation(app_id=1, name="works") == NameTaken()
            added = await town.sharing.add_member(app_id=1, organisation=user, name="anna")
            assert added == NoSuchAccount()
            for name in ("", "x" * 201):
                with pytest.raises(LedgerError, match="1 to 200 characters"):
                    await town.sharing.open_organisation(app_id=1, name=name)
                with pytest.raises(LedgerError, match="1 to 200 characters"):
                    await town.member(await town.organisation("other"), name)

    asyncio.run(main())


def test_credits_move_from_the_pool_to_a_member_and_back(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, 30, expires_at="2100-01-01")
            town.grant(works, 70)
            given = await give(town, anna, 50)
            assert isinstance(given, Allocated)
            assert (given.allocation.amount, given.allocation.available) == (50, 50)
            assert given.allocation.movement.account == works
            assert (town.has(works), town.has(anna)) == ((50, 0), (50, 0))
            assert town.kinds(anna) == [("move_in", 30), ("move_in", 20)]
            await town.sell(anna, 10, "k")
            assert isinstance(await take_back(town, anna, 35), Allocated)
            assert (town.has(works), town.has(anna)) == ((85, 0), (5, 0))
            # What expires first went first, and is the pool's again with its term.
            ends = "select expires_at::text, remaining from creditd.lot where account_id = %s and"
            assert town.rows(f"{ends} lot_no > 2 and source <> 'x' order by lot_no", works[1]) == [
                ("2100-01-01 00:00:00+00", 20),
                ("infinity", 15),
            ]

    asyncio.run(main())


def test_one_key_moves_credits_once(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, 100)
            first = await give(town, anna, 50, "k")
            assert isinstance(first, Allocated)
            await town.sell(anna, 20, "c")
            again = await give(town, anna, 50, "k")
            assert again == Allocated(first.allocation, replayed=True)
            assert await give(town, anna, 51, "k") == KeyReused()
            assert await take_back(town, anna, 50, "k") == KeyReused()
            assert (town.has(works), town.has(anna)) == ((50, 0), (30, 0))

    asyncio.run(main())


def test_no_more_moves_than_is_there_for_everything_now(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, 10)
            town.grant(works, 10, effective_at="2150-01-01")
            town.grant(works, 10, operations=["other"])
            await town.operating.set_overdraft(works, 10)
            assert await give(town, anna, 11) == NotCovered(11, 10)
            assert isinstance(await give(town, anna, 10), Allocated)  # the key stayed free
            assert await give(town, anna, 0, "zero") == BeyondRange()
            assert await give(town, anna, -1, "less") == BeyondRange()
            assert await give(town, anna, 2**62, "vast") == BeyondRange()
            assert town.has(works) == (30, 0)

    asyncio.run(main())


def test_credits_move_only_within_an_organisation_the_app_reaches(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, user = await town.organisation(), await town.user()
            anna = await town.member(works)
            town.grant(works, 10)
            assert await give(town, works, 5) == NoSuchAccount()
            assert await give(town, AccountRef(works.root_id, 12345), 5) == NoSuchAccount()
            assert await give(town, user, 5) == NoSuchAccount()
            other = await town.sharing.allocate(app_id=2, member=anna, key="k", amount=5)
            assert other == NoSuchAccount()
            await town.freeze(works)
            assert await give(town, anna, 5) == Frozen()

    asyncio.run(main())


def test_what_comes_to_a_member_repays_what_it_owes(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, 100)
            await give(town, anna, 40)
            await town.sell(anna, 40, "k")
            town.owe(anna, 15)
            await give(town, anna, 20, "c")
            assert (town.has(works), town.has(anna)) == ((40, 0), (5, 0))

    asyncio.run(main())


def test_what_a_member_that_leaves_has_and_owes_is_the_pools(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            await town.linked(ALICE, anna)
            await town.operating.set_overdraft(anna, 9)
            removed = await town.sharing.remove_member(app_id=1, member=anna)
            assert removed == MemberRemoved(replayed=False)
            assert (town.has(works), town.has(anna)) == ((30, 0), (0, 0))
            assert await town.charge(anna, 1, "k") == Frozen()
            assert await give(town, anna, 1) == AccountClosed()
            assert await town.freeze(anna) == AccountClosed()
            assert isinstance(await town.link(BOB, anna), AccountClosed)
            again = await town.sharing.remove_member(app_id=1, member=anna)
            assert again == MemberRemoved(replayed=True)
            # Its wallet earns for itself again, and its name is free.
            await asyncio.to_thread(earn, database_url, ALICE, 5)
            assert town.has(await town.wallet(ALICE)) == (5, 0)
            assert await town.member(works) != anna

    asyncio.run(main())


def test_what_comes_back_to_a_member_that_left_is_the_pools(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(anna, 30)
            await town.sell(anna, 30, "k")
            await town.sharing.remove_member(app_id=1, member=anna)
            town.grant(works, 5)
            town.owe(anna, 8)
            assert (town.has(works), town.has(anna)) == ((0, 3), (0, 0))

    asyncio.run(main())


def test_a_member_that_moves_has_a_new_account_and_its_wallets_go_along(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            works, mill = await town.organisation(), await town.organisation("mill")
            anna = await town.member(works)
            await town.linked(ALICE, anna, None)
            moved = await town.sharing.move_member(app_id=1, member=anna, to=mill)
            assert isinstance(moved, MemberMoved)
            assert moved.account.root_id == mill.root_id
            again = await town.sharing.move_member(app_id=1, member=anna, to=mill)
            assert again == MemberMoved(moved.account, replayed=True)
            back = await town.sharing.move_member(app_id=1, member=anna, to=works)
            assert back == NoSuchAccount()
            assert (town.has(works), town.has(mill)) == ((30, 0), (0, 0))
            assert await town.link(ALICE, anna) == LinkedElsewhere()
            for chain_id in (CHAIN_ID, 10):
                assert (await town.linked(ALICE, moved.account, chain_id)).replayed
            assert (await town.linked(ALICE, moved.account, None)).replayed

    asyncio.run(main())


def test_a_member_moves_only_under_a_name_that_is_free_there(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works, mill = await town.organisation(), await town.organisation("mill")
            anna = await town.member(works)
            await town.member(mill)
            town.grant(anna, 7)
            moved = await town.sharing.move_member(app_id=1, member=anna, to=mill)
            assert moved == NameTaken()
            await town.freeze(anna)
            assert await town.sharing.remove_member(app_id=1, member=anna) == Frozen()
            assert (town.has(works), town.has(anna)) == ((0, 0), (7, 0))

    asyncio.run(main())
