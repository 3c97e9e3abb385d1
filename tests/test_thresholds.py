"""Whoever falls below the threshold that was set for an account is told of, once each time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from bookkeeper import Bookkeeper
from conftest import earn
from selling_app import SellingApp

from ledger.ids import AccountRef
from ledger.outbox import Outbox

WALLET = b"\xa1" * 20


def enter(database_url: str, topics: Sequence[str]) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            await outbox.enter({"billing": topics})

    asyncio.run(main())


def told(books: psycopg.Connection) -> list[tuple[Any, ...]]:
    return books.execute(
        "select seq, body from creditd.message where topic = 'balance.low' order by seq, place"
    ).fetchall()


def test_whoever_falls_below_a_threshold_is_told_of_once(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(WALLET)
            with psycopg.connect(database_url, autocommit=True) as books:
                set_alert(books, account, 50)
                await app.sell(account, 50, "to the threshold")
                assert told(books) == []
                await app.sell(account, 10, "below it")
                await app.sell(account, 10, "further below")
                ((seq, body),) = told(books)
                assert (seq, body) == (3, {"available": 40, "below": 50})
                books.execute(
                    "select creditd.refund(%s, %s, 2, %s, gen_random_uuid(), gen_random_uuid(),"
                    " null, 'lapse')",
                    (*account, app.app_id),
                )
                await app.sell(account, 30, "to the threshold again")
                assert len(told(books)) == 1
                await app.sell(account, 1, "below it again")
                assert len(told(books)) == 2
                set_alert(books, account, None)
                await app.sell(account, 20, "to nothing")
                assert len(told(books)) == 2

    enter(database_url, ["balance.low"])
    earn(database_url, WALLET, 100)
    asyncio.run(main())


def set_alert(books: psycopg.Connection, account: AccountRef, below: int | None) -> None:
    found = books.execute("select creditd.set_alert(%s, %s, %s)", (*account, below)).fetchone()
    assert found == (True,)


def test_a_threshold_is_above_nothing_and_of_an_account(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as books:
        assert books.execute("select creditd.set_alert(1, 1, 5)").fetchone() == (False,)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="nothing falls below 0"):
            books.execute("select creditd.set_alert(1, 1, 0)")


def test_whatever_takes_an_account_below_its_threshold_is_told_of(database_url: str) -> None:
    enter(database_url, ["balance.low"])
    with Bookkeeper.at_work(database_url) as keeper:
        account, books = keeper.open(), keeper.connection
        keeper.grant(account, 10, lives=5)
        lot = keeper.grant(account, 6)
        set_alert(books, account, 10)
        keeper.wait(10)
        keeper.expire_idle()
        ((seq, body),) = told(books)
        assert (seq, body) == (3, {"available": 6, "below": 10})
        keeper.grant(account, 1, lives=5)
        keeper.wait(10)
        keeper.expire_idle()
        assert len(told(books)) == 1
        keeper.grant(account, 4)
        keeper.charge(account, 1)
        keeper.grant(account, 1)
        keeper.reverse(account, lot)
        assert [body["available"] for _, body in told(books)] == [6, 9, 4]


def test_without_a_threshold_nobody_is_told_however_low_it_falls(database_url: str) -> None:
    enter(database_url, ["balance.low"])
    with Bookkeeper.at_work(database_url) as keeper:
        account = keeper.open()
        keeper.grant(account, 10)
        keeper.charge(account, 10)
        assert told(keeper.connection) == []
