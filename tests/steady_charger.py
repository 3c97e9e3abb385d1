"""A process that charges and refunds until its input ends, whatever befalls the database.

It is told `{"app_id", "name", "accounts": [[root, account]], "at_once"}` in one line, and writes
what it was answered line by line. A key that got no answer is asked again until it has one.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.ids import AccountRef
from ledger.outcomes import Charged, Refunded
from ledger.spending import Spending

AGAIN_AFTER_SECONDS = 0.02
REFUNDED = 0.1  # of the charges
ASKED_AGAIN = 0.05

Answer = TypeVar("Answer")


class Charger:
    def __init__(self, spending: Spending, job: dict[str, Any]) -> None:
        self.spending = spending
        self.app_id: int = job["app_id"]
        self.name: str = job["name"]
        self.accounts = [AccountRef(*account) for account in job["accounts"]]
        self.at_once: int = job["at_once"]
        self.is_over = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.at_once):
                group.create_task(self._work(f"{self.name}-{number}"))

    async def _work(self, name: str) -> None:
        rng = Random(name)
        asked: list[tuple[int, str, int]] = []
        while not self.is_over:
            key = f"{name}-{len(asked)}"
            asked.append((rng.randrange(len(self.accounts)), key, rng.randint(1, 30)))
            await self._charge(*asked[-1], refund=rng.random() < REFUNDED)
            if rng.random() < ASKED_AGAIN:
                await self._charge(*rng.choice(asked))

    async def _charge(self, account: int, key: str, units: int, *, refund: bool = False) -> None:
        outcome = await self._insist(
            lambda: self.spending.charge(
                app_id=self.app_id,
                account=self.accounts[account],
                key=key,
                operation="unit",
                units=units,
            )
        )
        assert isinstance(outcome, Charged), outcome
        charge = outcome.charge
        self._write(
            account, key, charge.movement.seq, charge.cost, charge.available, str(charge.at)
        )
        if refund:
            back = await self._insist(
                lambda: self.spending.refund(
                    app_id=self.app_id, charge=charge.movement, key=f"{key} back", amount=None
                )
            )
            assert isinstance(back, Refunded), back
            given = back.refund
            self._write(
                account,
                f"{key} back",
                given.movement.seq,
                given.amount,
                given.available,
                str(given.at),
            )

    async def _insist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        while True:
            try:
                return await ask()
            except (LedgerUnavailable, LedgerBusy):
                await asyncio.sleep(AGAIN_AFTER_SECONDS)

    def _write(self, *answer: object) -> None:
        print(json.dumps(answer), flush=True)  # noqa: T201 - to whoever started it


async def main(database_url: str) -> None:
    job = json.loads(sys.stdin.readline())
    async with Spending.open(database_url) as spending:
        charger = Charger(spending, job)
        running = asyncio.create_task(charger.run())
        await asyncio.to_thread(sys.stdin.read)  # until it ends
        charger.is_over = True
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
