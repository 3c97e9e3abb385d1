"""What becomes of what was spent of a grant whose block the chain left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from books import Books
from followed_chain import Earned, FollowedChain, source
from selling_app import SellingApp

from ledger.audit import audit, render
from ledger.granting import Granting
from ledger.ids import AccountRef
from ledger.outcomes import Charged, Frozen, Reserved, Settled
from ledger.reserving import Reserving
from ledger.watching import SeenBlock

WALLET = bytes(range(20))
OTHER = bytes(range(1, 21))


@dataclass
class Place:
    url: str
    app: SellingApp
    chain: FollowedChain

    async def charge(self, account: AccountRef, units: int, key: str) -> object:
        return await self.app.spending.charge(
            app_id=self.app.app_id, account=account, key=key, operation="unit", units=units
        )

    async def state(self, account: AccountRef) -> tuple[int, int, str]:
        """What it has and owes, and its status."""
        balance = await self.app.has(account)
        with Books.open(self.url) as books:
            ((status,),) = books.rows(
                "select status from creditd.account where root_id = %s and account_id = %s",
                *account,
            )
        return balance.available, balance.debt, status

    async def comes_back(self, *events: Earned) -> None:
        await self.chain.grow(*events, fork="b")
        await self.chain.confirm()

    def kinds(self, account: AccountRef) -> list[tuple[str, int]]:
        with Books.open(self.url) as books:
            return [
                (kind, amount)
                for kind, amount in books.rows(
                    "select k.name, e.amount from creditd.entry e join creditd.entry_kind k"
                    " using (kind) where root_id = %s and account_id = %s order by seq",
                    *account,
                )
            ]


@asynccontextmanager
async def place(database_url: str, policy: str) -> AsyncIterator[Place]:
    """A chain whose source reverses by a policy, and an app; at the end the books must balance."""
    rule = replace(source(), on_reversal=policy)
    async with (
        FollowedChain.lead(database_url, rule=rule) as chain,
        SellingApp.open(database_url) as app,
    ):
        yield Place(database_url, app, chain)
    report = await audit(database_url)
    assert report.balanced, render(report)


async def orphaned(here: Place, earned: int, spent: int) -> tuple[SeenBlock, AccountRef]:
    """Earn and spend in a block that the chain may leave; return the block that stays."""
    stays = await here.chain.grow()
    await here.chain.grow(Earned(WALLET, earned, "orphaned"))
    await here.chain.confirm()
    account = await here.app.account_of(WALLET)
    await here.app.sell(account, spent, "spent")
    return stays, account


def test_what_was_spent_is_owed(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "debt") as here:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            assert await here.state(account) == (0, 60, "open")
            assert here.kinds(account)[-2:] == [("reversal", 40), ("debt", 60)]

    asyncio.run(main())


def test_what_was_spent_is_borne_by_the_operator(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "absorb") as here:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            assert await here.state(account) == (0, 0, "open")
            assert here.kinds(account)[-2:] == [("reversal", 40), ("absorption", 60)]
            await here.comes_back(Earned(WALLET, 30, "another"))
            assert await here.state(account) == (30, 0, "open")

    asyncio.run(main())


def test_who_is_frozen_for_a_debt_spends_nothing_until_it_is_paid(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "freeze") as here, Granting.open(database_url) as granting:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            assert await here.state(account) == (0, 60, "indebted")
            assert await here.charge(account, 1, "early") == Frozen()
            for amount, expected in ((50, (0, 10, "indebted")), (30, (20, 0, "open"))):
                await granting.grant(
                    account=account, source="adjustment", amount=amount, key=f"a {amount}"
                )
                assert await here.state(account) == expected
            assert isinstance(await here.charge(account, 20, "late"), Charged)

    asyncio.run(main())


def test_nobody_is_frozen_who_can_pay_at_once(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "freeze") as here, Granting.open(database_url) as granting:
            stays, account = await orphaned(here, 100, 60)
            await granting.grant(account=account, source="purchased", amount=70, key="bought")
            await here.chain.reverse(stays)
            assert await here.state(account) == (10, 0, "open")

    asyncio.run(main())


def test_what_was_borne_is_recovered_when_the_block_comes_back(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "absorb") as here:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            await here.comes_back(Earned(WALLET, 100, "orphaned"))
            assert await here.state(account) == (40, 0, "open")
            assert here.kinds(account)[-2:] == [("grant", 100), ("recovery", 60)]
            # And again, with more of it spent meanwhile.
            await here.app.sell(account, 10, "more")
            for borne in (70, 70):
                await here.chain.reverse(stays)
                assert here.kinds(account)[-1] == ("absorption", borne)
                await here.comes_back(Earned(WALLET, 100, "orphaned"))
                assert await here.state(account) == (30, 0, "open")

    asyncio.run(main())


def test_what_comes_back_smaller_leaves_the_rest_to_be_recovered_later(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "absorb") as here:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            await here.comes_back(Earned(WALLET, 25, "orphaned"))
            assert await here.state(account) == (0, 0, "open")
            await here.chain.reverse(stays)
            await here.comes_back(Earned(WALLET, 100, "orphaned"))
            assert await here.state(account) == (40, 0, "open")

    asyncio.run(main())


def test_a_debt_is_paid_by_the_block_that_comes_back(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "freeze") as here:
            stays, account = await orphaned(here, 100, 60)
            await here.chain.reverse(stays)
            await here.comes_back(Earned(WALLET, 100, "orphaned"))
            assert await here.state(account) == (40, 0, "open")

    asyncio.run(main())


def test_what_moved_by_a_link_is_taken_back_where_it_is(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "debt") as here:
            stays, own = await orphaned(here, 100, 30)
            opened = await here.app.spending.open_account(app_id=here.app.app_id, name="user")
            user = opened.account
            await here.app.link(WALLET, user)
            await here.app.sell(user, 50, "there")
            await here.chain.reverse(stays)
            # What the wallet's own account spent is owed where the wallet is linked to.
            assert (await here.state(own))[:2] == (0, 0)
            assert (await here.state(user))[:2] == (0, 80)
            await here.comes_back(Earned(WALLET, 100, "orphaned"))
            assert (await here.state(user))[:2] == (20, 0)

    asyncio.run(main())


def test_what_moved_by_a_link_is_borne_where_it_is(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "absorb") as here:
            stays, own = await orphaned(here, 100, 30)
            opened = await here.app.spending.open_account(app_id=here.app.app_id, name="user")
            user = opened.account
            await here.app.link(WALLET, user)
            await here.app.sell(user, 50, "there")
            await here.chain.reverse(stays)
            assert (await here.state(own))[:2] == (0, 0)
            assert (await here.state(user))[:2] == (0, 0)
            await here.comes_back(Earned(WALLET, 100, "orphaned"))
            # All 80 are made up for, whoever spent them; the rest goes where the link leads.
            assert (await here.state(user))[:2] == (20, 0)

    asyncio.run(main())


def test_what_is_reserved_stays_and_is_owed_when_it_is_settled(database_url: str) -> None:
    async def main() -> None:
        async with place(database_url, "debt") as here:
            stays, account = await orphaned(here, 100, 10)
            async with Reserving.open(database_url) as reserving:
                reserved = await reserving.reserve(
                    app_id=here.app.app_id,
                    account=account,
                    key="work",
                    operation="unit",
                    units=50,
                    expires_in=timedelta(hours=1),
                )
                assert isinstance(reserved, Reserved)
                await here.chain.reverse(stays)
                assert await here.state(account) == (0, 10, "open")
                settled = await reserving.settle(
                    app_id=here.app.app_id,
                    reservation=reserved.reservation.movement,
                    key="done",
                    amount=20,
                )
                assert isinstance(settled, Settled)
            assert await here.state(account) == (0, 30, "open")
            assert [kind for kind, _ in here.kinds(account)[-4:]] == [
                "settlement",
                "debt",
                "release",
                "reversal",
            ]

    asyncio.run(main())
