"""An export of the books can be checked by others, with what it says and nothing else."""

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from bookkeeper import Bookkeeper
from command_line import SHUT, creditd, write_config
from forged_exports import Row, chained, rows_of, sealed

from ledger import connecting
from ledger.errors import LedgerUnavailable, UnknownAccount
from ledger.export import Exported, export
from ledger.ids import AccountRef, format_account
from ledger.verify_export import Books, Wrong, verify

# What no sum and no chain speaks of: only the digest at the end covers it.
OF_THE_DIGEST = {
    "header": {"made_at"},
    "lot": {
        *("source", "rule", "cause", "incarnation", "reason", "priority", "effective_at"),
        *("expires_at", "operations", "origin_root", "origin_account", "origin_lot"),
    },
    "head": {"kind", "status"},
}


def exported(database_url: str, account: AccountRef | None = None) -> list[bytes]:
    out = io.BytesIO()
    asyncio.run(export(database_url, out, account=account))
    return out.getvalue().splitlines(keepends=True)


@contextmanager
def busy_books(database_url: str) -> Iterator[tuple[Bookkeeper, AccountRef, AccountRef]]:
    """Two accounts between which something of nearly every kind has happened."""
    with Bookkeeper.at_work(database_url) as books:
        alice, bob = books.open("alice"), books.open("bob")
        orphan = books.grant(alice, 100)
        books.grant(alice, 50, lives=60)
        books.wait(1)
        first = books.charge(alice, 120)
        assert first is not None
        books.refund(alice, first, 15)
        books.grant(alice, 9, lives=50)
        books.wait(100)
        books.expire_idle()
        books.reverse(alice, orphan)
        books.grant(alice, 40)
        lot = books.grant(alice, 500)
        books.charge_in_passing(alice, 7)
        books.one("select public.moved(%s, %s, %s, 60)", alice.root_id, bob.root_id, lot)
        books.one("select public.reserved(%s, 30, 20)", bob.root_id)
        books.charge_in_passing(alice, 3)
        books.open("carol")
        yield books, alice, bob


@pytest.fixture
def rows(database_url: str) -> list[Row]:
    with busy_books(database_url):
        return rows_of(exported(database_url))


def refused(lines: Sequence[bytes], earlier: Books | None = None) -> Wrong:
    with pytest.raises(Wrong) as caught:
        verify(lines, earlier)
    return caught.value


def test_sound_books_are_found_right(database_url: str) -> None:
    with busy_books(database_url) as (books, alice, bob):
        lines = exported(database_url)
        found = verify(lines)
        counted = books.connection.execute(
            "select (select count(*) from creditd.account), (select count(*) from creditd.entry),"
            " (select count(*) from creditd.lot)"
        ).fetchone()
        assert (found.accounts, found.entries, found.lots) == counted
        heads = books.connection.execute(
            "select root_id, account_id, seq, encode(head_hash, 'hex') from creditd.account"
        ).fetchall()
        assert found.heads == {
            format_account(AccountRef(root, account)): (seq, head)
            for root, account, seq, head in heads
        }
        for account in (alice, bob):
            assert list(verify(exported(database_url, account)).heads) == [format_account(account)]


def test_every_kind_of_entry_of_the_books_is_in_these(rows: list[Row]) -> None:
    kinds = {row["kind"] for row in rows if row["row"] == "entry"}
    assert kinds >= {*range(1, 11), 13, 14}


def test_empty_books_are_right(database_url: str) -> None:
    assert verify(exported(database_url)) == Books(scope="books")


def test_an_account_that_is_not_there_is_not_exported(database_url: str) -> None:
    with pytest.raises(UnknownAccount, match="acct_"):
        exported(database_url, AccountRef(1, 1))


def other(value: object) -> object:
    """Another value of the same kind."""
    match value:
        case bool():
            raise AssertionError("no field is one")
        case int():
            return value + 1
        case str():
            return ("b" if value[:1] == "a" else "a") + value[1:]
        case list():
            return [*value, 99]
    raise AssertionError(f"{value!r} is of no kind that is known")


def corruptions(rows: Sequence[Row]) -> Iterator[tuple[int, str, list[Row]]]:
    """The rows with one field changed, or left out: for each field of each sort of row, one."""
    done = set()
    for number, row in enumerate(rows):
        sort = (row["row"], row.get("kind") if row["row"] == "entry" else "rule" in row)
        if sort in done or row["row"] == "end":
            continue
        done.add(sort)
        for name in row:
            for change in ("other", "gone"):
                changed = [*rows[:number], dict(row), *rows[number + 1 :]]
                if change == "gone":
                    del changed[number][name]
                else:
                    changed[number][name] = other(row[name])
                yield number, name, changed


def test_every_field_that_is_changed_is_noticed(rows: list[Row]) -> None:
    seen = 0
    for number, name, changed in corruptions(rows):
        of = rows[number]
        refused([json.dumps(row).encode() + b"\n" for row in changed])  # the digest is as it was
        if name in OF_THE_DIGEST.get(of["row"], ()):
            continue
        wrong = refused(sealed(changed))
        seen += 1
        if of["row"] == "entry" and wrong.account:
            assert wrong.account == account_of(rows, number)
            assert wrong.seq == of["seq"]
    assert seen > 300


def account_of(rows: Sequence[Row], number: int) -> str:
    return str(next(row["name"] for row in rows[number::-1] if row["row"] == "account"))


def entry(rows: Sequence[Row], kind: int, place: int = 0) -> Row:
    return [row for row in rows if row["row"] == "entry" and row["kind"] == kind][place]


def raise_amount(rows: list[Row]) -> Row:
    row = entry(rows, 1)
    row["amount"] += 1
    return row


def raise_amount_and_balance(rows: list[Row]) -> Row:
    row = entry(rows, 2)
    row["amount"] -= 1
    row["available_after"] += 1
    return entry(rows, 2, 1)  # the second leg leaves what the first one made


def say_another_total(rows: list[Row]) -> Row:
    row = entry(rows, 2)
    row["total"] += 1
    return entry(rows, 2, 1)  # with its last leg the charge is found wrong


def give_back_more(rows: list[Row]) -> Row:
    charge, refund = entry(rows, 2), entry(rows, 3)
    assert refund["refers_to"] == charge["seq"]
    refund["refers_to"] = charge["seq"] + 1  # its second leg, which is no charge
    return refund


def take_of_another_lot(rows: list[Row]) -> Row:
    row = entry(rows, 4)
    row["lot"] = 2
    return row


def come_earlier(rows: list[Row]) -> Row:
    row = entry(rows, 3)
    row["at"] = entry(rows, 1)["at"]
    return row


def key_a_later_leg(rows: list[Row]) -> Row:
    row = entry(rows, 2, 1)
    row["key"] = row["request"] = "ab" * 16
    return row


def owe_less(rows: list[Row]) -> Row:
    row = entry(rows, 5)
    row["amount"] -= 1
    return row


def settle_more(rows: list[Row]) -> Row:
    row = entry(rows, 9)
    row["refers_to"] = 1
    return row


def take_more_than_is_settled(rows: list[Row]) -> Row:
    row = entry(rows, 9)
    row["total"] = row["amount"] + 1
    return entry(rows, 10)  # the last of its movement


def give_back_what_says_no_total(rows: list[Row]) -> Row:
    del entry(rows, 2)["total"]
    return entry(rows, 3)


@pytest.mark.parametrize(
    "change",
    [
        *(take_more_than_is_settled, give_back_what_says_no_total),
        *(raise_amount, raise_amount_and_balance, say_another_total, give_back_more),
        *(take_of_another_lot, come_earlier, key_a_later_leg, owe_less, settle_more),
    ],
)
def test_a_careful_forgery_is_noticed_where_it_was_made(
    rows: list[Row], change: Callable[[list[Row]], Row]
) -> None:
    assert verify(chained(rows)).entries > 0
    where = change(rows)
    number = next(number for number, row in enumerate(rows) if row is where)
    wrong = refused(chained(rows))
    assert (wrong.account, wrong.seq) == (account_of(rows, number), where["seq"])
    assert "hash" not in wrong.what


def test_credits_from_nowhere_are_noticed(rows: list[Row]) -> None:
    """A move that came in without having left: each account is right by itself."""
    leaves = entry(rows, 13)
    leaves["peer_root"] = leaves["peer_account"] = 5
    wrong = refused(chained(rows))
    assert "moved" in wrong.what


@pytest.mark.parametrize("row", ["header", "account", "entry", "lot", "head", "end"])
def test_a_line_that_is_missing_or_doubled_is_noticed(rows: list[Row], row: str) -> None:
    for number in [number for number, each in enumerate(rows) if each["row"] == row]:
        kept = [*rows[:number], *rows[number + 1 :]]
        lines = [json.dumps(each).encode() + b"\n" for each in kept]
        refused(lines if row == "end" else sealed(kept, counted=True))
        refused(sealed([*rows[: number + 1], *rows[number:]], counted=row != "end"))


def test_lines_in_another_order_are_noticed(rows: list[Row]) -> None:
    for number in range(1, len(rows) - 2):
        swapped = [*rows]
        swapped[number : number + 2] = rows[number + 1], rows[number]
        refused(sealed(swapped))


def test_an_export_cut_off_anywhere_is_noticed(database_url: str) -> None:
    with busy_books(database_url):
        lines = exported(database_url)
    for length in range(len(lines)):
        refused(lines[:length])


def test_what_is_no_export_is_said_to_be_none() -> None:
    for text in (b"", b"\x00", b"[]", b"{}", b'{"row":[]}', b'{"row":"entry"}', b"1" * 5000):
        refused([text])


def test_another_history_than_an_earlier_export_told_is_noticed(database_url: str) -> None:
    with busy_books(database_url) as (books, alice, _):
        earlier = verify(exported(database_url))
        books.wait(1)
        books.charge(alice, 1)
        lines = exported(database_url)
        assert verify(lines, earlier).entries == earlier.entries + 1
    rows = rows_of(lines)
    entry(rows, 1)["units"] = 5
    assert "another history" in refused(chained(rows), earlier).what
    rows = rows_of(lines)
    begins = [number for number, row in enumerate(rows) if row["row"] == "account"]
    for begin, end in pairwise([*begins, len(rows) - 1]):
        without = [*rows[:begin], *rows[end:]]
        assert refused(chained(without), earlier).account


def test_an_export_is_of_one_moment_whatever_is_charged_meanwhile(database_url: str) -> None:
    with busy_books(database_url) as (books, _, bob):
        books.connection.execute("set synchronous_commit = off")
        for _ in range(50):
            books.grant(bob, 100)
        stop = threading.Event()

        def charge_on() -> None:
            with psycopg.connect(database_url, autocommit=True) as connection:
                while not stop.is_set():
                    connection.execute("select public.given(%s, %s, 5, 'infinity')", bob)

        charging = threading.Thread(target=charge_on)
        charging.start()
        try:
            sizes = {verify(exported(database_url)).entries for _ in range(5)}
        finally:
            stop.set()
            charging.join()
    assert len(sizes) > 1


def test_progress_is_told_of(database_url: str) -> None:
    told: list[tuple[int, int]] = []

    async def main() -> Exported:
        return await export(
            database_url, io.BytesIO(), progress=lambda done, of: told.append((done, of))
        )

    with busy_books(database_url):
        result = asyncio.run(main())
    assert told[-1] == (result.entries, result.entries)


def test_the_command_writes_a_file_that_the_printed_verifier_checks(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})
    file, program = tmp_path / "books.jsonl", tmp_path / "verify.py"
    with busy_books(database_url) as (_, alice, _bob):
        said = creditd("export", "--config", config, "--out", file, database_url=database_url)
        assert (said.code, said.out) == (0, "")
        name = format_account(alice)
        alone = creditd("export", "--config", config, "--account", name, database_url=database_url)
    assert not file.with_name("books.jsonl.part").exists()
    assert list(verify(alone.out.encode().splitlines(keepends=True)).heads) == [name]
    program.write_text(creditd("export", "--verifier").out, encoding="utf-8")

    def checked() -> "subprocess.CompletedProcess[str]":
        # -I: nothing of ours can be imported.
        command = [sys.executable, "-I", str(program), str(file), "--earlier", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    right = checked()
    assert (right.returncode, right.stderr) == (0, "")
    assert "all is right: 3 accounts" in right.stdout
    rows = rows_of(file.read_bytes().splitlines())
    where = raise_amount(rows)
    number = next(number for number, row in enumerate(rows) if row is where)
    file.write_bytes(b"".join(chained(rows)))
    wrong = checked()
    assert wrong.returncode == 1
    assert f"{account_of(rows, number)} entry {where['seq']}: " in wrong.stderr
    file.unlink()
    assert checked().returncode == 2


class Pausing(io.BytesIO):
    """A pipe whose other end takes nothing until the database has ended the session."""

    def __init__(self, database_url: str) -> None:
        super().__init__()
        self.books = psycopg.connect(database_url, autocommit=True)

    def write(self, line: bytes) -> int:  # type: ignore[override]  # no other is written
        look = "select pg_sleep(0.01) from pg_stat_activity where state = 'idle in transaction'"
        for _ in range(1_000):  # ten seconds, where the server ends a session after one
            if not self.books.execute(f"{look} and datname = current_database()").rowcount:
                break
        return super().write(line)


def test_an_export_that_nobody_takes_is_ended_with_the_reason(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "IDLE_IN_TRANSACTION_SECONDS", 1)
    with busy_books(database_url):
        out = Pausing(database_url)
        with out.books, pytest.raises(LedgerUnavailable, match="paused within a transaction"):
            asyncio.run(export(database_url, out))
        assert b'"row":"end"' not in out.getvalue()
