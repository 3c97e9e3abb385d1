"""Charges whose process or database ends under them: the same key, again, takes exactly once."""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest
from api_process import process
from books import Books, books_balance, charges_in_the_books
from conftest import earn
from live_api import CREDIT, LiveApi, enter_prices, waits_for_lock
from scene import until
from selling_app import SellingApp

from ledger.errors import LedgerUnavailable
from ledger.outcomes import Charged, ChargeOutcome
from ledger.spending import Spending

WALLET = b"\x11" * 20
TRIES_MAX = 20


def test_a_charge_that_waits_when_its_process_is_killed_is_made_once_by_its_key(
    database_url: str,
) -> None:
    asyncio.run(enter_prices(database_url))
    earn(database_url, WALLET, 20 * CREDIT)
    with ThreadPoolExecutor(1) as pool:
        with process(database_url) as (running, api), psycopg.connect(database_url) as other:
            account = api.open_wallet(WALLET)
            other.execute("select from creditd.account for update")
            answer = pool.submit(api.charge, account, "report.render", key="k")
            while not waits_for_lock(database_url):
                time.sleep(0.01)
            running.kill()
            with pytest.raises(httpx2.TransportError):
                answer.result()
            other.rollback()  # and the charge may go through, with nobody there to be told
        with process(database_url) as (_, api):
            again = api.charge(account, "report.render", key="k")
            assert again.status_code in {200, 201}
            assert again.json()["cost"] == "7"
            assert api.charge(account, "report.render", key="k").json() == again.json()
    assert charges_in_the_books(database_url) == [(1, 7 * CREDIT)]
    books_balance(database_url)


def charge_until_answered(api: LiveApi, account: str, key: str) -> httpx2.Response | None:
    try:
        return api.charge(account, "chat.completion", 1_000, key=key)
    except httpx2.TransportError:
        return None


def test_charges_of_killed_processes_are_each_made_once_by_their_keys(database_url: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    asyncio.run(enter_prices(database_url))
    earn(database_url, WALLET, 1_000 * CREDIT)
    unanswered = {f"k{number}" for number in range(120)}
    answers: dict[str, object] = {}
    with ThreadPoolExecutor(8) as pool:
        for rounds_left in (2, 1, 0):
            with process(database_url) as (running, api):
                account = api.open_wallet(WALLET)
                keys = sorted(unanswered | set(answers))  # and some that were answered before
                asked = [pool.submit(charge_until_answered, api, account, key) for key in keys]
                if rounds_left:
                    time.sleep(rng.uniform(0, 0.15))
                    running.kill()
                for key, future in zip(keys, asked, strict=True):
                    response = future.result()
                    if response is not None:
                        assert response.status_code in {200, 201}, f"seed {seed}"
                        assert answers.setdefault(key, response.json()) == response.json()
                        unanswered.discard(key)
    assert not unanswered
    assert charges_in_the_books(database_url) == [(1, 2 * CREDIT)] * 120, f"seed {seed}"
    books_balance(database_url)


def test_charges_cut_off_by_the_database_are_each_made_once_by_their_keys(
    database_url: str,
) -> None:
    earn(database_url, WALLET, 10_000)
    rng = random.Random(3)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(WALLET)
            cut = 0

            async def insist(key: str) -> ChargeOutcome:
                nonlocal cut
                for _ in range(TRIES_MAX):
                    try:
                        return await app.spending.charge(
                            app_id=app.app_id, account=account, key=key, operation="unit", units=1
                        )
                    except LedgerUnavailable:
                        cut += 1
                        await asyncio.sleep(0.01)
                raise AssertionError("the database is never there")

            async def cut_off() -> None:
                with Books.open(database_url) as books:
                    for _ in range(15):
                        await asyncio.sleep(rng.uniform(0, 0.03))
                        books.rows(
                            "select pg_terminate_backend(pid) from pg_stat_activity"
                            " where datname = current_database() and pid <> pg_backend_pid()"
                            " and query like '%%charge_batch%%'"
                        )

            cutting = asyncio.create_task(cut_off())
            outcomes: list[ChargeOutcome] = []
            number = 0
            while not cutting.done():
                outcomes += await asyncio.gather(
                    *(insist(f"{number}-{each}") for each in range(20))
                )
                number += 1
            await cutting
            assert cut > 0
            assert all(isinstance(outcome, Charged) for outcome in outcomes)
            assert (await app.has(account)).available == 10_000 - len(outcomes)

    asyncio.run(main())
    assert {count for count, _ in charges_in_the_books(database_url)} == {1}
    books_balance(database_url)


def test_charges_that_wait_when_the_books_are_closed_are_told(database_url: str) -> None:
    earn(database_url, WALLET, 100)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(WALLET)

            def charge(key: str) -> asyncio.Task[ChargeOutcome]:
                return asyncio.create_task(
                    spending.charge(
                        app_id=app.app_id, account=account, key=key, operation="unit", units=1
                    )
                )

            with psycopg.connect(database_url) as other:
                other.execute("select from creditd.account for update")
                async with Spending.open(database_url) as spending:
                    on_its_way = charge("one")
                    await until("the lock", lambda: waits_for_lock(database_url), 10)
                    queued = charge("two")
                    await asyncio.sleep(0)
                async with asyncio.timeout(5):
                    for each in (on_its_way, queued):
                        with pytest.raises(LedgerUnavailable):
                            await each
            outcomes = [
                await app.spending.charge(
                    app_id=app.app_id, account=account, key=key, operation="unit", units=1
                )
                for key in ("one", "two")
            ]
            assert all(isinstance(outcome, Charged) for outcome in outcomes)
            assert (await app.has(account)).available == 98

    asyncio.run(main())


def test_a_charge_just_sent_when_the_books_are_closed_is_told(database_url: str) -> None:
    earn(database_url, WALLET, 100)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(WALLET)
            async with Spending.open(database_url) as spending:
                just_sent = asyncio.create_task(
                    spending.charge(
                        app_id=app.app_id, account=account, key="k", operation="unit", units=1
                    )
                )
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                with pytest.raises(LedgerUnavailable):
                    await just_sent
            with pytest.raises(LedgerUnavailable):
                await spending.charge(
                    app_id=app.app_id, account=account, key="k", operation="unit", units=1
                )

    asyncio.run(main())
