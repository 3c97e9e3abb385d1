"""Charges of a batch that fails are sent alone, and then too another try helps where it can."""

import asyncio
from uuid import UUID

import psycopg
from crowd import somebody_waits
from town import Town

from ledger.outcomes import Charged
from ledger.requests import charge_digest, key_digest
from ledger.spending import ChargeAsked

WAIT_SECONDS = 10
CHARGE = (
    "select * from creditd.charge_batch(%s::bigint, array[%s::bigint], array[%s::bigint],"
    " array[%s::integer], array[%s::uuid], array[%s::uuid], '{unit}', array[''], '{1}', '{2}',"
    " '{0}', '{0}')"
)


def test_one_that_is_sent_alone_replays_what_another_process_charges_meanwhile(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            account = await town.user()
            town.grant(account, 10)
            named = (
                UUID(bytes=key_digest(town.app_id, account, "key")),
                UUID(bytes=charge_digest("unit", None, 2, None)),
            )
            async with await psycopg.AsyncConnection.connect(database_url) as other:
                await other.execute(CHARGE, (account.root_id, *account, town.app_id, *named))
                # No name of an operation has a null in it: with it the whole batch is refused.
                failing, waiting = town.spending.charge_together(
                    [
                        ChargeAsked(account, "bad", "un\0it", 1),
                        ChargeAsked(account, "key", "unit", 2),
                    ],
                    app_id=town.app_id,
                )
                await somebody_waits(database_url, 1)
                await other.commit()
            outcome = await asyncio.wait_for(waiting, WAIT_SECONDS)
            assert isinstance(outcome, Charged)
            assert outcome.replayed
            assert isinstance(failing.exception(), psycopg.DataError)
            assert town.has(account) == (8, 0)

    asyncio.run(main())
