"""What the books tell of members, budgets and links, and of who froze an account and why."""

import asyncio

import pytest
from conftest import CHAIN_ID
from town import ALICE, BOB, CAROL, Town

from ledger.connecting import Role
from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.operator_acts import Signature
from ledger.outcomes import MemberMoved, StatusSet
from ledger.reading import PAGE_MAX, LinkRow, MemberRow, Reading

ROLES: tuple[Role, ...] = ("creditd_api", "creditd_operator", "creditd_reader")


async def all_members(reading: Reading, organisation: AccountRef, limit: int) -> list[MemberRow]:
    found: list[MemberRow] = []
    while page := await reading.members(
        organisation, after=found[-1].account if found else None, limit=limit
    ):
        found += page
    return found


def test_members_are_told_with_those_that_left_and_where_they_went(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            works, labs = await town.organisation(), await town.organisation("labs")
            anna, ben, carl = [await town.member(works, name) for name in ("anna", "ben", "carl")]
            await town.sharing.remove_member(app_id=town.app_id, member=ben)
            moved = await town.sharing.move_member(app_id=town.app_id, member=carl, to=labs)
            assert isinstance(moved, MemberMoved)
            await town.freeze(anna)
            told = await all_members(reading, works, limit=2)
            assert {
                row.account: (row.name, row.status, row.left_at is None, row.moved_to)
                for row in told
            } == {
                anna: ("anna", "frozen", True, None),
                ben: ("ben", "closed", False, None),
                carl: ("carl", "closed", False, moved.account),
            }
            assert len(told) == 3
            assert [row.account for row in await all_members(reading, labs, 9)] == [moved.account]
            assert await reading.members(await town.user(), after=None, limit=9) == []

    asyncio.run(main())


def test_budgets_are_told_with_what_was_used_of_them(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            works = await town.organisation()
            anna, ben = await town.member(works), await town.member(works, "ben")
            town.grant(works, 100)
            for period, amount in (("month", 50), ("ever", 60)):
                await town.sharing.set_budget(
                    app_id=town.app_id,
                    member=anna,
                    period="month" if period == "month" else "ever",
                    amount=amount,
                    levels=[80, 90],
                )
            charged = await town.sell(anna, 7, "k")
            await town.spending.refund(
                app_id=town.app_id, charge=charged.charge.movement, key="back", amount=2
            )
            ever, month = await reading.budgets(anna)
            assert (ever.period, ever.begins, ever.amount, ever.used) == ("ever", None, 60, 5)
            assert (month.period, month.amount, month.used) == ("month", 50, 5)
            assert month.levels == (80, 90)
            assert month.begins is not None
            assert month.begins.day == 1
            assert await reading.budgets(ben) == []

    asyncio.run(main())


def test_a_budget_of_a_new_period_has_nothing_used(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            works = await town.organisation()
            anna = await town.member(works)
            town.grant(works, 100)
            await town.sharing.set_budget(
                app_id=town.app_id, member=anna, period="day", amount=50, levels=[]
            )
            await town.sell(anna, 7, "k")
            town.planted.append("what was used falls on another day")
            town.rows(
                "update creditd.budget_use set day = day - 1 where day <> '-infinity' returning 1"
            )
            (day,) = await reading.budgets(anna)
            assert day.used == 0

    asyncio.run(main())


def test_links_are_told_of_one_chain_and_of_every_chain(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            user, other = await town.user(), await town.user("other")
            for address in (ALICE, BOB, CAROL):
                await town.wallet(address)
            await town.linked(ALICE, user)
            await town.linked(BOB, user, chain_id=None)
            await town.linked(CAROL, other)
            every = await reading.links(user, after=None, limit=9)
            told = [(link.address, link.chain_id) for link in every]
            assert told == [(ALICE, CHAIN_ID), (BOB, None), (BOB, CHAIN_ID)]
            paged: list[LinkRow] = []
            while page := await reading.links(user, after=paged[-1] if paged else None, limit=1):
                paged += page
            assert paged == every
            await town.linking.unlink(
                app_id=town.app_id, chain_id=CHAIN_ID, address=ALICE, account=user
            )
            left = await reading.links(user, after=None, limit=9)
            assert [link.address for link in left] == [BOB, BOB]

    asyncio.run(main())


def test_who_froze_an_account_and_why_is_kept(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            user = await town.user()
            frozen = StatusSet(changed=True)
            assert await town.freeze(user, Signature("eve", "case 12")) == frozen
            again = await town.freeze(user, Signature("joe", "too late"))
            assert again == StatusSet(changed=False)
            await town.unfreeze(user, Signature("joe", "case 12 is closed"))
            newest, first = await reading.status_changes(user, before_no=None, limit=9)
            assert (first.change_no, first.status, first.changed_by, first.reason) == (
                *(1, "frozen", "eve"),
                "case 12",
            )
            assert (newest.change_no, newest.status, newest.changed_by) == (2, "open", "joe")
            assert newest.at > first.at
            assert town.rows(
                "select kind, signed_by from creditd.operator_act order by act_no"
            ) == [
                ("freeze", "eve"),
                ("unfreeze", "joe"),
            ]
            assert await reading.status_changes(user, before_no=2, limit=9) == [first]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("by", "reason"), [("", "x"), ("x", ""), ("x" * 101, "x"), ("x", "x" * 501)]
)
def test_nobody_signs_without_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(LedgerError, match=r"name of 1 to 100 .* reason of 1 to 500"):
        Signature(by, reason)


def test_every_role_that_reads_balances_reads_these(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            works = await town.organisation()
            anna = await town.member(works)
            for role in ROLES:
                async with Reading.open(database_url, role=role) as reading:
                    (member,) = await reading.members(works, after=None, limit=9)
                    assert member.account == anna
                    assert await reading.budgets(anna) == []
                    assert await reading.links(anna, after=None, limit=9) == []
                    assert await reading.status_changes(anna, before_no=None, limit=9) == []

    asyncio.run(main())


def test_pages_have_their_bound(database_url: str) -> None:
    async def main() -> None:
        nobody = AccountRef(1, 1)
        async with Reading.open(database_url) as reading:
            for limit in (0, PAGE_MAX + 1):
                for ask in (
                    reading.members(nobody, after=None, limit=limit),
                    reading.links(nobody, after=None, limit=limit),
                    reading.status_changes(nobody, before_no=None, limit=limit),
                ):
                    with pytest.raises(ValueError, match="a page has between"):
                        await ask

    asyncio.run(main())
