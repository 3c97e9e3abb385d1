"""A frozen account spends nothing; what comes in goes on."""

import asyncio

from conftest import earn
from town import ALICE, Town

from ledger.ids import AccountRef
from ledger.outcomes import Charged, Frozen, KeyReused, NoSuchAccount, StatusSet


def test_a_frozen_account_is_charged_nothing_until_it_is_open_again(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            town.grant(user, 10)
            first = await town.sell(user, 2, "k")
            assert await town.freeze(user) == StatusSet(changed=True)
            assert await town.freeze(user) == StatusSet(changed=False)
            assert await town.charge(user, 1, "l") == Frozen()
            # A key that is known is answered all the same.
            assert await town.charge(user, 2, "k") == Charged(first.charge, replayed=True)
            assert await town.charge(user, 1, "k") == KeyReused()
            assert await town.unfreeze(user) == StatusSet(changed=True)
            assert await town.unfreeze(user) == StatusSet(changed=False)
            await town.sell(user, 1, "l")

    asyncio.run(main())


def test_a_frozen_account_earns_on(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            own = await town.wallet(ALICE)
            await town.freeze(own)
            await asyncio.to_thread(earn, database_url, ALICE, 5)
            assert town.has(own) == (5, 0)
            assert town.status(own) == "frozen"

    asyncio.run(main())


def test_an_operator_opens_what_a_debt_froze(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            town.grant(user, 10)
            await town.sell(user, 10, "k")
            town.owe(user, 5, status="indebted")
            assert await town.charge(user, 1, "l") == Frozen()
            assert await town.unfreeze(user) == StatusSet(changed=True)
            assert town.status(user) == "open"

    asyncio.run(main())


def test_nobody_freezes_an_account_that_is_not_there(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            nobody = AccountRef(1, 1)
            assert await town.freeze(nobody) == NoSuchAccount()
            assert await town.unfreeze(nobody) == NoSuchAccount()
            assert await town.operating.set_overdraft(nobody, 1) == NoSuchAccount()

    asyncio.run(main())
