"""Members that charge, move and leave at once: neither pool nor budget is overspent."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from conftest import CHAIN_ID, earn
from crowd import (
    CONNECTIONS,
    ROUNDS,
    link,
    nobody_waiting_in_a_circle,
    operators,
    somebody_waits,
    spendings,
    total,
)
from town import ALICE, Town

from ledger.ids import AccountRef
from ledger.outcomes import (
    Allocated,
    Charged,
    ChargeOutcome,
    Insufficient,
    Linked,
    MemberMoved,
    MemberRemoved,
    OverBudget,
)
from ledger.sharing import Sharing
from ledger.spending import Spending


@pytest.fixture(autouse=True)
def nobody_waits_in_a_circle(database_url: str) -> Iterator[None]:
    with nobody_waiting_in_a_circle(database_url):
        yield


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_members_charge_at_once_no_more_than_budgets_and_pool_allow(
    database_url: str, _round: int
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, spendings(database_url) as shops:
            works = await town.organisation()
            members = [await town.member(works, name) for name in "abc"]
            for member, amount in zip(members, (30, 50, 500), strict=True):
                await town.sharing.set_budget(app_id=1, member=member, period="ever", amount=amount)
            for _ in range(4):
                town.grant(works, 30)  # 120: less than the budgets together
            town.grant(members[0], 5)
            rng = random.Random(1)
            # Two use up their budgets, then all three what is left of the pool.
            wanted = [
                (rng.choice(members[: 2 if n < 120 else 3]), rng.randint(1, 4), str(n))
                for n in range(240)
            ]

            async def charge(
                shop: Spending, member: AccountRef, units: int, key: str
            ) -> ChargeOutcome:
                return await shop.charge(
                    app_id=1, account=member, key=key, operation="unit", units=units
                )

            outcomes: list[ChargeOutcome] = []
            for part in (wanted[:120], wanted[120:]):
                outcomes += await asyncio.gather(
                    *(charge(shops[n % CONNECTIONS], *asked) for n, asked in enumerate(part))
                )
            paid: Counter[AccountRef] = Counter()
            for (member, units, _), outcome in zip(wanted, outcomes, strict=True):
                if isinstance(outcome, Charged):
                    assert outcome.charge.movement.account in {works, member}
                    paid[member] += units * (outcome.charge.movement.account == works)
                else:
                    assert isinstance(outcome, OverBudget | Insufficient)
            assert paid[members[0]] <= 30
            assert paid[members[1]] <= 50
            assert paid.total() == 120 - town.has(works)[0]
            assert town.has(works)[0] < 4
            used = town.rows(
                "select account_id, used from creditd.budget_use where day = '-infinity'"
            )
            assert dict(used) == {member.account_id: amount for member, amount in paid.items()}
            assert {OverBudget, Insufficient} < {type(outcome) for outcome in outcomes}

    asyncio.run(main())


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_credits_that_move_both_ways_while_members_charge_are_all_there(
    database_url: str, _round: int
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, spendings(database_url) as shops:
            works = await town.organisation()
            members = [await town.member(works, name) for name in "abc"]
            for member in members:
                await town.sharing.set_budget(app_id=1, member=member, period="day", amount=100)
            town.grant(works, 1000)
            taken = 0

            async def move(number: int, sharing: Sharing) -> None:
                for turn in range(12):
                    member, key = members[(number + turn) % 3], f"{number} {turn}"
                    done = await sharing.allocate(
                        app_id=1, member=member, key=f"to {key}", amount=20
                    )
                    assert isinstance(done, Allocated)
                    await sharing.take_back(app_id=1, member=member, key=f"back {key}", amount=15)

            async def spend(number: int, shop: Spending) -> None:
                nonlocal taken
                for turn in range(12):
                    account = (*members, works)[(number + turn) % 4]
                    outcome = await shop.charge(
                        app_id=1, account=account, key=f"{number} {turn}", operation="unit", units=5
                    )
                    taken += 5 * isinstance(outcome, Charged)

            async with AsyncExitStack() as stack:
                sharings = [
                    await stack.enter_async_context(Sharing.open(database_url)) for _ in range(4)
                ]
                await asyncio.gather(
                    *(move(number, sharing) for number, sharing in enumerate(sharings)),
                    *(spend(number, shop) for number, shop in enumerate(shops)),
                )
            assert total(town, [works, *members]) == 1000 - taken

    asyncio.run(main())


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_member_that_leaves_while_wallets_are_linked_to_it_takes_none_along(
    database_url: str, _round: int
) -> None:
    addresses = [bytes([number]) * 20 for number in range(1, 9)]
    for address in addresses[:4]:
        earn(database_url, address, 10)

    async def main() -> None:
        async with Town.open(database_url) as town, operators(database_url) as many:
            works, mill = await town.organisation(), await town.organisation("mill")
            anna = await town.member(works)
            async with Sharing.open(database_url) as other:
                links = [
                    link(acts, anna, address, None if number % 2 else CHAIN_ID)
                    for number, (acts, address) in enumerate(zip(many, addresses, strict=True))
                ]
                removed, moved, *linked = await asyncio.gather(
                    town.sharing.remove_member(app_id=1, member=anna),
                    other.move_member(app_id=1, member=anna, to=mill),
                    *links,
                )
            assert isinstance(removed, MemberRemoved)
            came = 10 * sum(o.moved > 0 for o in linked if isinstance(o, Linked))
            assert (town.has(anna), town.has(works)) == ((0, 0), (came, 0))
            # Nobody is linked to whom is no member; who moved took its links along.
            to = town.rows(
                "select linked_account from creditd.wallet where linked_account is not null"
                " union select account_id from creditd.wallet_link"
            )
            if isinstance(moved, MemberMoved):
                assert removed.replayed
                assert to in ([], [(moved.account.account_id,)])
            else:
                assert to == []

    asyncio.run(main())


def test_a_member_that_leaves_while_it_is_looked_up_is_made_anew(database_url: str) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            Sharing.open(database_url) as other,
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner,
        ):
            works = await town.organisation()
            anna = await town.member(works)
            # Between finding the name taken and looking whose it is.
            await owner.execute(
                "create function public.hold() returns trigger language plpgsql as"
                " 'begin perform pg_advisory_xact_lock_shared(78); return null; end';"
                "create trigger held after insert on creditd.member"
                " for each statement execute function public.hold()"
            )
            await owner.execute("select pg_advisory_lock(78)")
            opening = asyncio.create_task(town.member(works))
            await somebody_waits(database_url, 1)
            assert isinstance(await other.remove_member(app_id=1, member=anna), MemberRemoved)
            await owner.execute("select pg_advisory_unlock(78)")
            assert await opening != anna
            await owner.execute("drop function public.hold cascade")

    asyncio.run(main())


def test_a_membership_that_ends_while_a_wallet_is_linked_to_it_waits_in_order(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 10)

    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            await psycopg.AsyncConnection.connect(database_url) as linking,
            await psycopg.AsyncConnection.connect(database_url) as refunding,
        ):
            own, works = await town.wallet(ALICE), await town.organisation()
            anna = await town.member(works)
            await linking.execute(
                "select creditd.join_wallet(%s, %s, %s, %s)", (CHAIN_ID, ALICE, *anna)
            )
            removing = asyncio.create_task(town.sharing.remove_member(app_id=1, member=anna))
            await somebody_waits(database_url, 1)
            lock = "select creditd.lock_with_links(array[%s::bigint], array[%s::bigint])"
            locking = asyncio.create_task(refunding.execute(lock, own))
            await somebody_waits(database_url, 2)
            await linking.commit()
            await locking
            await refunding.commit()
            assert await removing == MemberRemoved(replayed=False)
            assert (town.has(anna), town.has(works)) == ((0, 0), (10, 0))
            linked = town.rows("select from creditd.wallet where linked_root is not null")
            assert linked == []

    asyncio.run(main())
