"""Links, moves and budgets while others charge and earn: nothing is lost, doubled or overspent."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
from conftest import CHAIN_ID, earn
from followed_chain import Earned, FollowedChain
from town import ALICE, BOB, Town

from ledger.ids import AccountRef
from ledger.linking import Linking
from ledger.outcomes import (
    Allocated,
    Charged,
    Insufficient,
    Linked,
    LinkedElsewhere,
    MemberMoved,
    MemberRemoved,
    OverBudget,
    Unlinked,
)
from ledger.sharing import Sharing
from ledger.spending import Spending

CONNECTIONS = 8
# A race is run with another order of accounts each time: their numbers are random.
ROUNDS = 3


@pytest.fixture(autouse=True)
def nobody_waits_in_a_circle(database_url: str) -> Iterator[None]:
    """What has deadlocked would be tried again, and hidden: whoever waits, waits in order."""
    yield
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "select deadlocks from pg_stat_database where datname = current_database()"
        ).fetchall()
    assert found == [(0,)]


@asynccontextmanager
async def linkings(database_url: str) -> AsyncIterator[list[Linking]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Linking.open(database_url)) for _ in range(CONNECTIONS)
        ]


@asynccontextmanager
async def spendings(database_url: str) -> AsyncIterator[list[Spending]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Spending.open(database_url, lanes=1))
            for _ in range(CONNECTIONS)
        ]


async def link(
    linking: Linking, account: AccountRef, address: bytes = ALICE, chain_id: int | None = CHAIN_ID
) -> object:
    return await linking.link(app_id=1, chain_id=chain_id, address=address, account=account)


async def unlink(
    linking: Linking, account: AccountRef, address: bytes = ALICE, chain_id: int | None = CHAIN_ID
) -> object:
    return await linking.unlink(app_id=1, chain_id=chain_id, address=address, account=account)


def total(town: Town, accounts: Sequence[AccountRef]) -> int:
    return sum(town.has(account)[0] for account in accounts)


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_two_links_of_one_wallet_at_once_one_is_made(database_url: str, _round: int) -> None:
    for _ in range(3):
        earn(database_url, ALICE, 10)

    async def main() -> None:
        async with Town.open(database_url) as town, linkings(database_url) as many:
            users = [await town.user("a"), await town.user("b")]
            outcomes = await asyncio.gather(
                *(
                    link(linking, users[number % 2], chain_id=CHAIN_ID if number % 3 else None)
                    for number, linking in enumerate(many)
                )
            )
            made = [o for o in outcomes if isinstance(o, Linked) and o.wallets]
            assert [(o.wallets, o.moved) for o in made] == [(1, 30)]
            assert {type(o) for o in outcomes} == {Linked, LinkedElsewhere}
            assert town.has(made[0].account) == (30, 0)
            assert total(town, users) == 30

    asyncio.run(main())


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_link_while_the_wallet_is_charged_loses_nothing(database_url: str, _round: int) -> None:
    for _ in range(5):
        earn(database_url, ALICE, 80)

    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            linkings(database_url) as many,
            spendings(database_url) as shops,
        ):
            own, user = await town.wallet(ALICE), await town.user()

            async def spend(number: int, spending: Spending) -> int:
                taken = 0
                for turn in range(6):
                    # At once, so that a batch holds both accounts.
                    outcomes = await asyncio.gather(
                        *(
                            spending.charge(
                                app_id=1,
                                account=(own, user)[place % 2],
                                key=f"{number} {turn} {place}",
                                operation="unit",
                                units=3,
                            )
                            for place in range(6)
                        )
                    )
                    for outcome in outcomes:
                        assert isinstance(outcome, Charged | Insufficient)
                        taken += 3 * isinstance(outcome, Charged)
                return taken

            tasks = [asyncio.create_task(spend(n, shop)) for n, shop in enumerate(shops)]
            linked = await asyncio.gather(*(link(linking, user) for linking in many))
            assert sum(o.wallets for o in linked if isinstance(o, Linked)) == 1
            taken = sum(await asyncio.gather(*tasks))
            assert town.has(own) == (0, 0)
            assert town.has(user) == (400 - taken, 0)

    asyncio.run(main())


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_grants_while_wallets_are_linked_and_unlinked_arrive_once(
    database_url: str, _round: int
) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            linkings(database_url) as many,
            FollowedChain.lead(database_url) as chain,
        ):
            users = [await town.user("a"), await town.user("b")]
            over = asyncio.Event()

            async def wander(number: int, linking: Linking) -> None:
                address, user = (ALICE, BOB)[number % 2], users[number // 2 % 2]
                every = None if number < 4 else CHAIN_ID
                while not over.is_set():
                    await link(linking, user, address, every)
                    await unlink(linking, user, address, every)

            tasks = [asyncio.create_task(wander(n, linking)) for n, linking in enumerate(many[:6])]
            for number in range(25):
                await chain.grow(Earned(ALICE, 10, f"a {number}"), Earned(BOB, 7, f"b {number}"))
                await chain.confirm()
            over.set()
            await asyncio.gather(*tasks)
            accounts = [*users, await town.wallet(ALICE), await town.wallet(BOB)]
            assert total(town, accounts) == 25 * 17
            for user in users:
                for address in (ALICE, BOB):
                    await unlink(many[0], user, address, None)
            for address in (ALICE, BOB):
                assert isinstance(await link(many[0], users[0], address), Linked)
            assert total(town, users) == 25 * 17

    asyncio.run(main())


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_wallet_that_is_new_while_its_address_is_linked_everywhere_is_linked(
    database_url: str, _round: int
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, linkings(database_url) as many:
            addresses = [bytes([number]) * 20 for number in range(1, 9)]
            users = [await town.user(str(number)) for number in range(len(addresses))]
            async with FollowedChain.lead(database_url) as chain:
                links = [
                    asyncio.create_task(link(linking, user, address, None))
                    for linking, user, address in zip(many, users, addresses, strict=True)
                ]
                for number in range(3):
                    events = (Earned(address, 5, f"{number} {address!r}") for address in addresses)
                    await chain.grow(*events)
                    await chain.confirm()
                await asyncio.gather(*links)
            assert [town.has(user) for user in users] == [(15, 0)] * len(users)

    asyncio.run(main())


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
            wanted = [(rng.choice(members), rng.randint(1, 4), str(n)) for n in range(240)]

            async def charge(shop: Spending, member: AccountRef, units: int, key: str) -> object:
                return await shop.charge(
                    app_id=1, account=member, key=key, operation="unit", units=units
                )

            outcomes = await asyncio.gather(
                *(charge(shops[n % CONNECTIONS], *asked) for n, asked in enumerate(wanted))
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
        async with Town.open(database_url) as town, linkings(database_url) as many:
            works, mill = await town.organisation(), await town.organisation("mill")
            anna = await town.member(works)
            async with Sharing.open(database_url) as other:
                links = [
                    link(linking, anna, address, None if number % 2 else CHAIN_ID)
                    for number, (linking, address) in enumerate(zip(many, addresses, strict=True))
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


def test_unlinks_and_links_at_once_leave_one_answer(database_url: str) -> None:
    earn(database_url, ALICE, 10)

    async def main() -> None:
        async with Town.open(database_url) as town, linkings(database_url) as many:
            user = await town.user()
            outcomes = await asyncio.gather(
                *((link if n % 2 else unlink)(linking, user) for n, linking in enumerate(many))
            )
            assert {type(outcome) for outcome in outcomes} == {Linked, Unlinked}
            assert sum(o.moved for o in outcomes if isinstance(o, Linked)) == 10

    asyncio.run(main())


async def somebody_waits(database_url: str, sessions: int) -> None:
    """Return once so many sessions wait for a lock. Nothing tells of it but looking."""
    async with asyncio.timeout(20):
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
            while True:
                cursor = await looking.execute(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
                if await cursor.fetchone() == (sessions,):
                    return


def test_a_grant_waits_for_a_link_that_is_being_made(database_url: str) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            FollowedChain.lead(database_url) as chain,
            await psycopg.AsyncConnection.connect(database_url) as linking,
        ):
            own, user = await town.wallet(ALICE), await town.user()
            await chain.grow(Earned(ALICE, 10, "a"))
            await linking.execute(
                "select creditd.link_wallet(1, %s, %s, %s, %s)", (CHAIN_ID, ALICE, *user)
            )
            confirming = asyncio.create_task(chain.confirm())
            await somebody_waits(database_url, 1)
            await linking.commit()
            await confirming
            assert (town.has(own), town.has(user)) == ((0, 0), (10, 0))

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
                "select creditd.link_wallet(1, %s, %s, %s, %s)", (CHAIN_ID, ALICE, *anna)
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
