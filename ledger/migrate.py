"""Bringing a database to this version of the books.

The tables move by numbered versions (Alembic); the functions are this release's own and are laid
anew each time, together with who may call them. All of it is one transaction under one lock: a
database is at a version or at the one before, and two migrations at once are one after the other.
"""

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from ledger.connecting import CONNECT_TIMEOUT_SECONDS, sqlalchemy_url
from ledger.errors import LedgerBusy, LedgerUnavailable, SchemaMismatch
from ledger.laying import lay_functions
from ledger.versions import function_files, functions_digest, newest_version

_HERE: Final = Path(__file__).parent
_MIGRATION_LOCK: Final = 4_021_337  # any number, as long as every migration takes the same
# While a migration waits for a table, every charge waits behind it: so it does not wait long, lets
# them pass and tries again, until whoever holds the table has had time to end.
TABLE_WAIT_MS: Final = 50
PAUSE_SECONDS: Final = 0.5
TRIES_MAX: Final = 120  # about a minute
POSTGRES_OLDEST: Final = 150_000  # server_version_num of 15, the oldest release we support


def migrate(database_url: str) -> tuple[str | None, str]:
    """Bring the database to this release. Returns the versions before and after.

    Raises SchemaMismatch if the database is newer than this release or not PostgreSQL 15 or later,
    LedgerUnavailable if it cannot be reached, LedgerBusy if others hold its tables all the time.
    """
    engine = create_engine(
        sqlalchemy_url(database_url), connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    )
    try:
        for _ in range(TRIES_MAX):
            try:
                with engine.begin() as connection:
                    return _migrate(connection)
            except (DBAPIError, psycopg.Error) as error:
                if not _is_held(error):
                    raise
            with engine.begin() as connection:
                connection.execute(text("select pg_sleep(:pause)"), {"pause": PAUSE_SECONDS})
    except OperationalError as error:
        raise LedgerUnavailable(f"the database cannot be reached: {error.orig}") from error
    except (DBAPIError, psycopg.Error) as error:
        refusal = error.orig if isinstance(error, DBAPIError) else error
        raise SchemaMismatch(f"the database refuses the migration: {refusal}") from error
    finally:
        engine.dispose()
    raise LedgerBusy(
        "the migration must change a table that another session holds: end that session's"
        " transaction (pg_stat_activity shows it), then run `creditd migrate` again"
    )


def _is_held(error: DBAPIError | psycopg.Error) -> bool:
    """Say whether somebody else holds a table. What was done so far is undone."""
    refusal = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(refusal, psycopg.errors.LockNotAvailable)


def _migrate(connection: Connection) -> tuple[str | None, str]:
    _require_postgres(connection)
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    connection.execute(text(f"set local lock_timeout = {TABLE_WAIT_MS}"))
    connection.execute(text("create schema if not exists creditd"))
    before = _version(connection)
    _require_not_newer(before)
    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    lay_functions(connection, function_files())
    connection.execute(
        text(
            "insert into creditd.release (functions) values (:digest)"
            " on conflict (one_row) do update"
            " set functions = :digest, applied_at = clock_timestamp()"
        ),
        {"digest": functions_digest()},
    )
    after = _version(connection)
    return before, str(after)


def _require_postgres(connection: Connection) -> None:
    number = int(connection.execute(text("show server_version_num")).scalar_one())
    if number < POSTGRES_OLDEST:
        raise SchemaMismatch(f"PostgreSQL 15 or later is needed; this is {number // 10_000}")


def _require_not_newer(version: str | None) -> None:
    known = {
        script.revision
        for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions()
    }
    if version is not None and version not in known:
        raise SchemaMismatch(
            f"the database is at version {version}, which this creditd (up to {newest_version()})"
            " does not know: run the newer creditd, or restore a backup made before the migration"
        )


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": "schema_version", "version_table_schema": "creditd"}
    ).get_current_revision()


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
