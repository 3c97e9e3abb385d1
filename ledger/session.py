"""One session with the database: opened when it is needed, dropped when it fails, opened again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ledger.connecting import Role, connect, hanging_up_on_silence, translated
from ledger.errors import SchemaMismatch
from ledger.versions import functions_digest, newest_version

# 40001 and 40P01 undo the statement and say nothing about the books: it may run again. XX000: a
# migration laid anew what the statement was running.
_ANOTHER_TRY_HELPS: Final = {"40001", "40P01", "XX000"}
TRIES_MAX: Final = 3

# What the database says of itself, to be held against this release by `require_same_release`.
RELEASE: Final = (
    "select creditd.release_digest() as functions,"
    " (select version_num from creditd.schema_version) as version"
)


class Session:
    """A connection as one role. Statements of one session run one after the other."""

    def __init__(self, database_url: str, role: Role, *, tells_itself: bool = False) -> None:
        self._database_url = database_url
        self._role: Role = role
        self._tells_itself = tells_itself
        self._connection: AsyncConnection[TupleRow] | None = None
        self._opening = asyncio.Lock()

    async def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[TupleRow]:
        """Run one statement in a transaction of its own and return its rows.

        Raises LedgerUnavailable if it is not known to have happened: its key tells later. Of the
        API's sessions that is told after ANSWER_SECONDS; what others ask may take its time.
        """
        tries_left = TRIES_MAX
        while True:
            tries_left -= 1
            try:
                connection = await self.connection()
                with self._patience(connection):
                    cursor = await connection.execute(statement, parameters)
                    return await cursor.fetchall()
            except psycopg.Error as error:
                if error.sqlstate in _ANOTHER_TRY_HELPS and tries_left > 0:
                    continue
                ours = translated(error)
                if ours is None:
                    raise
                raise ours from error

    def _patience(self, connection: AsyncConnection[TupleRow]) -> AbstractContextManager[None]:
        is_awaited = self._role == "creditd_api"
        return hanging_up_on_silence(connection) if is_awaited else nullcontext()

    async def connection(self) -> AsyncConnection[TupleRow]:
        """Return the open connection, opening it if there is none."""
        async with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(
                    self._database_url, self._role, tells_itself=self._tells_itself
                )
            return self._connection

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def require_release(self) -> None:
        """Raise SchemaMismatch unless the database runs this release's tables and functions."""
        try:
            rows = await self.rows(RELEASE)
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName) as error:
            raise SchemaMismatch("the database has no books yet: run `creditd migrate`") from error
        require_same_release(rows[0][0], rows[0][1])


@asynccontextmanager
async def opened(database_url: str, role: Role) -> AsyncIterator[Session]:
    """Open a session with the books of this release. Raises SchemaMismatch, LedgerUnavailable."""
    session = Session(database_url, role)
    try:
        await session.require_release()
        yield session
    finally:
        await session.close()


def require_same_release(functions: object, version: object) -> None:
    """Raise SchemaMismatch unless what the database says of itself is this release."""
    if version != newest_version():
        raise SchemaMismatch(
            f"the database is at version {version}, this creditd needs {newest_version()}:"
            " run `creditd migrate` with the newer of the two"
        )
    if functions != functions_digest():
        raise SchemaMismatch(
            "the database runs the functions of another release: run `creditd migrate`"
        )
