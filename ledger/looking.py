"""How an audit or an export looks at the books: in sessions that only read, at one snapshot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.rows import TupleRow

from ledger.connecting import connect
from ledger.ids import AccountRef

# What does not fit into the memory of one sort or hash goes to a file. An audit's sessions and
# workers take every core: a statement that took more of them would only add its parts' meeting.
# The session that exported the snapshot waits in its transaction for all others, however long.
_SETTINGS: Final = sql.SQL(
    "set local search_path = creditd, pg_temp; set local work_mem = '64MB';"
    " set local max_parallel_workers_per_gather = 0; set local jit = off;"
    " set local idle_in_transaction_session_timeout = 0"
)
# All rows are wanted: an estimate of few must not make a join quadratic, and rows are read in the
# order in which they lie. In the order of an index each would be another page.
_WHOLE_BOOKS: Final = sql.SQL("set local enable_nestloop = off; set local random_page_cost = 8")


@dataclass(frozen=True, slots=True)
class View:
    """How further sessions see what one sees that stays open: by the snapshot it exported."""

    database_url: str
    snapshot: str


@asynccontextmanager
async def looking(
    database_url: str, snapshot: str | None = None
) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Open a session whose one transaction only reads: of `snapshot`, or of now.

    Raises LedgerUnavailable.
    """
    async with await connect(database_url, "creditd_reader") as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            if snapshot is not None:
                await connection.execute(sql.SQL("set transaction snapshot {}").format(snapshot))
            yield connection


def narrowed(account: AccountRef, tables: Sequence[str]) -> list[sql.Composed]:
    """Return queries for a WITH, by which the tables' names mean one account's rows alone."""
    rows = sql.SQL(
        "{name} as not materialized (select * from creditd.{name}"
        " where root_id = {root_id} and account_id = {account_id})"
    )
    return [
        rows.format(
            name=sql.Identifier(name), root_id=account.root_id, account_id=account.account_id
        )
        for name in tables
    ]


async def set_up(connection: AsyncConnection[TupleRow], *, for_all: bool) -> None:
    """Set for the rest of the transaction what an audit's statements need; not one account's."""
    await connection.execute(_SETTINGS)
    if for_all:
        await connection.execute(_WHOLE_BOOKS)
