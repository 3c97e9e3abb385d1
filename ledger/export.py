"""The books as a file: everything that somebody else needs to check them without us.

JSON lines, described in docs/export.md. All of it is of one moment, and streams: memory does not
grow with the books. `ledger/verify_export.py` checks such a file with Python's standard library.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ledger.connecting import translating
from ledger.errors import UnknownAccount
from ledger.ids import AccountRef, format_account
from ledger.looking import looking, narrowed
from ledger.session import RELEASE, require_same_release

FORMAT: Final = "creditd-export"
FORMAT_VERSION: Final = 1
# Enough to make a round trip cheap, few enough to hold three times.
ROWS_PER_FETCH: Final = 2_000

Progress = Callable[[int, int], None]

# What an entry's hash is taken over, after the hash before it.
HASHED: Final = (
    *("root", "account", "seq", "kind", "amount", "available_after", "held_after", "debt_after"),
    *("lot", "movement", "total", "refers_to", "peer_root", "peer_account", "member", "app"),
    *("operation", "units", "price_version", "at", "key", "request", "api_key if any"),
)

_HERE: Final = Path(__file__).parent
# The lines of an account in their order, and the statement that gives each.
_LINES: Final = (("entry", "entries"), ("lot", "lots"), ("head", "heads"))
_COUNT: Final = sql.SQL("select count(*), coalesce(sum(seq), 0)::bigint from account")
# Narrowed to one account, these names mean the rows of that account and nothing else.
_TABLES_OF_AN_ACCOUNT: Final = ("account", "entry", "lot")


@dataclass(frozen=True, slots=True)
class Exported:
    """How much was written. `digest` is that of all lines before the last, which states it."""

    accounts: int
    entries: int
    lots: int
    digest: str


class _Lines:
    """The lines of an export, written, counted and digested."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._digest = sha256()
        self.counts = {"account": 0, "entry": 0, "lot": 0, "head": 0}

    def write(self, row: str, said: dict[str, Any]) -> None:
        text = msgspec.json.encode({"row": row, **said}) + b"\n"
        self._out.write(text)
        self._digest.update(text)
        if row in self.counts:
            self.counts[row] += 1

    def end(self) -> Exported:
        exported = Exported(
            accounts=self.counts["account"],
            entries=self.counts["entry"],
            lots=self.counts["lot"],
            digest=self._digest.hexdigest(),
        )
        self.write(
            "end",
            {
                "accounts": exported.accounts,
                "entries": exported.entries,
                "lots": exported.lots,
                "sha256": exported.digest,
            },
        )
        return exported


class _Rows:
    """Rows of one table in the order of their accounts, read ahead by one."""

    def __init__(self, cursor: "psycopg.AsyncServerCursor[TupleRow]") -> None:
        self._cursor = cursor
        self._rows = self._each()
        self._next: TupleRow | None = None

    async def begin(self) -> None:
        self._next = await anext(self._rows, None)

    @property
    def account(self) -> AccountRef | None:
        return None if self._next is None else AccountRef(*self._next[:2])

    async def of(self, account: AccountRef) -> AsyncIterator[dict[str, Any]]:
        """Give the rows of an account: what is null, and whose it is, left out."""
        names = [column.name for column in self._cursor.description or ()][2:]
        while self._next is not None and self._next[:2] == account:
            values = zip(names, self._next[2:], strict=True)
            yield {name: value for name, value in values if value is not None}
            self._next = await anext(self._rows, None)

    async def _each(self) -> AsyncIterator[TupleRow]:
        while rows := await self._cursor.fetchmany(ROWS_PER_FETCH):
            for row in rows:
                yield row


def verifier() -> str:
    """Return the program that checks an export, as text."""
    return (_HERE / "verify_export.py").read_text(encoding="utf-8")


async def export(
    database_url: str,
    out: IO[bytes],
    *,
    account: AccountRef | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the books, or one account of them, as they are at one moment.

    `progress` is told how many entries are written, and of how many. Raises LedgerUnavailable, also
    if `out` takes nothing for IDLE_IN_TRANSACTION_SECONDS, SchemaMismatch if the database is at
    another version, UnknownAccount.
    """
    with translating():
        async with looking(database_url) as connection:
            return await _export_here(connection, out, account, progress or _tell_nobody)


async def _export_here(
    connection: AsyncConnection[TupleRow],
    out: IO[bytes],
    account: AccountRef | None,
    progress: Progress,
) -> Exported:
    for row in await (await connection.execute(RELEASE)).fetchall():
        require_same_release(*row)
    await connection.execute("set local search_path = creditd, pg_temp")
    scope = _scope(account)
    counted = await connection.execute(scope + _COUNT)
    accounts, entries = await counted.fetchone() or (0, 0)
    if account is not None and accounts == 0:
        raise UnknownAccount(f"there is no account {format_account(account)} in the books")
    lines = _Lines(out)
    lines.write("header", await _header(connection, account))
    async with AsyncExitStack() as stack:
        streams = []
        for line, name in _LINES:
            statement = (_HERE / "sql" / "export" / f"{name}.sql").read_text(encoding="utf-8")
            cursor = await stack.enter_async_context(connection.cursor(f"export_{line}"))
            await cursor.execute(scope + sql.SQL(statement))
            streams.append(_Rows(cursor))
            await streams[-1].begin()
        # An entry or a lot without an account is written too: its place says that it has none.
        while keys := [stream.account for stream in streams if stream.account is not None]:
            await _write_account(lines, min(keys), streams)
            progress(lines.counts["entry"], entries)
    return lines.end()


def _scope(account: AccountRef | None) -> sql.Composed:
    """Return what a statement starts with: one account's rows in place of a table, or nothing."""
    if account is None:
        return sql.Composed([])
    given = narrowed(account, _TABLES_OF_AN_ACCOUNT)
    return sql.SQL("with ") + sql.SQL(", ").join(given) + sql.SQL("\n")


async def _header(
    connection: AsyncConnection[TupleRow], account: AccountRef | None
) -> dict[str, Any]:
    kinds = await (
        await connection.execute(
            "select kind, name, from_side, to_side from creditd.entry_kind order by kind"
        )
    ).fetchall()
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "of": "books" if account is None else format_account(account),
        "made_at": datetime.now(UTC),
        "first_hash": "sha256(root, account)",
        "hash": "sha256(hash before, " + ", ".join(HASHED) + ")",
        "kinds": [dict(zip(("kind", "name", "from", "to"), row, strict=True)) for row in kinds],
    }


async def _write_account(lines: _Lines, account: AccountRef, streams: Sequence[_Rows]) -> None:
    lines.write(
        "account",
        {"name": format_account(account), "root": account.root_id, "account": account.account_id},
    )
    for (line, _), stream in zip(_LINES, streams, strict=True):
        async for said in stream.of(account):
            lines.write(line, said)


def _tell_nobody(done: int, total: int) -> None:
    del done, total
