"""A database for a while: made on a server, and dropped when it is no longer needed."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from ledger.connecting import CONNECT_TIMEOUT_SECONDS, sqlalchemy_url
from ledger.errors import LedgerError, LedgerUnavailable


@contextmanager
def scratch_database(server_url: str) -> Iterator[str]:
    """Make an empty database on the server and give its URL; drop it at the end.

    Whoever is still connected to it then is cut off. Raises LedgerUnavailable, and LedgerError
    where the URL's user may not make databases.
    """
    url = sqlalchemy_url(server_url).set(drivername="postgresql")
    name = f"creditd_scratch_{secrets.token_hex(6)}"
    _run(url.render_as_string(hide_password=False), sql.SQL("create database {}"), name)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        drop = sql.SQL("drop database {} with (force)")
        _run(url.render_as_string(hide_password=False), drop, name)


def _run(url: str, statement: sql.SQL, name: str) -> None:
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
        ) as connection:
            connection.execute(statement.format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerError(
            "the user of the database URL may not make databases: allow it with"
            " ALTER ROLE … CREATEDB, or name another user"
        ) from error
    except psycopg.OperationalError as error:
        raise LedgerUnavailable(f"the database cannot be reached: {error}") from error
