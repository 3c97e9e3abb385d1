"""The database and an API process killed under load: what was acknowledged is there, once."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from api_process import process
from books import books_balance, charges_in_the_books
from conftest import earn
from crashing_postgres import CrashingPostgres
from live_api import CREDIT, LiveApi, enter_prices
from raw_calls import Answer, ask, charge, in_bulk, insist

from ledger.migrate import migrate

WALLET = bytes.fromhex("11" * 20)


class Acknowledged:
    """What was answered to each key. Whoever was answered twice was told the same."""

    def __init__(self, api: LiveApi, account: str) -> None:
        self.api = api
        self.account = account
        self.charges: dict[str, object] = {}
        self._wanted = 0
        self._enough = asyncio.Event()

    async def until_killed(self, name: str, kill: Callable[[], None]) -> None:
        """Let clients charge, alone and in bulk, and kill under them; then they leave."""
        self._wanted = len(self.charges) + 50
        self._enough = asyncio.Event()  # of this loop
        clients = [asyncio.create_task(self._charge(f"{name}-{number}")) for number in range(6)]
        async with asyncio.timeout(60):
            await self._enough.wait()
        await asyncio.to_thread(kill)
        for client in clients:
            client.cancel()
        ended = await asyncio.gather(*clients, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def _charge(self, name: str) -> None:
        for number in itertools.count():
            keys = [f"{name}-{number}-{each}" for each in range(5)]
            answer = await ask(self.api, in_bulk(self.api, self.account, keys))
            items: Any = [] if answer is None else answer[1].get("charges", [])
            for key, item in zip(keys, items, strict=False):
                if "charge" in item:
                    self._note(key, item["charge"])
            answer = await ask(self.api, charge(self.api, self.account, keys[0]))
            if answer is not None and answer[0] == 201:
                self._note(keys[0], answer[1])

    def _note(self, key: str, made: object) -> None:
        assert self.charges.setdefault(key, made) == made
        if len(self.charges) >= self._wanted:
            self._enough.set()


def test_what_was_acknowledged_before_database_and_process_were_killed_is_there_once() -> None:
    with CrashingPostgres.run() as server:
        migrate(server.url)
        asyncio.run(enter_prices(server.url))
        earn(server.url, WALLET, 1_000 * CREDIT)
        with process(server.url) as (running, api):
            acknowledged = Acknowledged(api, api.open_wallet(WALLET))
            asyncio.run(acknowledged.until_killed("first", server.kill))
            server.start()
            asyncio.run(insist(api, charge(api, acknowledged.account, "between")))
            asyncio.run(acknowledged.until_killed("second", running.kill))
        charges = acknowledged.charges
        assert len(charges_in_the_books(server.url)) >= len(charges) + 1
        with process(server.url) as (_, api):
            account = acknowledged.account

            async def ask_again() -> list[Answer]:
                requests = [charge(api, account, key) for key in charges]
                return await asyncio.gather(*[insist(api, each) for each in requests])

            assert asyncio.run(ask_again()) == [(201, made) for made in charges.values()]
        assert set(charges_in_the_books(server.url)) == {(1, CREDIT // 5)}
        books_balance(server.url)
