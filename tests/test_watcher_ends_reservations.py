"""The watcher gives back what reservations hold past their time, and nobody asks for."""

import asyncio
from datetime import timedelta

from scene import ALICE, DEPTH, scene
from selling_app import SellingApp

from ledger.outcomes import Reserved
from ledger.reserving import Reserving


def test_whoever_leads_the_chain_ends_what_is_due(database_url: str) -> None:
    async def main() -> None:
        async with (
            scene(database_url) as here,
            SellingApp.open(database_url) as app,
            Reserving.open(database_url) as reserving,
        ):
            follower = await here.follow()
            here.chain.mine(here.stake(ALICE, 5))
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            account = await app.account_of(ALICE)
            for key, lasts in (("due", timedelta(microseconds=1)), ("later", timedelta(days=1))):
                outcome = await reserving.reserve(
                    app_id=app.app_id,
                    account=account,
                    key=key,
                    operation="unit",
                    units=1_000_000,
                    expires_in=lasts,
                )
                assert isinstance(outcome, Reserved)
            other = await here.stand_by()
            await other.expire_reservations(10)
            held = "select held from creditd.account where held > 0"
            assert here.books.rows(held) == [(2_000_000,)]
            await follower.expire_reservations(10)
            assert here.books.rows(held) == [(1_000_000,)]

    asyncio.run(main())
