"""What is to be told is written with what happened, and told in order, to each who asked for it."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from bookkeeper import Bookkeeper
from scene import until

from ledger.ids import AccountRef
from ledger.outbox import (
    ACCOUNTS_MAX,
    EACH_MAX,
    Dead,
    Delivered,
    Failed,
    Message,
    Outbox,
    receiver_rows,
    retry_dead,
)

ALL = ("grant.confirmed", "balance.low")


def announce(
    books: psycopg.Connection, account: AccountRef, topic: str = "balance.low", note: str = ""
) -> None:
    books.execute(
        "select creditd.announce(%s, %s, %s, jsonb_build_object('note', %s::text))",
        (*account, topic, note),
    )


@contextmanager
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def messages(books: psycopg.Connection) -> list[tuple[Any, ...]]:
    return books.execute(
        "select r.name, m.topic, m.seq, m.place, m.body from creditd.message m"
        " join creditd.receiver r using (receiver_id)"
        " order by m.root_id, m.account_id, m.seq, m.place, r.name"
    ).fetchall()


def enter(database_url: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
    async def main() -> dict[str, int]:
        async with Outbox.open(database_url) as outbox:
            return await outbox.enter(wanted)

    return asyncio.run(main())


def notes(lines: Sequence[Sequence[Message]]) -> list[list[str]]:
    return sorted([message.body["note"] for message in line] for line in lines)


ALICE = AccountRef(1, 1)
BOB = AccountRef(2, 2)


def pass_seconds(books: psycopg.Connection, seconds: int) -> None:
    """Let the time pass that a message still has to wait for its next try."""
    books.execute(
        "update creditd.message set next_try_at = next_try_at - make_interval(secs => %s)"
        " where state = 'waiting'",
        (seconds,),
    )


def test_where_nobody_asked_nothing_is_written(database_url: str) -> None:
    enter(database_url, {"billing": ["grant.confirmed"]})
    with owner(database_url) as books:
        announce(books, ALICE, "balance.low")
        assert messages(books) == []
        announce(books, ALICE, "grant.confirmed", "told")
        assert [message[-1] for message in messages(books)] == [{"note": "told"}]


def test_each_who_asked_is_told_the_same_message(database_url: str) -> None:
    enter(database_url, {"billing": ALL, "mailer": ["balance.low"], "other": ["debt.opened"]})
    with owner(database_url) as books:
        announce(books, ALICE)
        assert [message[0] for message in messages(books)] == ["billing", "mailer"]
        ids = books.execute("select distinct message_id from creditd.message").fetchall()
        assert len(ids) == 1


def test_what_is_undone_is_not_told(database_url: str) -> None:
    enter(database_url, {"billing": ALL})
    with owner(database_url) as books:
        with books.transaction(force_rollback=True):
            announce(books, ALICE)
            assert len(messages(books)) == 1
        assert messages(books) == []


def test_whom_the_configuration_leaves_out_is_told_no_more(database_url: str) -> None:
    numbers = enter(database_url, {"billing": ALL, "mailer": ALL})
    assert enter(database_url, {"mailer": ["balance.low"]}) == {"mailer": numbers["mailer"]}
    with owner(database_url) as books:
        announce(books, ALICE)
        announce(books, ALICE, "grant.confirmed")
        assert [message[:2] for message in messages(books)] == [("mailer", "balance.low")]
    assert enter(database_url, {"billing": ALL}) == {"billing": numbers["billing"]}


def test_messages_are_placed_after_the_entry_they_tell_of(database_url: str) -> None:
    enter(database_url, {"billing": ALL})
    with Bookkeeper.at_work(database_url) as keeper:
        account, books = keeper.open(), keeper.connection
        keeper.grant(account, 10)
        announce(books, account, note="first")
        books.execute(
            "select creditd.announce_many(%s::bigint[], %s::bigint[], %s::text[], %s::jsonb[])",
            (
                [account.root_id] * 3,
                [account.account_id] * 3,
                ["grant.confirmed", "debt.repaid", "balance.low"],
                ['{"note": "second"}', '{"note": "unheard"}', '{"note": "third"}'],
            ),
        )
        keeper.charge(account, 1)
        announce(books, account, note="fourth")
        assert [(seq, place, body["note"]) for _, _, seq, place, body in messages(books)] == [
            (1, 1, "first"),
            (1, 2, "second"),
            (1, 3, "third"),
            (2, 1, "fourth"),
        ]


def test_what_commits_late_is_delivered_all_the_same(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as late, owner(database_url) as early:
                late.execute("begin")
                announce(late, ALICE, note="written first")
                announce(early, BOB, note="committed first")
                seen = await outbox.due(number)
                assert notes(seen) == [["committed first"]]
                await outbox.end(number, [(seen[0][0], Delivered())])
                late.execute("commit")
                assert notes(await outbox.due(number)) == [["written first"]]

    asyncio.run(main())


def test_a_failure_keeps_the_later_ones_of_its_account_waiting_and_no_others(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as books:
                for note in ("one", "two"):
                    announce(books, ALICE, note=note)
                    announce(books, BOB, note=note)
                lines = await outbox.due(number)
                assert notes(lines) == [["one", "two"], ["one", "two"]]
                await outbox.end(
                    number,
                    [
                        (line[0], Failed("no", 60) if line[0].account == ALICE else Delivered())
                        for line in lines
                    ],
                )
                announce(books, ALICE, note="three")
                assert notes(await outbox.due(number)) == [["two"]]
                pass_seconds(books, 60)
                lines = await outbox.due(number)
                assert notes(lines) == [["one", "two", "three"], ["two"]]
                assert [line[0].tries for line in lines if line[0].account == ALICE] == [1]

    asyncio.run(main())


def test_a_line_of_messages_is_taken_in_parts(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as books:
                for place in range(EACH_MAX + 1):
                    announce(books, ALICE, note=f"{place:02d}")
            (line,) = await outbox.due(number)
            assert [message.place for message in line] == list(range(1, EACH_MAX + 1))
            await outbox.end(number, [(message, Delivered()) for message in line])
            assert notes(await outbox.due(number)) == [[f"{EACH_MAX:02d}"]]

    asyncio.run(main())


def test_nobody_waits_behind_the_flood_of_one_account(database_url: str) -> None:
    others = [AccountRef(root, root) for root in (3, 2**40, 2**61)]

    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as books:
                for place in range(ACCOUNTS_MAX * EACH_MAX + 1):
                    announce(books, BOB, note=f"{place:03d}")
                for other in others:
                    announce(books, other, note="late")
                announce(books, AccountRef(5, 5), note="tried")
                books.execute(
                    "update creditd.message set next_try_at = next_try_at + interval '1 hour'"
                    " where root_id = 5"
                )
                for _ in range(5):  # they join wherever the look at them begins
                    first, *rest = await outbox.due(number)
                    assert [message.place for message in first] == list(range(1, EACH_MAX + 1))
                    assert sorted(line[0].account for line in rest) == others

    asyncio.run(main())


def test_receivers_get_on_each_by_itself(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            numbers = await outbox.enter({"billing": ALL, "mailer": ALL})
            with owner(database_url) as books:
                announce(books, ALICE, note="one")
            (line,) = await outbox.due(numbers["billing"])
            await outbox.end(numbers["billing"], [(line[0], Dead("gone"))])
            assert await outbox.due(numbers["billing"]) == []
            assert notes(await outbox.due(numbers["mailer"])) == [["one"]]

    asyncio.run(main())


def test_one_session_delivers_to_a_receiver_until_it_ends(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as second:
            async with Outbox.open(database_url) as first:
                number = (await first.enter({"billing": ALL}))["billing"]
                assert await first.lead(number)
                assert not await second.lead(number)
                assert await first.lead(number)
            await led(second, number)

    asyncio.run(main())


async def led(outbox: Outbox, number: int) -> None:
    """Return when the session leads: the other one's end takes a moment."""
    for _ in range(500):
        if await outbox.lead(number):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody leads")


def has_asked_how_long(books: psycopg.Connection) -> bool:
    """Say whether a session has asked when the next message is due, and does no more now."""
    rows = books.execute(
        "select from pg_stat_activity where datname = current_database() and state = 'idle'"
        " and query like 'select creditd.next_message_in%'"
    ).fetchall()
    return rows != []


def test_who_waits_is_woken_by_what_it_is_to_be_told_and_by_nothing_else(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ["balance.low"]}))["billing"]
            assert await outbox.lead(number)
            with owner(database_url) as books:
                waiting = asyncio.create_task(outbox.wait(number))
                await until("the session waits", lambda: has_asked_how_long(books), 5)
                announce(books, ALICE, "grant.confirmed")
                await asyncio.sleep(0.2)
                assert not waiting.done()
                started = time.monotonic()
                announce(books, ALICE, "balance.low")
                await asyncio.wait_for(waiting, 5)
                assert time.monotonic() - started < 2

    asyncio.run(main())


def test_who_waits_looks_again_when_a_try_is_due(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            assert await outbox.lead(number)
            with owner(database_url) as books:
                announce(books, ALICE)
            (line,) = await outbox.due(number)
            await outbox.end(number, [(line[0], Failed("no", 0.3))])
            async with asyncio.timeout(5):
                while not await outbox.due(number):
                    await outbox.wait(number)

    asyncio.run(main())


def test_the_dead_are_shown_and_can_be_tried_again(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as books:
                announce(books, ALICE, note="one")
                announce(books, ALICE, note="two")
            (line,) = await outbox.due(number)
            await outbox.end(number, [(line[0], Dead("HTTP status 400"))])
            (row,) = await receiver_rows(database_url)
            assert (row.name, row.left, row.waiting, row.dead) == ("billing", False, 1, 1)
            assert row.said == "HTTP status 400"
            assert await retry_dead(database_url, "billing") == 1
            assert notes(await outbox.due(number)) == [["one", "two"]]

    asyncio.run(main())


def test_what_ended_long_ago_is_removed_and_what_nobody_took_is_dead(database_url: str) -> None:
    async def main() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ALL}))["billing"]
            with owner(database_url) as books:
                for note in ("delivered", "dead", "waiting"):
                    announce(books, ALICE, note=note)
                (line,) = await outbox.due(number)
                await outbox.end(number, [(line[0], Delivered()), (line[1], Dead("no"))])
                assert await outbox.tidy() == 0
                later(books, "8 days")
                assert await outbox.tidy() == 2
                assert states(books) == [("dead", "dead"), ("waiting", "dead")]
                later(books, "91 days")
                assert await outbox.tidy() == 2
                assert states(books) == []

    asyncio.run(main())


def later(books: psycopg.Connection, passed: str) -> None:
    books.execute(
        "update creditd.message set at = at - %s::interval, ended_at = ended_at - %s::interval,"
        " next_try_at = next_try_at - %s::interval",
        (passed, passed, passed),
    )


def states(books: psycopg.Connection) -> list[tuple[Any, ...]]:
    return books.execute(
        "select body ->> 'note', state from creditd.message order by place"
    ).fetchall()


def test_a_full_table_is_not_scanned_for_what_is_due(database_url: str) -> None:
    number = enter(database_url, {"billing": ALL})["billing"]
    with owner(database_url) as books:
        asked = "select count(*) from creditd.due_messages(%s, 32, 8)"
        announce(books, ALICE)
        books.execute("analyze creditd.message")
        for _ in range(7):  # a plan is kept from the sixth call on
            books.execute(asked, (number,))
        books.execute(
            "insert into creditd.message (root_id, account_id, seq, place, receiver_id, message_id,"
            " topic, body, at, next_try_at, state, ended_at)"
            " select n, n, 1, 1, %s, gen_random_uuid(), 'balance.low', '{}', now(), now(),"
            " 'delivered', now() from generate_series(1, 50000) n",
            (number,),
        )
        read = rows_read(books)
        for _ in range(20):
            assert books.execute(asked, (number,)).fetchone() == (1,)
        assert rows_read(books) - read < 1_000


def rows_read(books: psycopg.Connection) -> int:
    books.execute("select pg_stat_force_next_flush()")
    row = books.execute(
        "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables"
        " where relid = 'creditd.message'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])
