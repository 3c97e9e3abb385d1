"""Laying the books' functions while other sessions run them.

Sessions find a function by its name at each call, so one that is replaced is simply the next one
they call: nobody waits and nobody fails. Only where a release changes what a function takes or
gives, which cannot be replaced, are all of them dropped first and laid anew.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from psycopg import errors as postgres
from sqlalchemy import Connection, text

from ledger.errors import LedgerUnavailable

_LAYS: Final = "create or replace function"
_DROP_ALL: Final = Path(__file__).parent / "sql" / "drop_functions.sql"
_TYPE: Final = re.compile(r"create type creditd\.(\w+) as (\(.*?\));", re.DOTALL)
# What Postgres says when a function cannot become what the new text says: its result or the names
# of its parameters differ, or it is a function no more.
_IRREPLACEABLE: Final = (postgres.InvalidFunctionDefinition, postgres.WrongObjectType)

# Every function with the transaction that wrote it last.
_FUNCTIONS: Final = """
select p.oid::regprocedure::text as name, p.xmin::text as written from pg_proc p
where p.pronamespace = 'creditd'::regnamespace"""
_SHAPE: Final = """
select array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) order by a.attnum)
from pg_type t join pg_attribute a on a.attrelid = t.typrelid
where t.oid = to_regtype(:name)"""


def lay_functions(connection: Connection, files: Sequence[Path]) -> None:
    """Make the functions those of `files`, in the transaction that is open, and drop all others."""
    if _types_differ(connection, files):
        run_script(connection, _DROP_ALL)
    # Who may call them is said of all at once, when none is there but this release's.
    laying = [file for file in files if _LAYS in file.read_text(encoding="utf-8")]
    before = _functions(connection)
    try:
        with connection.begin_nested():
            _run_all(connection, laying)
    except _IRREPLACEABLE:
        run_script(connection, _DROP_ALL)
        _run_all(connection, laying)
    left = [name for name, written in _functions(connection).items() if before.get(name) == written]
    if left:
        connection.exec_driver_sql(f"drop function {', '.join(left)} cascade")
    _run_all(connection, [file for file in files if file not in laying])


def run_script(connection: Connection, file: Path) -> None:
    """Run a file of SQL as it stands: with no parameters, a percent sign in it is just that."""
    driver = connection.connection.driver_connection
    if driver is None:
        raise LedgerUnavailable("the connection was closed during the migration")
    driver.execute(file.read_text(encoding="utf-8"))


def _run_all(connection: Connection, files: Sequence[Path]) -> None:
    for file in files:
        run_script(connection, file)


def _functions(connection: Connection) -> dict[str, str]:
    return {str(row.name): str(row.written) for row in connection.execute(text(_FUNCTIONS))}


def _types_differ(connection: Connection, files: Sequence[Path]) -> bool:
    """Say whether a type that is there has another shape than the files give it."""
    for file in files:
        for name, shape in _TYPE.findall(file.read_text(encoding="utf-8")):
            laid = connection.execute(text(_SHAPE), {"name": f"creditd.{name}"}).scalar_one()
            connection.exec_driver_sql(f"create type pg_temp.{name} as {shape}")
            new = connection.execute(text(_SHAPE), {"name": f"pg_temp.{name}"}).scalar_one()
            connection.exec_driver_sql(f"drop type pg_temp.{name}")
            if laid is not None and laid != new:
                return True
    return False
