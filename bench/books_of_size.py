"""Books of many entries, made fast: what a ledger looks like after years of charges."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

import psycopg
from filled_books import COST, OPERATION
from measuring import say

from ledger.requests import digest128

WORKERS: Final = 2
CHARGES_AT_ONCE: Final = 20  # of each account: what is under way has to fit into work_mem
WORK_MEM: Final = "1GB"
# An index that grew charge by charge has pages about this full; full ones would all split soon.
FILL: Final = 70
ROOTS_END: Final = 1 << 62  # root numbers are random below it

_INDEXES: Final = """
    select i.relname, c.conname, pg_get_constraintdef(c.oid), pg_get_indexdef(x.indexrelid)
    from pg_index x join pg_class i on i.oid = x.indexrelid
      left join pg_constraint c on c.conindid = x.indexrelid and c.contype = 'p'
    where x.indrelid = 'creditd.entry'::regclass order by i.relname"""


def lengthen(url: str, charges_each: int) -> None:
    """Give every account so many charges more."""
    began = perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        with _unhindered(connection), _without_indexes(connection):
            with ThreadPoolExecutor(WORKERS) as pool:
                width = ROOTS_END // WORKERS
                parts = [
                    pool.submit(_charge, url, number * width, (number + 1) * width, charges_each)
                    for number in range(WORKERS)
                ]
                for part in parts:
                    part.result()
            say(f"entries written after {perf_counter() - began:.0f} s")
        say(f"indexes made after {perf_counter() - began:.0f} s")
        connection.execute("vacuum (freeze, analyze) creditd.entry")
        connection.execute("vacuum (full, analyze) creditd.account")
        connection.execute("checkpoint")
    say(f"{charges_each} charges more of each account took {perf_counter() - began:.0f} s")


def _charge(url: str, first: int, end: int, times: int) -> None:
    text = (Path(__file__).parent / "books_of_size.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"set work_mem = '{WORK_MEM}'")
        while times > 0:
            now = min(times, CHARGES_AT_ONCE)
            connection.execute(
                text.encode(),
                {
                    "first": first,
                    "end": end,
                    "times": now,
                    "cost": COST,
                    "request": uuid.UUID(bytes=digest128("charge", OPERATION, "1", "None")),
                },
            )
            times -= now


@contextmanager
def _unhindered(connection: psycopg.Connection) -> Iterator[None]:
    """Let the server take in much at once: none of this is measured."""
    lasting = {"max_wal_size": "16GB", "autovacuum": "off"}
    for name, value in lasting.items():
        connection.execute(f"alter system set {name} = '{value}'")
    connection.execute("select pg_reload_conf()")
    connection.execute(f"set maintenance_work_mem = '{WORK_MEM}'")
    yield
    for name in lasting:
        connection.execute(f"alter system reset {name}")
    connection.execute("select pg_reload_conf()")


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Drop the entries' indexes, and make them again at the end as they were."""
    indexes = connection.execute(_INDEXES).fetchall()
    for name, constraint, _, _ in indexes:
        connection.execute(
            f"alter table creditd.entry drop constraint {constraint}"
            if constraint
            else f"drop index creditd.{name}"
        )
    yield
    for name, constraint, says, definition in indexes:
        columns, where, condition = definition.partition(" WHERE ")
        full = f"with (fillfactor = {FILL})"
        connection.execute(
            f"alter table creditd.entry add constraint {constraint} {says} {full}"
            if constraint
            else f"{columns} {full}{where}{condition}"
        )
        connection.execute(f"alter index creditd.{name} reset (fillfactor)")
