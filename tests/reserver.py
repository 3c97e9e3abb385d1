"""A process that reserves and settles: told what on its standard input, it begins when told to.

The first line is `{"app_id", "root_id", "account_id", "holds": [[key, units]], "settle": every}`,
the second says go. One of so many of its reservations is settled for half of it; it reports what it
holds, what it took, and how often it was refused.
"""

import asyncio
import json
import sys
from datetime import timedelta

from ledger.ids import AccountRef
from ledger.outcomes import Insufficient, Reserved, Settled
from ledger.reserving import Reserving


async def main(database_url: str) -> None:
    job = json.loads(sys.stdin.readline())
    app_id, account = job["app_id"], AccountRef(job["root_id"], job["account_id"])
    held = taken = refused = 0

    async def hold(number: int, key: str, units: int) -> None:
        nonlocal held, taken, refused
        outcome = await reserving.reserve(
            app_id=app_id,
            account=account,
            key=key,
            operation="unit",
            units=units,
            expires_in=timedelta(hours=1),
        )
        if isinstance(outcome, Insufficient):
            refused += 1
            return
        if not isinstance(outcome, Reserved):
            raise TypeError(outcome)
        if number % job["settle"]:
            held += units
            return
        ending = await reserving.settle(
            app_id=app_id,
            reservation=outcome.reservation.movement,
            key=f"{key} settled",
            amount=units // 2,
        )
        if not isinstance(ending, Settled):
            raise TypeError(ending)
        taken += units // 2

    async with Reserving.open(database_url) as reserving:
        print("ready", flush=True)  # noqa: T201 - to whoever started it
        sys.stdin.readline()
        await asyncio.gather(
            *(hold(number, key, units) for number, (key, units) in enumerate(job["holds"]))
        )
    print(json.dumps({"held": held, "taken": taken, "refused": refused}))  # noqa: T201 - as above


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
