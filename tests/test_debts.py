"""Who owes has nothing to spend: what was spent of an orphaned grant is repaid by all the rest."""

import asyncio

from followed_chain import Earned, FollowedChain
from selling_app import SellingApp

from ledger.audit import audit

WALLET = bytes(range(20))


def test_what_else_an_account_has_repays_its_debt_at_once(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow(Earned(WALLET, 30, "kept"))
            await chain.grow(Earned(WALLET, 100, "orphaned"))
            await chain.confirm()
            account = await app.account_of(WALLET)
            # The older lot goes first: 30 of what stays, 20 of what is orphaned.
            await app.sell(account, 50, "k")
            await chain.reverse(stays)
            balance = await app.has(account)
            assert (balance.available, balance.debt) == (0, 20)
            await chain.grow(Earned(WALLET, 25, "later"), fork="b")
            await chain.confirm()
            balance = await app.has(account)
            assert (balance.available, balance.debt) == (5, 0)
        assert (await audit(database_url)).balanced

    asyncio.run(main())


def test_a_debt_is_repaid_from_lots_that_are_left(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            first = await chain.grow(Earned(WALLET, 30, "kept"))
            await chain.confirm()
            account = await app.account_of(WALLET)
            charge = await app.sell(account, 30, "k")
            await chain.grow(Earned(WALLET, 100, "orphaned"))
            await chain.confirm()
            await app.sell(account, 60, "l")
            await app.give_back(charge, None, "r")
            assert (await app.has(account)).available == 70
            await chain.reverse(first)
            balance = await app.has(account)
            # 60 were spent of what is gone; 30 of that is repaid by what was given back.
            assert (balance.available, balance.debt) == (0, 30)
        assert (await audit(database_url)).balanced

    asyncio.run(main())
