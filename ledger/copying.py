"""Reading very many rows of one width: as COPY sends them, without a Python object a value."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import psycopg
from psycopg import AsyncConnection, generators, sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from ledger.errors import LedgerError

# Enough to make a turn of the event loop cheap, few enough to stay in the processor's cache.
ROWS_AT_ONCE_MAX: Final = 1000
_HEADER_BYTES: Final = 19  # before the first row: a signature, flags, an extension's length
_TRAILER_BYTES: Final = 2  # after the last row


async def copied(
    connection: AsyncConnection[TupleRow], query: sql.Composed, width: int
) -> AsyncGenerator[bytes, None]:
    """Give the rows of a query in COPY's binary format, some at a time, each `width` bytes.

    A row is two bytes, then each value with its length in four bytes before it. Raises LedgerError
    if a row has another width. The session is of no use to whoever leaves before the end. While it
    waits for rows the event loop waits with it: a turn of the loop costs as much as many rows.
    """
    pgconn = connection.pgconn
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
    pgconn.send_query(statement.as_bytes(connection))
    _require(ExecStatus.COPY_OUT, await connection.wait(generators.execute(pgconn)))
    has_more = True
    is_first = True
    while has_more:
        rows, has_more = _taken(pgconn, width, _HEADER_BYTES if is_first else 0)
        is_first = False
        yield rows
        await asyncio.sleep(0)
    _require(ExecStatus.COMMAND_OK, await connection.wait(generators.fetch_many(pgconn)))


def _taken(pgconn: PGconn, width: int, header: int) -> tuple[bytes, bool]:
    """Take the rows that come next, and say whether there may be more.

    What comes with the first of them begins with `header` bytes; nothing comes after the trailer.
    """
    get = pgconn.get_copy_data
    rows = bytearray()
    for _ in range(ROWS_AT_ONCE_MAX):
        length, row = get(0)
        if length < 0:
            return bytes(rows), False
        if header or length != width:
            row = row[header:]
            if len(row) == _TRAILER_BYTES:
                continue
            if len(row) != width:
                raise LedgerError("the books have a null or an overlong value where none may be")
        rows += row
        header = 0
    return bytes(rows), True


def _require(status: ExecStatus, results: Sequence[PGresult]) -> None:
    for result in results:
        if result.status != status:
            raise psycopg.errors.error_from_result(result)
