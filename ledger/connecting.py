"""How a program reaches the database: which role it takes, and what an error of Postgres means."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, get_args

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ledger import array_parameters, errors

Role = Literal["creditd_watcher", "creditd_api", "creditd_operator", "creditd_reader"]

CONNECT_TIMEOUT_SECONDS: Final = 5  # a database that takes longer is as good as gone for a caller
# A program that died in the middle of a transaction must not keep an account locked.
IDLE_IN_TRANSACTION_SECONDS: Final = 30
# A charge waits for its account while others move it. Whoever holds it longer than this holds up
# every charge of the lane: they are told to come back.
# Of two who wait, the second may begin anew once the first has given up: the answer comes within
# twice this, and that before the database is taken for gone (`ledger.wire`).
LOCK_WAIT_SECONDS: Final = 2
# A request waits at most twice LOCK_WAIT_SECONDS for an account: a database silent for longer than
# this is gone, whatever its socket says.
ANSWER_SECONDS: Final = 5
# A database that went without a word is given up after about ten seconds, not when TCP does.
_SILENCE: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# SQLSTATEs that our own functions raise, and what each is here.
_OURS: Final[dict[str, type[errors.LedgerError]]] = {
    "CD001": errors.Deposed,
    "CD002": errors.BrokenLink,
    "CD003": errors.WrongChain,
    "CD004": errors.RuleConflict,
    "CD005": errors.NotLate,
    "CD006": errors.SeenAlready,
}


def sqlalchemy_url(database_url: str) -> URL:
    """Return the URL of the same database for SQLAlchemy on psycopg. Raises BadDatabaseUrl."""
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise errors.BadDatabaseUrl(
            "the database URL cannot be read: check it for typing"
        ) from error
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise errors.BadDatabaseUrl("the database URL must begin with postgresql://")
    return url.set(drivername="postgresql+psycopg")


def session_options(role: Role) -> str:
    """Return the server options every session of a role starts with."""
    options = (
        f"-c role={role} -c timezone=UTC -c default_transaction_isolation=read\\ committed"
        f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s"
    )
    return options if role != "creditd_api" else f"{options} -c lock_timeout={LOCK_WAIT_SECONDS}s"


_WRITERS: Final = {"creditd_watcher", "creditd_api"}
# What their functions look up is looked up by an index, however small a table was when they were
# planned; and a plan made for a hundred charges is as good for one.
_BY_INDEX: Final = (
    " -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off"
    " -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan"
)
# A question that takes longer is stuck: a server that is there says so before ANSWER_SECONDS.
READ_TIMEOUT_SECONDS: Final = 4


async def connect(
    database_url: str, role: Role, *, tells_itself: bool = False, only_reads: bool = False
) -> AsyncConnection[TupleRow]:
    """Open a session that acts as `role` and commits each statement unless told otherwise.

    Of one that `only_reads` each statement is a question that an index answers.
    Whoever `tells_itself` which accounts it changes (`ledger.changes`) is not told of by the books.
    Raises LedgerUnavailable if the database cannot be reached or lacks the role.
    """
    parameters = conninfo_to_dict(
        sqlalchemy_url(database_url)
        .set(drivername="postgresql")
        .render_as_string(hide_password=False)
    )
    parameters = {**_SILENCE, "connect_timeout": CONNECT_TIMEOUT_SECONDS, **parameters}
    options = session_options(role)
    if only_reads:
        options += (
            f" -c default_transaction_read_only=on -c statement_timeout={READ_TIMEOUT_SECONDS}s"
        )
    elif role in _WRITERS:
        options += _BY_INDEX
    if tells_itself:
        options += " -c creditd.tells_itself=on"
    conninfo = make_conninfo("", **{**parameters, "options": options})
    try:
        connection = await AsyncConnection.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    connection.prepare_threshold = 2
    array_parameters.register(connection)
    return connection


@contextmanager
def hanging_up_on_silence(connection: AsyncConnection[TupleRow]) -> Iterator[None]:
    """Hang up if what is asked within has no answer in ANSWER_SECONDS: the session is lost then.

    Cancelling would wait for the server to agree. The socket is shut down and not closed, because
    the event loop may still watch it, and its number would be another's at once.
    """

    def hang_up() -> None:
        with socket.socket(fileno=os.dup(connection.fileno())) as shared, suppress(OSError):
            shared.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, hang_up)
    try:
        yield
    finally:
        timer.cancel()


def unreachable(error: psycopg.Error) -> errors.LedgerError:
    """Return the error that tells why a session could not be opened."""
    if "permission denied to set role" in str(error):
        return errors.LedgerError(
            f"the database login may not act for this program: {error} Grant it that role."
        )
    # One of our own roles is missing, not a login.
    if any(f'role "{role}" does not exist' in str(error) for role in get_args(Role)):
        return errors.SchemaMismatch("the database has no books yet: run `creditd migrate`")
    return errors.LedgerUnavailable(f"the database cannot be reached: {error}")


def translated(error: psycopg.Error) -> errors.LedgerError | None:
    """Return what an error of Postgres is here; None for a bug, to be raised as it is."""
    ours = _OURS.get(error.sqlstate or "")
    if ours is not None:
        return ours(error.diag.message_primary or str(error))
    if error.sqlstate == "55P03":
        return errors.LedgerBusy("the account is held by another session: try again in a moment")
    if error.sqlstate == "25P03":
        return errors.LedgerUnavailable(
            "the database ended the session, which had paused within a transaction for more than"
            f" {IDLE_IN_TRANSACTION_SECONDS} seconds: what it has seen would slow down every charge"
        )
    is_gone = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    # 25006: the server has become a standby, and another one is the primary now.
    if is_gone or error.sqlstate == "25006":
        return errors.LedgerUnavailable(f"the database did not answer: {error}")
    return None


@contextmanager
def translating() -> Iterator[None]:
    """Raise in place of an error of Postgres what it is here. A bug is raised as it is."""
    try:
        yield
    except psycopg.Error as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
