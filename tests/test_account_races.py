"""Links while others charge and earn: nothing is lost, doubled or left behind."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from conftest import CHAIN_ID, earn
from crowd import (
    ROUNDS,
    link,
    nobody_waiting_in_a_circle,
    operators,
    somebody_waits,
    spendings,
    total,
    unlink,
)
from followed_chain import Earned, FollowedChain
from town import ALICE, BOB, Town

from ledger.operator_acts import OperatorActs
from ledger.outcomes import (
    Charged,
    Insufficient,
    Linked,
    LinkedElsewhere,
    Unlinked,
)
from ledger.spending import Spending


@pytest.fixture(autouse=True)
def nobody_waits_in_a_circle(database_url: str) -> Iterator[None]:
    with nobody_waiting_in_a_circle(database_url):
        yield


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_two_links_of_one_wallet_at_once_one_is_made(database_url: str, _round: int) -> None:
    for _ in range(3):
        earn(database_url, ALICE, 10)

    async def main() -> None:
        async with Town.open(database_url) as town, operators(database_url) as many:
            users = [await town.user("a"), await town.user("b")]
            outcomes = await asyncio.gather(
                *(
                    link(acts, users[number % 2], chain_id=CHAIN_ID if number % 3 else None)
                    for number, acts in enumerate(many)
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
            operators(database_url) as many,
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
            linked = await asyncio.gather(*(link(acts, user) for acts in many))
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
            operators(database_url) as many,
            FollowedChain.lead(database_url) as chain,
        ):
            users = [await town.user("a"), await town.user("b")]
            over = asyncio.Event()

            async def wander(number: int, acts: OperatorActs) -> None:
                address, user = (ALICE, BOB)[number % 2], users[number // 2 % 2]
                every = None if number < 4 else CHAIN_ID
                while not over.is_set():
                    await link(acts, user, address, every)
                    await unlink(acts, user, address, every)

            tasks = [asyncio.create_task(wander(n, acts)) for n, acts in enumerate(many[:6])]
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
        async with Town.open(database_url) as town, operators(database_url) as many:
            addresses = [bytes([number]) * 20 for number in range(1, 9)]
            users = [await town.user(str(number)) for number in range(len(addresses))]
            async with FollowedChain.lead(database_url) as chain:
                links = [
                    asyncio.create_task(link(acts, user, address, None))
                    for acts, user, address in zip(many, users, addresses, strict=True)
                ]
                for number in range(3):
                    events = (Earned(address, 5, f"{number} {address!r}") for address in addresses)
                    await chain.grow(*events)
                    await chain.confirm()
                await asyncio.gather(*links)
            assert [town.has(user) for user in users] == [(15, 0)] * len(users)

    asyncio.run(main())


def test_unlinks_and_links_at_once_leave_one_answer(database_url: str) -> None:
    earn(database_url, ALICE, 10)

    async def main() -> None:
        async with Town.open(database_url) as town, operators(database_url) as many:
            user = await town.user()
            outcomes = await asyncio.gather(
                *((link if n % 2 else unlink)(acts, user) for n, acts in enumerate(many))
            )
            assert {type(outcome) for outcome in outcomes} == {Linked, Unlinked}
            assert sum(o.moved for o in outcomes if isinstance(o, Linked)) == 10

    asyncio.run(main())


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
                "select creditd.join_wallet(%s, %s, %s, %s)", (CHAIN_ID, ALICE, *user)
            )
            confirming = asyncio.create_task(chain.confirm())
            await somebody_waits(database_url, 1)
            await linking.commit()
            await confirming
            assert (town.has(own), town.has(user)) == ((0, 0), (10, 0))

    asyncio.run(main())


@pytest.mark.parametrize("own_is_first", [True, False])
def test_a_link_takes_its_accounts_in_their_order(database_url: str, *, own_is_first: bool) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            await psycopg.AsyncConnection.connect(database_url) as charging,
        ):
            for number in range(100):  # their numbers are random: half of the pairs will do
                address = bytes([number]) * 20
                own, user = await town.wallet(address), await town.user(str(number))
                if (own < user) is own_is_first:
                    break
            lock = "select from creditd.account where account_id = %s for no key update"
            await charging.execute(lock, (min(own, user).account_id,))
            linking = asyncio.create_task(town.linked(address, user))
            await somebody_waits(database_url, 1)
            await charging.execute(lock, (max(own, user).account_id,))
            await charging.commit()
            assert (await linking).wallets == 1

    asyncio.run(main())
