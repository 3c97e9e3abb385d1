"""How questions are put to the books: one statement each, on a few sessions that only read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast

import psycopg
from psycopg import AsyncConnection
from psycopg import errors as postgres
from sqlalchemy import Executable, Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger.connecting import (
    CONNECT_TIMEOUT_SECONDS,
    Role,
    hanging_up_on_silence,
    session_options,
    sqlalchemy_url,
    translated,
    unreachable,
)
from ledger.errors import LedgerBusy, SchemaMismatch
from ledger.ids import AccountRef
from ledger.requests import BIGINT_MAX
from ledger.session import RELEASE, require_same_release

SESSIONS_MAX: Final = 4  # a read takes about a millisecond: more sessions only load the database
# A caller that waits longer for a session had better be told to come back.
SESSION_WAIT_SECONDS: Final = 2
# Every question is an index look-up: one that takes longer is stuck. Below ANSWER_SECONDS, so that
# a server that is there says so itself.
READ_TIMEOUT_SECONDS: Final = 4
PAGE_MAX: Final = 1_000  # rows that are held in memory at once for one caller

# What Postgres says when our tables or functions are not there, or not for this role.
_OTHER_BOOKS: Final = (
    postgres.InvalidSchemaName,
    postgres.UndefinedTable,
    postgres.UndefinedColumn,
    postgres.UndefinedFunction,
    postgres.InsufficientPrivilege,
)


class Asking:
    """Asks the books, on a few sessions of its own. Use `open` of who inherits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, role: Role = "creditd_api") -> AsyncIterator[Self]:
        """Open the books for reading. API keys are not for the roles of watcher and reader.

        Raises ValueError for a URL that is not PostgreSQL's.
        """
        options = (
            f"{session_options(role)} -c default_transaction_read_only=on"
            f" -c statement_timeout={READ_TIMEOUT_SECONDS}s"
        )
        engine = create_async_engine(
            sqlalchemy_url(database_url),
            # One statement is one transaction: no round trips to begin and end it.
            isolation_level="AUTOCOMMIT",
            pool_size=SESSIONS_MAX,
            max_overflow=0,
            pool_timeout=SESSION_WAIT_SECONDS,
            connect_args={"options": options, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
        )
        try:
            reading = cls(engine)
            await reading.ready()
            yield reading
        finally:
            await engine.dispose()

    async def ready(self) -> None:
        """Return if the database answers and runs this release's tables and functions."""
        for row in await self.ask(text(RELEASE), {}):
            require_same_release(row.functions, row.version)

    async def ask(self, question: Executable, asked: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Return the rows that answer a question. Raises as every method of `Reading` does."""
        try:
            return await self._ask_once(question, asked)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise _told(error) from error
        # The session was lost, perhaps long ago in the pool. A question may be asked again.
        try:
            return await self._ask_once(question, asked)
        except DBAPIError as error:
            raise _told(error) from error

    async def _ask_once(
        self, question: Executable, asked: Mapping[str, object]
    ) -> Sequence[Row[Any]]:
        try:
            async with self._engine.connect() as connection:
                raw = await connection.get_raw_connection()
                session = cast("AsyncConnection[Any]", raw.driver_connection)
                with hanging_up_on_silence(session):
                    return (await connection.execute(question, asked)).all()
        except PoolTimeoutError as error:
            raise LedgerBusy(
                f"none of {SESSIONS_MAX} sessions came free in {SESSION_WAIT_SECONDS} seconds"
            ) from error


def of_account(account: AccountRef) -> dict[str, int]:
    """Return the parameters that name an account."""
    return {"root": account.root_id, "account": account.account_id}


def bounded(limit: int) -> int:
    """Return how many rows are asked for. Raises ValueError if they are not 1 to PAGE_MAX."""
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"a page has between 1 and {PAGE_MAX} rows, not {limit}")
    return limit


def page(before: int | None, limit: int) -> dict[str, int]:
    """Return the parameters of a page that lies before a position, newest first."""
    # Whatever number a caller sends, the position is one a bigint can hold.
    position = BIGINT_MAX if before is None else max(0, min(before, BIGINT_MAX))
    return {"before": position, "limit": bounded(limit)}


def _told(error: DBAPIError) -> Exception:
    cause = error.orig
    if isinstance(cause, _OTHER_BOOKS):
        return SchemaMismatch(
            "the database does not hold the books of this creditd: run `creditd migrate`"
            f" ({cause.diag.message_primary})"
        )
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return unreachable(cause)
    ours = translated(cause) if isinstance(cause, psycopg.Error) else None
    return ours or error
