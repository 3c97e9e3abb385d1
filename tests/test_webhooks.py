"""Receivers are told over HTTP, signed, in order, until they have it or it is given up."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import psycopg
import pytest
from receiver import KEY, Town, receiving

from daemon.configuration.config import Receiver, SecretUrl
from daemon.jobs import webhooks
from daemon.jobs.webhooks import (
    AGE_MAX,
    FIRST_WAIT_SECONDS,
    RETRY_AFTER_SECONDS_MAX,
    TRIES_MAX,
    WAIT_SECONDS_MAX,
    Trouble,
    delivering,
    outcome_of,
    payload,
    seconds_to_rest,
    signed,
)
from ledger.ids import AccountRef, format_account
from ledger.outbox import Dead, Delivered, Failed, Message

ALICE = AccountRef(1, 1)
BOB = AccountRef(2, 2)
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@contextmanager
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def announce(
    books: psycopg.Connection, account: AccountRef, note: str = "", available: int = 0
) -> None:
    books.execute(
        "select creditd.announce(%s, %s, 'balance.low',"
        " jsonb_build_object('note', %s::text, 'available', %s::bigint))",
        (*account, note, available),
    )


def at(town: Town, name: str = "billing", *keys: bytes) -> Receiver:
    return Receiver(name, SecretUrl(town.url), keys or (KEY,), ("balance.low",))


async def until_entered(books: psycopg.Connection, count: int = 1) -> None:
    for _ in range(500):
        row = books.execute(
            "select count(*) from creditd.receiver where left_at is null"
        ).fetchone()
        if row == (count,):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the receivers are not entered")


async def until_states(books: psycopg.Connection, *states: str) -> list[tuple[Any, ...]]:
    """Wait until the messages, in their order, are in these states. Returns tries and trouble."""
    rows: list[tuple[Any, ...]] = []
    for _ in range(1_000):
        rows = books.execute(
            "select state, tries, said from creditd.message order by root_id, seq, place"
        ).fetchall()
        if [row[0] for row in rows] == list(states):
            return [row[1:] for row in rows]
        await asyncio.sleep(0.01)
    raise AssertionError(f"the messages are {rows}")


def notes(town: Town) -> list[str]:
    return [told.said["data"]["note"] for told in town.told]


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow one another at once; what they would wait is tested by itself."""
    monkeypatch.setattr(webhooks, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "WAIT_GROWS", 1)
    monkeypatch.setattr(webhooks, "PAUSE_SECONDS_MAX", 0.02)


def test_a_receiver_is_told_signed_and_once(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    announce(books, ALICE, "one", available=1_500_000)
                    (told,) = await town.hears(1)
                    assert told.is_signed_with(KEY)
                    assert not told.is_signed_with(KEY[:-1])
                    assert abs(told.timestamp - datetime.now(UTC).timestamp()) < 60
                    assert told.said["type"] == "balance.low"
                    assert told.said["version"] == 1
                    assert told.said["data"] == {
                        "account": format_account(ALICE),
                        "order": {"entry": 0, "place": 1},
                        "note": "one",
                        "available": "1.5",
                    }
                    assert await until_states(books, "delivered") == [(1, None)]
                assert len(town.told) == 1

    asyncio.run(main())


def test_while_a_secret_is_changed_both_are_good(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            new, old = bytes(32), KEY
            with owner(database_url) as books:
                async with delivering([at(town, "billing", new, old)], database_url):
                    await until_entered(books)
                    announce(books, ALICE)
                    (told,) = await town.hears(1)
        assert told.is_signed_with(new)
        assert told.is_signed_with(old)

    asyncio.run(main())


def test_the_signature_is_the_one_that_the_standard_describes() -> None:
    """Worked out with `openssl dgst -sha256 -hmac`, not with this code."""
    headers = signed([b"a" * 24], "msg_1", 1700000000, b'{"a":1}')
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,ms+8vVIYxIhSUPo6SGMW3FXfIvMJIndPthbWwA4Byqk=",
    }


@pytest.mark.usefixtures("brisk")
def test_a_failure_is_tried_again_as_the_same_message_and_later_ones_wait_for_it(
    database_url: str,
) -> None:
    async def main() -> None:
        async with receiving() as town:
            town.answers.extend([500, 503])
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    with books.transaction():
                        announce(books, ALICE, "one")
                        announce(books, ALICE, "two")
                    assert await until_states(books, "delivered", "delivered") == [
                        (3, None),
                        (1, None),
                    ]
            assert notes(town) == ["one", "one", "one", "two"]
            assert len({told.message_id for told in town.told}) == 2
            assert len({told.body for told in town.told}) == 2

    asyncio.run(main())


@pytest.mark.usefixtures("brisk")
def test_what_a_receiver_never_takes_is_dead_and_the_next_is_told(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            town.answers.extend([400] * TRIES_MAX)
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    with books.transaction():
                        announce(books, ALICE, "one")
                        announce(books, ALICE, "two")
                    dead, told = await until_states(books, "dead", "delivered")
            assert dead == (TRIES_MAX, "HTTP status 400")
            assert told == (1, None)
            assert notes(town) == ["one"] * TRIES_MAX + ["two"]

    asyncio.run(main())


def test_one_refused_account_keeps_nobody_else_waiting(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            town.refused.add(format_account(ALICE))
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    announce(books, ALICE, "refused")
                    announce(books, BOB, "taken")
                    announce(books, BOB, "taken too")
                    await until_states(books, "waiting", "delivered", "delivered")
            assert notes(town).count("refused") == 1

    asyncio.run(main())


def test_a_receiver_that_is_down_stops_no_other(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town, receiving() as down:
            nowhere = Town(url="http://127.0.0.1:9/hook")
            down.answer = 503
            with owner(database_url) as books:
                receivers = [at(down, "down"), at(nowhere, "nowhere"), at(town, "up")]
                async with delivering(receivers, database_url):
                    await until_entered(books, 3)
                    for place in range(3):
                        announce(books, ALICE, f"{place}")
                    await town.hears(3)
            assert notes(town) == ["0", "1", "2"]

    asyncio.run(main())


def test_a_receiver_that_is_down_is_asked_by_one_message_at_a_time(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            town.answer = 503
            town.headers["Retry-After"] = "60"
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    with books.transaction():
                        for number in range(20):
                            announce(books, AccountRef(number + 1, number + 1))
                    await town.hears(1)
                    await asyncio.sleep(1.5)
                # As many as were under way when the first answer came, and none in its rest.
                assert len(town.told) <= webhooks.CONNECTIONS_MAX
                row = books.execute(
                    "select count(*), min(next_try_at - now()) > interval '55 s'"
                    " from creditd.message where tries = 1"
                ).fetchone()
                assert row == (len(town.told), True)

    asyncio.run(main())


@pytest.mark.usefixtures("brisk")
def test_a_redirect_is_not_followed(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            town.headers["Location"] = "/elsewhere"
            town.answers.extend([302, 307, 308])
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    announce(books, ALICE)
                    assert await until_states(books, "delivered") == [(4, None)]
            assert town.elsewhere == 0

    asyncio.run(main())


def test_what_was_delivered_before_a_stop_is_not_delivered_again(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    announce(books, ALICE, "one")
                    await town.hears(1)
                await until_states(books, "delivered")
                announce(books, ALICE, "two")
                async with delivering([at(town)], database_url):
                    await town.hears(2)
                    await until_states(books, "delivered", "delivered")
            assert notes(town) == ["one", "two"]

    asyncio.run(main())


def test_two_programs_tell_a_receiver_once(database_url: str) -> None:
    async def main() -> None:
        async with receiving() as town:
            with owner(database_url) as books:
                async with (
                    delivering([at(town)], database_url),
                    delivering([at(town)], database_url),
                ):
                    await until_entered(books)
                    for place in range(10):
                        announce(books, ALICE, f"{place}")
                    await until_states(books, *["delivered"] * 10)
            assert notes(town) == [f"{place}" for place in range(10)]

    asyncio.run(main())


def test_an_outage_of_the_database_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "OUTAGE_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "STAND_BY_SECONDS", 0.01)

    async def main() -> None:
        async with receiving() as town:
            with owner(database_url) as books:
                async with delivering([at(town)], database_url):
                    await until_entered(books)
                    announce(books, ALICE, "one")
                    await until_states(books, "delivered")
                    books.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where datname = current_database() and pid <> pg_backend_pid()"
                    )
                    announce(books, ALICE, "two")
                    await until_states(books, "delivered", "delivered")
            assert notes(town) == ["one", "two"]

    asyncio.run(main())


def message(tries: int = 0, *, age: timedelta = timedelta(), **body: object) -> Message:
    return Message(ALICE, 3, 1, uuid.UUID(int=7), "debt.opened", body, NOW - age, tries)


def test_waits_grow_within_their_bounds() -> None:
    trouble = Trouble("no", is_outage=True)
    for tries in range(TRIES_MAX - 1):
        whole = min(FIRST_WAIT_SECONDS * 4**tries, WAIT_SECONDS_MAX)
        waits = set()
        for _ in range(50):
            outcome = outcome_of(message(tries), trouble, NOW)
            assert isinstance(outcome, Failed)
            waits.add(outcome.wait_seconds)
        assert whole / 2 <= min(waits) < max(waits) <= whole
    assert outcome_of(message(TRIES_MAX - 1), trouble, NOW) == Dead("no")
    assert outcome_of(message(0, age=AGE_MAX + timedelta(seconds=1)), trouble, NOW) == Dead("no")
    assert outcome_of(message(TRIES_MAX - 1), None, NOW) == Delivered()


def test_a_receiver_s_wish_for_a_longer_rest_is_kept() -> None:
    outcome = outcome_of(message(), Trouble("no", True, retry_after_seconds=600), NOW)
    assert outcome == Failed("no", 600)


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (lambda: None, 0, 0),
        (lambda: "120", 120, 120),
        (in_a_minute, 55, 60),
        (lambda: "9" * 400, RETRY_AFTER_SECONDS_MAX, RETRY_AFTER_SECONDS_MAX),
        (lambda: "Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        (lambda: "soon", 0, 0),
        (lambda: "-5", 0, 0),
        (lambda: "Fri, 31 Dec 9999 23:59:59 -1200", 0, 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(
    header: Callable[[], str | None], least: float, most: float
) -> None:
    assert least <= seconds_to_rest(header()) <= most


def test_amounts_are_decimal_strings_and_accounts_have_their_public_names() -> None:
    said = payload(
        message(amount=10, debt=1_000_000, level=80, member=5, reason="it was", frozen=True)
    )
    member = format_account(AccountRef(1, 5))
    assert said.decode() == (
        '{"type":"debt.opened","timestamp":"2030-01-01T12:00:00Z","version":1,"data":{"account":"'
        f'{format_account(ALICE)}","order":{{"entry":3,"place":1}},"amount":"0.00001","debt":"1",'
        f'"level":80,"member":"{member}","reason":"it was","frozen":true}}}}'
    )


def test_no_secret_is_in_what_is_said_of_a_receiver() -> None:
    receiver = Receiver("billing", SecretUrl("https://hook.example/k3y"), (KEY,), ("balance.low",))
    assert repr(KEY) not in repr(receiver)
    assert "k3y" not in repr(receiver)
