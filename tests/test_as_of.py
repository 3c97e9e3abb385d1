"""What an account had at an earlier time."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from bookkeeper import START, Bookkeeper

from ledger.ids import AccountRef
from ledger.reading import PastBalance, Reading

ENTRIES_READ_MAX = 40


def past(database_url: str, account: AccountRef, *times: datetime) -> list[PastBalance | None]:
    async def main() -> list[PastBalance | None]:
        async with Reading.open(database_url) as reading:
            return [await reading.balance_as_of(account, time) for time in times]

    return asyncio.run(main())


def figures(balance: PastBalance | None) -> tuple[int, int, int]:
    assert balance is not None
    return balance.available, balance.held, balance.debt


@pytest.mark.parametrize("seed", range(4))
def test_every_moment_is_told_as_it_was_then(database_url: str, seed: int) -> None:
    chance = random.Random(seed)
    told: list[tuple[datetime, tuple[int, int, int]]] = []
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        lots: list[int] = []
        charges: list[int] = []
        for _ in range(150):
            match chance.choice(
                ("grant", "grant", "charge", "charge", "refund", "idle", "reverse")
            ):
                case "grant":
                    lives = chance.choice((None, 5.0, 20.0, 60.0, 200.0))
                    lots.append(books.grant(account, chance.randint(1, 100), lives=lives))
                case "charge":
                    charge = books.charge(account, chance.randint(1, 80))
                    charges += [] if charge is None else [charge]
                case "refund" if charges:
                    books.refund(account, chance.choice(charges), chance.choice((None, 1)))
                case "idle":
                    books.expire_idle()
                case "reverse" if lots and chance.random() < 0.6:
                    books.reverse(account, chance.choice(lots))
                case _:
                    pass
            for _ in range(chance.randint(0, 3)):
                books.wait(chance.choice((0.5, 3.0, 10.0, 20.0)))
                told.append((books.now, books.truth(account)))
            books.wait(0.5)
    balances = past(database_url, account, *(time for time, _ in told))
    assert [figures(balance) for balance in balances] == [truth for _, truth in told]
    assert len({truth for _, truth in told}) > 50


def test_what_had_expired_is_not_there_before_its_expiry_is_posted(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.grant(account, 10, lives=100)
        books.grant(account, 3)
        at_end = START + timedelta(seconds=100)
        just_before = at_end - timedelta(microseconds=1)
        books.wait(500)
        assert [figures(each)[0] for each in past(database_url, account, just_before, at_end)] == [
            13,
            3,
        ]
        books.expire_idle()
        books.charge(account, 1)
        assert [figures(each)[0] for each in past(database_url, account, just_before, at_end)] == [
            13,
            3,
        ]


def test_of_a_lot_that_was_charged_in_passing_only_the_rest_expires(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.grant(account, 10, lives=100)
        books.grant(account, 3)
        books.wait(50)
        books.charge_in_passing(account, 4)
        books.wait(500)
        times = (START + timedelta(seconds=99), books.now)
        assert [figures(each)[0] for each in past(database_url, account, *times)] == [9, 3]


def test_an_entry_counts_from_its_own_moment(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.grant(account, 10)
        books.wait(50)
        books.charge(account, 4)
        moment = books.one("select at from creditd.entry where seq = 2")
        just_before = moment - timedelta(microseconds=1)
        balances = past(database_url, account, just_before, moment)
        assert [(each.available, each.version) for each in balances if each] == [(10, 1), (6, 2)]


def test_before_its_first_entry_an_account_had_nothing(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.wait(10)
        books.grant(account, 10)
        (balance,) = past(database_url, account, START)
    assert balance == PastBalance(account, START, 0, 0, 0, 0)


def test_a_moment_to_come_has_what_will_be_left_then(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.grant(account, 10, lives=100)
        books.grant(account, 3)
        books.charge(account, 4)
        books.wait(1)
        later = START + timedelta(days=1)
        assert [figures(each)[0] for each in past(database_url, account, books.now, later)] == [
            9,
            3,
        ]


def test_nobody_s_account_had_no_balance(database_url: str) -> None:
    assert past(database_url, AccountRef(1, 1), START) == [None]


def test_of_a_long_history_only_a_few_entries_are_read(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        account = books.open()
        books.connection.execute("set synchronous_commit = off")
        for number in range(400):
            books.wait(1)
            books.grant(account, 1, lives=None if number % 7 else 3600)
        seen = entries_read(books)
        balances = past(database_url, account, START + timedelta(seconds=100.5))
        assert figures(balances[0]) == (100, 0, 0)
        assert entries_read(books) - seen <= ENTRIES_READ_MAX


def entries_read(books: Bookkeeper) -> int:
    books.connection.execute("select pg_stat_force_next_flush()")
    row: Any = books.one(
        "select coalesce(idx_tup_fetch, 0) + seq_tup_read from pg_stat_user_tables"
        " where relid = 'creditd.entry'::regclass"
    )
    return int(row)
