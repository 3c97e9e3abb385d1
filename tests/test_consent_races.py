"""A withdrawal that is decided first holds for whatever waited for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest
from crowd import somebody_waits
from town import ALICE, Town

from ledger.ids import AccountRef
from ledger.outcomes import Charged, NoSuchAccount
from ledger.reserving import Reserving
from ledger.spending import ChargeAsked

WAIT_SECONDS = 10


@asynccontextmanager
async def withdrawing(town: Town, account: AccountRef) -> AsyncIterator[None]:
    """Withdraw the wallet's only consent; what begins within waits for that to be committed."""
    async with await psycopg.AsyncConnection.connect(town.database_url) as owner:
        cursor = await owner.execute(
            "select creditd.withdraw_consent(%s, %s, 1, 'ada')", [*account]
        )
        assert await cursor.fetchone() == ("withdrawn",)
        yield
        await somebody_waits(town.database_url, 1)
        await owner.commit()


@pytest.mark.parametrize("items", [1, 2])
def test_charges_that_waited_for_a_withdrawal_are_not_made(database_url: str, items: int) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            account = await town.wallet(ALICE)
            town.grant(account, 10)
            assert isinstance(await town.charge(account, 1, "before"), Charged)
            async with withdrawing(town, account):
                waiting = town.spending.charge_together(
                    [ChargeAsked(account, f"key {n}", "unit", 1) for n in range(items)],
                    app_id=town.app_id,
                )
            outcomes = await asyncio.wait_for(asyncio.gather(*waiting), WAIT_SECONDS)
            assert outcomes == [NoSuchAccount()] * items
            assert town.rows("select available, spent from creditd.account") == [(9, 1)]

    asyncio.run(main())


def test_a_reservation_that_waited_for_a_withdrawal_is_not_made(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            account = await town.wallet(ALICE)
            town.grant(account, 10)
            async with withdrawing(town, account):
                waiting = asyncio.ensure_future(
                    reserving.reserve(
                        app_id=town.app_id,
                        account=account,
                        key="key",
                        operation="unit",
                        units=1,
                        expires_in=timedelta(minutes=1),
                    )
                )
            assert await asyncio.wait_for(waiting, WAIT_SECONDS) == NoSuchAccount()
            assert town.rows("select available, held from creditd.account") == [(10, 0)]

    asyncio.run(main())
