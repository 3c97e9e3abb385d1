"""Whoever idles in a transaction is ended: it would keep every old row version of busy accounts."""

import psycopg
import pytest
from conftest import name_of
from psycopg import sql

from ledger.migrate import migrate

SETTING = "select current_setting('idle_in_transaction_session_timeout')"
ENDED_SECONDS_MAX = 30.0


def bound_of(database_url: str) -> str:
    """The bound that a new session has, whoever opens it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        ((told,),) = connection.execute(SETTING).fetchall()
    return str(told)


def set_bound(database_url: str, bound: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            sql.SQL("alter database {} set idle_in_transaction_session_timeout = {}").format(
                sql.Identifier(name_of(database_url)), sql.Literal(bound)
            )
        )


def test_the_books_bound_how_long_a_session_idles_in_a_transaction(
    empty_database_url: str,
) -> None:
    assert bound_of(empty_database_url) == "0"
    migrate(empty_database_url)
    assert bound_of(empty_database_url) == "1min"


@pytest.mark.parametrize("bound", ["7s", "0"])
def test_a_bound_that_the_operator_has_set_stays(database_url: str, bound: str) -> None:
    set_bound(database_url, bound)
    migrate(database_url)
    assert bound_of(database_url) == bound


def test_an_idle_transaction_is_ended_and_holds_back_no_cleaning(database_url: str) -> None:
    set_bound(database_url, "200ms")
    with psycopg.connect(database_url) as idle:
        idle.execute("set transaction isolation level repeatable read")
        idle.execute("select count(*) from creditd.account")
        # The server's word arrives by itself: no time is slept away.
        with pytest.raises(psycopg.OperationalError):
            list(idle.notifies(timeout=ENDED_SECONDS_MAX))
    with psycopg.connect(database_url, autocommit=True) as owner:
        held = owner.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_xmin is not null"
        ).fetchall()
    assert held == [(0,)]
