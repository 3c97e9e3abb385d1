"""Who asks: a program that follows the chain, and how it dies.

Everything it waits for is a point: each request to a node, each connection to the database, each
exchange of a statement. At any of them it may be killed, be cut off from the database, or be told
a lie about the lock it holds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
import pytest
from books import Books
from psycopg.pq import TransactionStatus

from daemon.chain.unfit import Unfit
from daemon.configuration.config import Chain
from daemon.watching.follower import Follower
from ledger import connecting as database
from ledger.errors import LedgerError

_OPEN: LiteralString = "select from pg_stat_get_activity(null) where pid = any (%s)"
_OTHERS: LiteralString = """
    select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and pid <> all (%s)
      and backend_type = 'client backend'"""
# Who ends a session is not told when it has ended. A look takes some tenths of a millisecond.
LOOKS_MAX = 50_000

# What happens at a point. `killed`: the process is gone, before what it was about to wait for;
# `killed after`: what it sent is done, and it never hears of it. `cut off`, `cut off after`: the
# same of its session with the database alone, whose answer is lost. `unlocked`: its session goes
# on and holds no lock any more, as behind a pooler that resets sessions.
Blow = Literal["killed", "killed after", "cut off", "cut off after", "unlocked"]


@dataclass(frozen=True)
class Plan:
    """What happens at which point of a turn, counted from 1."""

    at: int
    blow: Blow


class Process:
    """A program that follows one chain. Its turns are its whole life."""

    def __init__(self, chain: Chain, database_url: str, name: str, books: Books) -> None:
        self.name = name
        self.is_dead = False
        self.points = 0  # of this turn
        self.at_point: Callable[[int], Awaitable[None]] = _nothing
        self._books = books
        self._follower = Follower(chain, database_url, name)
        self._connections: list[psycopg.AsyncConnection[Any]] = []
        self._plan: Plan | None = None
        self._struck: Blow | None = None
        self._turn: asyncio.Task[bool] | None = None
        self._gate = asyncio.Lock()

    async def open(self) -> None:
        await self._follower.open()

    async def turn(self, plan: Plan | None = None) -> tuple[bool, Blow | None]:
        """Take a turn; say whether there is more to do at once, and what has struck it."""
        self._plan, self._struck, self.points = plan, None, 0
        token = _RUNNING.set(self)
        self._turn = asyncio.create_task(self._follower.turn())
        _RUNNING.reset(token)
        try:
            return await self._turn, self._struck
        except asyncio.CancelledError:
            if not self.is_dead:
                raise
            await self._bury()
            return False, self._struck
        except (LedgerError, Unfit):  # the program ends, and says why
            self.is_dead = True
            await self._bury()
            return False, self._struck

    async def end(self) -> None:
        """Stop it gracefully."""
        token = _RUNNING.set(self)
        await asyncio.create_task(self._follower.close())
        _RUNNING.reset(token)
        self.is_dead = True

    @property
    def writes(self) -> bool:
        """Return whether it is in the middle of a transaction, and may keep others waiting."""
        return any(
            connection.info.transaction_status != TransactionStatus.IDLE
            for connection in self._connections
            if not connection.closed
        )

    def cut_off(self) -> None:
        """End its sessions with the database, as the database does."""
        pids = list(self.sessions())
        self._books.rows("select pg_terminate_backend(x) from unnest(%s::integer[]) x", pids)
        wait_for_sessions_to_end(self._books, pids)

    def sessions(self) -> Iterator[int]:
        """Give the server's number of each session that is open."""
        for connection in self._connections:
            if not connection.closed:
                yield connection.info.backend_pid

    async def point(self, kind: str) -> None:
        """Be at a point, before what is waited for there.

        As long as one task of the process is kept at its point, so are all others at theirs.
        """
        await asyncio.sleep(0)
        async with self._gate:
            await self._pass(kind)

    async def _pass(self, kind: str) -> None:
        if self.is_dead:
            raise asyncio.CancelledError
        self.points += 1
        await self.at_point(self.points)
        if self._plan is None or self._plan.at != self.points:
            return
        match self._plan.blow:
            case "killed":
                await self._die()
            case "cut off":
                self._struck = "cut off"
                self.cut_off()
            case blow if kind != "statement":  # it comes where something is asked of the database
                self._plan = Plan(self.points + 1, blow)
            case "unlocked":
                self._struck = "unlocked"
                for connection in self._connections:
                    status = connection.info.transaction_status
                    if status in {TransactionStatus.IDLE, TransactionStatus.INTRANS}:
                        connection.pgconn.exec_(b"select pg_advisory_unlock_all()")

    async def after_statement(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Be at a point, after what a statement has done is done."""
        if self._plan is None or self._plan.at != self.points:
            return
        match self._plan.blow:
            case "killed after":
                await self._die()
            case "cut off after":
                self._struck = "cut off after"
                self.cut_off()
                connection.pgconn.finish()
                raise psycopg.OperationalError("the answer is lost")

    def opened(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connections.append(connection)

    async def _die(self) -> None:
        assert self._plan is not None
        assert self._turn is not None
        self.is_dead, self._struck = True, self._plan.blow
        self._turn.cancel()
        raise asyncio.CancelledError

    async def _bury(self) -> None:
        """Take away what the system takes from a process that ends, and nothing more."""
        self.cut_off()
        for connection in self._connections:
            connection.pgconn.finish()
        for node in self._follower._upstreams.nodes:
            await node.__aexit__(None, None, None)


def wait_for_sessions_to_end(books: Books, pids: Sequence[int]) -> None:
    """Return when the server has ended these sessions: until then they hold their locks."""
    for _ in range(LOOKS_MAX):
        if not books.rows(_OPEN, list(pids)):
            return
    raise AssertionError("a session does not end")


def wait_for_others_to_end(books: Books, processes: Sequence[Process]) -> None:
    """Return when only the sessions of these processes are left."""
    alive = [pid for process in processes for pid in process.sessions()]
    for _ in range(LOOKS_MAX):
        if not books.rows(_OTHERS, alive):
            return
    raise AssertionError("a session does not end")


_RUNNING: ContextVar[Process | None] = ContextVar("running", default=None)


async def point(kind: str) -> None:
    """Be at a point of the process that runs here, if one does."""
    process = _RUNNING.get()
    if process is not None:
        await process.point(kind)


@contextmanager
def mortal() -> Iterator[None]:
    """Let every exchange that a process has with the database be a point of it."""

    async def connect(
        *arguments: Any,  # noqa: ANN401 - as the real
        **options: Any,  # noqa: ANN401
    ) -> psycopg.AsyncConnection[Any]:
        process = _RUNNING.get()
        if process is None:
            return await database.connect(*arguments, **options)
        await process.point("connect")
        connection = await database.connect(*arguments, **options)
        process.opened(connection)
        return _mortal(connection, process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.session.connect", connect)
        yield


def _mortal(
    connection: psycopg.AsyncConnection[Any], process: Process
) -> psycopg.AsyncConnection[Any]:
    exchange = connection.wait

    async def wait(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - psycopg's
        await process.point("statement")
        said = await exchange(*arguments, **options)
        await process.after_statement(connection)
        return said

    connection.wait = wait  # type: ignore[method-assign, assignment] # all goes this way
    return connection


@asynccontextmanager
async def alive(process: Process) -> AsyncIterator[Process]:
    """A process that is open, and stopped at the end unless it is dead by then."""
    await process.open()
    try:
        yield process
    finally:
        if not process.is_dead:
            await process.end()


async def _nothing(point: int) -> None:
    del point
