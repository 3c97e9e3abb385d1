"""Many clients at once over HTTP, and several API processes whose answers are lost."""

import asyncio
from collections import Counter
from contextlib import ExitStack

from api_process import process
from books import books_balance, charges_in_the_books
from conftest import earn
from live_api import CREDIT, LiveApi, enter_prices
from raw_calls import Answer, charge, in_bulk, insist, send

WALLET = bytes.fromhex("11" * 20)
CLIENTS = 1_000


def test_a_thousand_clients_at_once_never_overspend_an_account(database_url: str) -> None:
    asyncio.run(enter_prices(database_url))
    earn(database_url, WALLET, 60 * CREDIT)
    with process(database_url) as (_, api):
        account = api.open_wallet(WALLET)

        async def main() -> list[Answer]:
            requests = [charge(api, account, f"k{number}") for number in range(CLIENTS)]
            return await asyncio.gather(*[insist(api, each) for each in requests])

        answers = asyncio.run(main())
        assert Counter(status for status, _ in answers) == {201: 300, 402: CLIENTS - 300}
        left = [str(body["available"]) for status, body in answers if status == 201]
        assert len(set(left)) == 300
        assert api.get(f"/v1/accounts/{account}/balance").json()["available"] == "0"
    assert charges_in_the_books(database_url) == [(1, CREDIT // 5)] * 300
    books_balance(database_url)


def test_a_storm_of_retries_over_several_processes_charges_once(database_url: str) -> None:
    asyncio.run(enter_prices(database_url))
    earn(database_url, WALLET, 1_000 * CREDIT)
    keys = [f"k{number}" for number in range(60)]
    with ExitStack() as stack:
        apis = [stack.enter_context(process(database_url))[1] for _ in range(3)]
        account = apis[0].open_wallet(WALLET)

        async def drop(api: LiveApi, request: bytes) -> None:
            _, writer = await send(api, request)
            writer.close()  # nobody reads the answer

        async def main() -> None:
            # Each key goes twice to each process, alone and with others, and all answers are lost.
            dropped = [drop(api, charge(api, account, key)) for api in apis for key in keys * 2]
            dropped += [drop(api, in_bulk(api, account, keys)) for api in apis for _ in range(2)]
            await asyncio.gather(*dropped)
            told = [
                await asyncio.gather(*[insist(api, charge(api, account, key)) for key in keys])
                for api in apis
            ]
            assert {status for answers in told for status, _ in answers} == {201}
            assert told[0] == told[1] == told[2]
            items = (await insist(apis[0], in_bulk(apis[0], account, keys)))[1]["charges"]
            assert items == [{"charge": body, "replayed": True} for _, body in told[0]]

        asyncio.run(main())
    assert charges_in_the_books(database_url) == [(1, CREDIT // 5)] * len(keys)
    books_balance(database_url)
