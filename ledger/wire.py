"""One prepared statement on one session, sent at once and answered by a callback.

What a charge waits for is this round trip. So it is made of libpq's own non-blocking calls: a
request is on the socket before the caller's turn of the event loop is over, and no task stands
between the answer and whoever waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import psycopg
from psycopg import AsyncConnection, generators
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from ledger.connecting import ANSWER_SECONDS, Role, connect, translated
from ledger.errors import LedgerUnavailable, closed_unanswered

Answer = PGresult | Exception
_NAME: Final = b"wire"
_FAILED: Final = {ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE}


class Wire:
    """A session for one statement. One request at a time; every answer is a whole result."""

    def __init__(
        self,
        database_url: str,
        role: Role,
        statement: str,
        types: Sequence[int],
        *,
        tells_itself: bool = False,
    ) -> None:
        self._database_url = database_url
        self._role: Role = role
        self._tells_itself = tells_itself
        self._statement = statement.encode()
        self._types = list(types)
        self._formats = [Format.BINARY] * len(types)
        self._connection: AsyncConnection[TupleRow] | None = None
        self._socket = -1  # a connection that is lost no longer knows its own
        self._answered: Callable[[Answer], None] | None = None
        self._result: PGresult | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent, as far as is known."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect and prepare the statement. Raises LedgerUnavailable, or LedgerError."""
        connection = await connect(self._database_url, self._role, tells_itself=self._tells_itself)
        try:
            await self._prepare(connection)
        except BaseException as error:
            await connection.close()
            if isinstance(error, psycopg.Error) and (ours := translated(error)):
                raise ours from error
            raise
        self._connection, self._socket = connection, connection.fileno()
        connection.pgconn.nonblocking = 1
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    async def _prepare(self, connection: AsyncConnection[TupleRow]) -> None:
        connection.pgconn.send_prepare(_NAME, self._statement, self._types)
        (prepared,) = await connection.wait(generators.execute(connection.pgconn))
        if prepared.status in _FAILED:
            raise psycopg.errors.error_from_result(prepared)

    def send(self, parameters: Sequence[bytes], answered: Callable[[Answer], None]) -> None:
        """Send the statement with its parameters in binary. `answered` is called once, later."""
        loop = asyncio.get_running_loop()
        self._answered, self._result = answered, None
        self._deadline = loop.call_later(ANSWER_SECONDS, self._fail, _silent())
        try:
            connection = self._pgconn()
            connection.send_query_prepared(
                _NAME, parameters, param_formats=self._formats, result_format=Format.BINARY
            )
            self._flush(connection)
        except psycopg.Error as error:
            loop.call_soon(self._fail, error)

    def close(self) -> None:
        """Close the session. Whoever waits for an answer is told that none comes."""
        self._fail(closed_unanswered())

    def _pgconn(self) -> PGconn:
        if self._connection is None:
            raise psycopg.OperationalError("the session with the database is closed")
        return self._connection.pgconn

    def _flush(self, connection: PGconn) -> None:
        if connection.flush() == 1:  # the socket takes no more for now
            asyncio.get_running_loop().add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        asyncio.get_running_loop().remove_writer(self._socket)
        try:
            self._flush(self._pgconn())
        except psycopg.Error as error:
            self._fail(error)

    def _readable(self) -> None:
        try:
            connection = self._pgconn()
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    self._finish()
                    return
                self._result = result
        except psycopg.Error as error:
            self._fail(error)

    def _finish(self) -> None:
        result, self._result = self._result, None
        if result is None:
            return  # a notice of the server, between two requests
        if result.status not in _FAILED:
            self._tell(result)
        elif self._pgconn().status == ConnStatus.BAD:  # the server's last word
            self._fail(psycopg.errors.error_from_result(result))
        else:
            self._tell(psycopg.errors.error_from_result(result))

    def _fail(self, error: Exception) -> None:
        """Give the session up: what became of the request is not known."""
        connection, self._connection = self._connection, None
        if connection is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            connection.pgconn.finish()
        self._tell(error)

    def _tell(self, answer: Answer) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(answer)


def _silent() -> LedgerUnavailable:
    return LedgerUnavailable(f"the database did not answer within {ANSWER_SECONDS} seconds")
