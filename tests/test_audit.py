"""The audit sees nothing in healthy books, and every corruption in corrupt ones."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from busy_book import BusyBook, fill
from busy_cast import Customer
from conftest import fresh_database, name_of
from corruptions import IN_THE_ENTRIES, IN_THE_LOTS_AND_EVENTS, Corruption
from corruptions_of_reservations import IN_THE_RESERVATIONS
from corruptions_of_stakes import IN_THE_STAKES
from corruptions_of_the_database import IN_THE_DATABASE
from corruptions_of_waits import IN_WHAT_WAITS

from ledger import connecting, copying, findings, replay, replay_workers
from ledger.audit import as_json, audit, audit_here, checks, render
from ledger.errors import LedgerError, SchemaMismatch, UnknownAccount
from ledger.findings import BREACHES_LISTED_MAX, AuditReport, CheckResult
from ledger.ids import AccountRef, format_account
from ledger.looking import View
from ledger.release import laid_functions, laid_grants
from ledger.spending import Spending

CORRUPTIONS = (
    IN_THE_ENTRIES
    + IN_THE_LOTS_AND_EVENTS
    + IN_THE_RESERVATIONS
    + IN_THE_STAKES
    + IN_WHAT_WAITS
    + IN_THE_DATABASE
)


@pytest.fixture(scope="module")
def busy(server_url: str, template: str) -> Iterator[tuple[str, BusyBook]]:
    """The URL of books in which everything has happened: nothing changes them."""
    with fresh_database(server_url, template) as url:
        yield url, asyncio.run(fill(url))


@pytest.fixture
def book(busy: tuple[str, BusyBook]) -> BusyBook:
    return busy[1]


@pytest.fixture
def books_url(server_url: str, busy: tuple[str, BusyBook]) -> Iterator[str]:
    """Busy books of one's own."""
    with fresh_database(server_url, name_of(busy[0])) as url:
        yield url


def corrupt(books_url: str, book: BusyBook, statements: str) -> None:
    with psycopg.connect(books_url) as connection:
        connection.execute("set search_path = creditd")
        connection.execute("set session_replication_role = replica")
        connection.execute(planted(statements, book))


async def audited_with(books_url: str, book: BusyBook, statements: str) -> AuditReport:
    """Audit as a reader would, in a transaction that plants a corruption and is undone."""
    async with await psycopg.AsyncConnection.connect(books_url) as connection:
        await connection.execute("set local search_path = creditd")
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(planted(statements, book))
        await connection.execute("set local role creditd_reader")
        report = await audit_here(connection, None)
        await connection.rollback()
    return report


def planted(statements: str, book: BusyBook) -> bytes:
    return statements.replace(":alice", str(book.alice.account_id)).encode()


def broken(report: AuditReport) -> set[str]:
    return {check.name for check in report.checks if check.breaches_total > 0}


def all_names() -> set[str]:
    return {name for name, _, _ in replay.CHECKS} | {check.name for check in checks()}


def test_busy_books_balance_and_no_check_looks_at_nothing(books_url: str) -> None:
    report = asyncio.run(audit(books_url))
    assert broken(report) == set(), render(report)
    assert report.balanced
    assert {check.name for check in report.checks} == all_names()
    assert [check.name for check in report.checks if check.examined == 0] == []
    with psycopg.connect(books_url) as connection:
        kinds = connection.execute("select count(distinct kind) from creditd.entry").fetchone()
    assert kinds == (18,), "the busy book has entries of every kind"


def test_empty_books_balance(database_url: str) -> None:
    assert asyncio.run(audit(database_url)).balanced


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda planted: planted.sentence)
def test_the_audit_sees_that(corruption: Corruption, busy: tuple[str, BusyBook]) -> None:
    url, book = busy
    report = asyncio.run(audited_with(url, book, corruption.statements))
    assert broken(report) == corruption.found_by, render(report)
    assert not report.balanced


def test_every_check_has_been_seen_to_fail() -> None:
    seen: set[str] = set().union(*(corruption.found_by for corruption in CORRUPTIONS))
    assert seen == all_names()


def test_every_check_says_which_promise_it_keeps_and_what_its_rows_mean() -> None:
    for check in checks():
        assert check.promise[:2] in {f"{number}." for number in range(1, 9)}, check.name
        assert check.row_means.endswith("."), check.name


def test_one_account_is_audited_alone(books_url: str, book: BusyBook) -> None:
    corrupt(
        books_url, book, "update account set head_left = head_left - 1 where account_id = :alice"
    )
    alices = asyncio.run(audit(books_url, account=book.alice))
    bobs = asyncio.run(audit(books_url, account=book.bob))
    assert broken(alices) == {"lots_add_up", "sums_agree"}
    assert bobs.balanced, render(bobs)
    assert (bobs.accounts, bobs.entries) == (1, 6)
    of_one = {check.name for check in checks() if check.scope == "account"}
    assert {check.name for check in bobs.checks} == of_one | {name for name, *_ in replay.CHECKS}


@pytest.mark.parametrize("whose", ["alice", "bob", "carol"])
def test_each_account_of_a_busy_book_balances_alone(
    whose: str, books_url: str, book: BusyBook
) -> None:
    report = asyncio.run(audit(books_url, account=getattr(book, whose)))
    assert report.balanced, render(report)


def test_an_audit_in_several_processes_finds_the_same(
    books_url: str, book: BusyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(
        books_url,
        book,
        "update entry set request_hash = gen_random_uuid() where account_id = :alice and seq > 20"
        " and request_hash is not null",
    )
    alone = asyncio.run(audit(books_url))
    monkeypatch.setattr(replay_workers, "ENTRIES_PER_WORKER_MIN", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    together = asyncio.run(audit(books_url))
    assert broken(alone) == broken(together) == {"entries_are_chained"}
    for one, other in zip(alone.checks, together.checks, strict=True):
        assert (one.name, one.examined, one.breaches_total) == (
            *(other.name, other.examined, other.breaches_total),
        )
        assert sorted(map(str, one.breaches)) == sorted(map(str, other.breaches))


def test_a_process_that_ends_early_is_no_pass(
    books_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_workers, "ENTRIES_PER_WORKER_MIN", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(replay_workers, "_replay_range", os._exit)
    with pytest.raises(LedgerError, match="ended early"):
        asyncio.run(audit(books_url))


def test_rows_that_come_one_by_one_are_replayed_like_many_at_once(
    books_url: str, book: BusyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(
        books_url,
        book,
        "update entry set available_after = available_after + 1 where seq = 5;"
        "update entry set at = at - interval '1 day' where seq = 6;"
        "update account set spent = spent + 1, refunded = refunded + 1;"
        "delete from entry where seq = 9;"
        "delete from account where account_id = :alice",
    )
    monkeypatch.setattr(findings, "BREACHES_LISTED_MAX", 1000)
    at_once = asyncio.run(audit(books_url))
    monkeypatch.setattr(copying, "ROWS_AT_ONCE_MAX", 1)
    one_by_one = asyncio.run(audit(books_url))
    replayed = {name for name, *_ in replay.CHECKS}
    assert replayed <= broken(at_once)
    for check, same in zip(at_once.checks, one_by_one.checks, strict=True):
        if check.name in replayed:
            assert (check.examined, check.breaches_total) == (same.examined, same.breaches_total)
            assert sorted(map(str, check.breaches)) == sorted(map(str, same.breaches))


def test_totals_are_compared_beyond_64_bits(books_url: str, book: BusyBook) -> None:
    largest = 2**63 - 1
    corrupt(
        books_url,
        book,
        "update entry set kind = 3, amount = 9223372036854775807 where account_id = :alice"
        " and seq in (2, 3)",
    )
    report = asyncio.run(audit(books_url))
    (balances,) = [each for each in report.checks if each.name == "entries_give_the_balances"]
    (refunded,) = [each for each in balances.breaches if each.facts.get("column") == "refunded"]
    said = refunded.facts["entries_say"]
    assert isinstance(said, int)
    assert said >= 2 * largest


def test_entries_of_roots_that_cannot_be_are_replayed_too(
    books_url: str, book: BusyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_workers, "ENTRIES_PER_WORKER_MIN", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    corrupt(
        books_url,
        book,
        "update entry set root_id = -root_id where account_id = :alice;"
        "update entry set root_id = 9223372036854775807 where account_id <> :alice",
    )
    report = asyncio.run(audit(books_url))
    with psycopg.connect(books_url) as connection:
        counted = connection.execute("select count(*) from creditd.entry").fetchone()
    (chained,) = [each for each in report.checks if each.name == "entries_are_chained"]
    assert (chained.examined,) == counted


def test_workers_may_take_longer_than_a_session_may_be_idle(
    books_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parallel = replay_workers.replay_in_parallel

    async def replay_late(view: View, workers: int) -> tuple[CheckResult, ...]:
        await asyncio.sleep(1.5)
        return await in_parallel(view, workers)

    monkeypatch.setattr(connecting, "IDLE_IN_TRANSACTION_SECONDS", 1)
    monkeypatch.setattr(replay_workers, "replay_in_parallel", replay_late)
    monkeypatch.setattr(replay_workers, "ENTRIES_PER_WORKER_MIN", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert asyncio.run(audit(books_url)).balanced


def test_only_an_audit_brings_numpy() -> None:
    programs = (
        "import api.serve, daemon.command_line.books_commands, daemon.command_line.serving, sys;"
        " sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", programs], check=True)


def test_an_account_that_is_not_there_is_an_error(books_url: str) -> None:
    with pytest.raises(UnknownAccount, match=format_account(AccountRef(7, 7))):
        asyncio.run(audit(books_url, account=AccountRef(7, 7)))


def test_a_database_without_books_is_an_error(empty_database_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="creditd migrate"):
        asyncio.run(audit(empty_database_url))


def test_all_breaches_are_counted_and_the_first_ones_listed(books_url: str, book: BusyBook) -> None:
    corrupt(
        books_url,
        book,
        "insert into wallet select 9, decode(lpad(to_hex(n), 40, '0'), 'hex'), n, n"
        " from generate_series(1, 1000) n",
    )
    report = asyncio.run(audit(books_url))
    (names,) = [check for check in report.checks if check.breaches_total]
    assert names.breaches_total == 1000
    assert len(names.breaches) == BREACHES_LISTED_MAX
    assert "and 995 more" in render(report)


def test_the_text_and_the_json_name_what_an_operator_must_look_at(
    books_url: str, book: BusyBook
) -> None:
    corrupt(books_url, book, "update entry set request_hash = gen_random_uuid() where seq = 28")
    report = asyncio.run(audit(books_url))
    line = f"account={format_account(book.alice)} root_id={book.alice.root_id}"
    assert line in render(report)
    assert "seq=28" in render(report)
    told = json.loads(as_json(report))
    assert not told["balanced"]
    (chained,) = [check for check in told["checks"] if check["name"] == "entries_are_chained"]
    assert chained["breaches"][0]["seq"] == 28
    assert chained["breaches"][0]["hash"].startswith("0x")


def test_an_audit_beside_live_charges_sees_one_moment(books_url: str, book: BusyBook) -> None:
    async def live() -> list[AuditReport]:
        async with Spending.open(books_url) as spending:
            app = Customer(spending, book.app_id, book.bob)
            made = 0

            async def spend() -> None:
                nonlocal made
                while True:
                    await app.is_given_back(await app.pay("draw"))
                    made += 1

            spender = asyncio.create_task(spend())
            reports = []
            for round_no in range(3):
                while made <= 5 * round_no:
                    await asyncio.wait({spender}, timeout=0.01)
                reports.append(await audit(books_url))
            spender.cancel()
            await asyncio.wait({spender})
            assert spender.cancelled(), spender.exception()
            return reports

    reports = asyncio.run(live())
    for report in reports:
        assert report.balanced, render(report)
    assert reports[0].entries < reports[-1].entries


def test_the_release_lays_what_the_database_has(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select proname, nullif(prosrc, ''), prosecdef from pg_proc"
            " where pronamespace = 'creditd'::regnamespace"
        ).fetchall()
    laid = {
        (function.function_name, function.body, function.is_definer)
        for function in laid_functions()
    }
    assert laid == set(rows)
    assert {grant.function_name for grant in laid_grants()} <= {name for name, _, _ in rows}
    assert len({grant.role_name for grant in laid_grants()}) == 4
