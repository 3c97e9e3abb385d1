"""How questions are put to the books: one statement each, on a few sessions that only read."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from time import monotonic
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection
from psycopg import errors as postgres
from psycopg.rows import TupleRow, namedtuple_row
from sqlalchemy import SelectBase, TextClause, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from ledger.connecting import Role, connect, hanging_up_on_silence, translated
from ledger.errors import LedgerBusy, SchemaMismatch
from ledger.ids import AccountRef
from ledger.requests import BIGINT_MAX
from ledger.session import RELEASE, require_same_release

Question = SelectBase | TextClause
Row = Any
"""A row of an answer: a named tuple with a field for each column."""

SESSIONS_MAX: Final = 4  # a read takes about a millisecond: more sessions only load the database
# A caller that waits longer for a session had better be told to come back.
SESSION_WAIT_SECONDS: Final = 2
# A session that was lost while it waited says so at once, and a question may be asked again. One
# that is lost later than this was silent: whoever asked has waited long enough.
LOST_BEFORE_SECONDS: Final = 1.0
PAGE_MAX: Final = 1_000  # rows that are held in memory at once for one caller

_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_QUESTIONS_MAX: Final = 256  # every question there is, several times over

# What Postgres says when our tables or functions are not there, or not for this role.
_OTHER_BOOKS: Final = (
    postgres.InvalidSchemaName,
    postgres.UndefinedTable,
    postgres.UndefinedColumn,
    postgres.UndefinedFunction,
    postgres.InsufficientPrivilege,
)


class _Lost(Exception):
    """The session that a question was asked on is gone."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.error = error


class Asking:
    """Asks the books, on a few sessions of its own. Use `open` of who inherits."""

    def __init__(self, database_url: str, role: Role) -> None:
        self._database_url = database_url
        self._role: Role = role
        self._free = asyncio.Semaphore(SESSIONS_MAX)
        self._idle: list[AsyncConnection[TupleRow]] = []
        self._is_closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, role: Role = "creditd_api") -> AsyncIterator[Self]:
        """Open the books for reading. API keys are not for the roles of watcher and reader.

        Raises BadDatabaseUrl for a URL that is not PostgreSQL's.
        """
        reading = cls(database_url, role)
        try:
            await reading.ready()
            yield reading
        finally:
            reading._is_closed = True
            await reading._hang_up()

    async def ready(self) -> None:
        """Return if the database answers and runs this release's tables and functions."""
        for row in await self.ask(text(RELEASE), {}):
            require_same_release(row.functions, row.version)

    async def ask(self, question: Question, asked: Mapping[str, object]) -> Sequence[Row]:
        """Return the rows that answer a question. Raises as every method of `Reading` does."""
        statement, constants = _written(question)
        parameters = {**constants, **asked}
        async with self._turn():
            began = monotonic()
            try:
                return await self._ask_once(statement, parameters)
            except _Lost as lost:
                if monotonic() - began > LOST_BEFORE_SECONDS:
                    raise (_told(lost.error) or lost.error) from lost
            await self._hang_up()  # those that wait were lost with it, or are opened again
            try:
                return await self._ask_once(statement, parameters)
            except _Lost as lost:
                raise (_told(lost.error) or lost.error) from lost

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(SESSION_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise LedgerBusy(
                f"none of {SESSIONS_MAX} sessions came free in {SESSION_WAIT_SECONDS} seconds"
            ) from error
        try:
            yield
        finally:
            self._free.release()

    async def _ask_once(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        session = self._idle.pop() if self._idle else await self._open_session()
        try:
            with hanging_up_on_silence(session):
                cursor = session.cursor(row_factory=namedtuple_row)
                await cursor.execute(statement, parameters)
                return await cursor.fetchall()
        except psycopg.Error as error:
            if session.closed:
                raise _Lost(error) from error
            ours = _told(error)
            if ours is None:
                raise
            raise ours from error
        finally:
            if session.closed or self._is_closed:
                await session.close()
            else:
                self._idle.append(session)

    async def _open_session(self) -> AsyncConnection[TupleRow]:
        return await connect(self._database_url, self._role, only_reads=True)

    async def _hang_up(self) -> None:
        sessions, self._idle = self._idle, []
        for session in sessions:
            await session.close()


@lru_cache(_QUESTIONS_MAX)
def _written(question: Question) -> tuple[str, Mapping[str, object]]:
    """Return a question as the driver takes it, and the constants in it by name."""
    written = question.compile(dialect=_DIALECT)
    return str(written), {
        name: given for name, given in written.params.items() if given is not None
    }


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


def _told(error: psycopg.Error) -> Exception | None:
    if isinstance(error, _OTHER_BOOKS):
        return SchemaMismatch(
            "the database does not hold the books of this creditd: run `creditd migrate`"
            f" ({error.diag.message_primary})"
        )
    return translated(error)
