"""The tables are what `ledger.schema` describes, and only the books' functions write them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from conftest import earn, fresh_database, run
from psycopg import errors as postgres
from psycopg import sql
from sqlalchemy import create_engine

import ledger
from ledger.connecting import Role, session_options, sqlalchemy_url
from ledger.errors import LedgerUnavailable, SchemaMismatch
from ledger.kinds import EntryKind
from ledger.migrate import migrate
from ledger.schema import metadata
from ledger.versions import newest_version

Facts = Mapping[str, str]

# What each role may execute: all of it, and nothing else.
MAY_EXECUTE: Mapping[Role, frozenset[str]] = {
    "creditd_watcher": frozenset(
        {
            *("lead_chain", "enter_rule", "leave_rules", "append_blocks", "see_events"),
            *("enter_blocks", "let_events_wait"),
            *("note_total", "note_balances", "note_asked"),
            *("set_logs_aside", "confirm_blocks", "drop_blocks", "reverse_blocks", "halt_chain"),
            *("resume_chain", "see_head", "expire_idle", "expire_reservations", "release_digest"),
            *("enter_receivers", "lead_receiver", "due_messages", "next_message_in"),
            *("end_messages", "tidy_messages", "alarms", "tell_alarms", "note_watch"),
            *("admit_late", "set_late_aside", "enter_late_rule", "follow_late_to", "rewind_chain"),
            "note_reread",
        }
    ),
    "creditd_api": frozenset(
        {
            *("charge_batch", "refund", "open_account", "open_wallet_account", "release_digest"),
            *("reserve", "settle", "settle_units", "release", "extend", "quote"),
            "unlink_wallet",
            *("open_organisation", "add_member", "remove_member", "move_member", "set_budget"),
            *("allocate", "set_alert", "balance_as_of", "budgets_of", "alarms"),
            *("enter_challenge", "try_challenge", "sign_in", "signed_in", "sign_out"),
            *("sign_out_all", "link_by_signature"),
            *("give_consent", "withdraw_consent"),
            *("create_own_api_key", "rotate_own_api_key", "revoke_own_api_key", "caps_of"),
            *("pending_of", "expected_at", "usage_of", "entries_before"),
        }
    ),
    "creditd_operator": frozenset(
        {
            *("create_api_key", "rotate_api_key", "revoke_api_key", "caps_of"),
            *("apply_prices", "release_digest"),
            *("grant_credits", "set_overdraft", "retry_dead", "set_alert"),
            *("accept_reorg", "note_audit", "alarms", "give_consent", "withdraw_consent"),
            *("adjust", "take_back_grant", "attest_link", "end_link", "set_frozen"),
            "note_replay",
            *("first_hash", "entry_hash", "event_cause", "balance_as_of", "exposure", "lots_of"),
            *("budgets_of", "pending_of", "expected_at", "usage_of", "entries_before"),
        }
    ),
    "creditd_reader": frozenset(
        {
            *("first_hash", "entry_hash", "event_cause", "release_digest"),
            *("balance_as_of", "budgets_of", "exposure", "lots_of", "alarms"),
            *("pending_of", "expected_at", "usage_of", "entries_before"),
        }
    ),
}

COLUMNS = """
select 'column ' || c.relname || '.' || a.attname,
       concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod),
                 case when a.attnotnull then 'not null' end,
                 'default ' || pg_get_expr(d.adbin, d.adrelid),
                 'identity ' || nullif(a.attidentity::text, ''))
from pg_class c join pg_attribute a on a.attrelid = c.oid
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'creditd'::regnamespace and c.relkind = 'r'
  and a.attnum > 0 and not a.attisdropped and c.relname <> 'schema_version'
"""
# Since PostgreSQL 18 "not null" is a constraint too; the columns say it for every release.
CONSTRAINTS = """
select 'constraint ' || c.relname || '.' || n.conname, pg_get_constraintdef(n.oid)
from pg_class c join pg_constraint n on n.conrelid = c.oid
where c.relnamespace = 'creditd'::regnamespace and n.contype <> 'n'
  and c.relname <> 'schema_version'
"""
INDEXES = """
select 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
from pg_class c join pg_index i on i.indrelid = c.oid
where c.relnamespace = 'creditd'::regnamespace and c.relname <> 'schema_version'
"""
STORAGE = """
select 'table ' || c.relname, concat_ws(' ', c.relpersistence, c.reloptions::text)
from pg_class c
where c.relnamespace = 'creditd'::regnamespace and c.relkind = 'r'
  and c.relname <> 'schema_version'
"""
TABLES = (COLUMNS, CONSTRAINTS, INDEXES, STORAGE)
FUNCTIONS = """
select 'function ' || p.oid::regprocedure, concat_ws(' ', p.proacl::text, p.proconfig::text,
  p.prosecdef, md5(pg_get_functiondef(p.oid)))
from pg_proc p where p.pronamespace = 'creditd'::regnamespace
"""
LAID_DOWN = """
select 'release', concat_ws(' ', functions, applied_at) from creditd.release
union all select 'laid ' || oid::regprocedure, xmin::text
from pg_proc where pronamespace = 'creditd'::regnamespace
"""


# Changes of the tables, by what a comparison must name.
CHANGES = {
    "constraint lot.lot_pkey": "alter table creditd.lot drop constraint lot_pkey",
    "constraint app.app_name_is_short": "alter table creditd.app drop constraint app_name_is_short",
    "column entry.lot_no": "alter table creditd.entry alter lot_no set not null",
    "column account.held": "alter table creditd.account alter held drop default",
    "column event.amount": "alter table creditd.event alter amount type numeric",
    "column app.app_id": "alter table creditd.app alter app_id drop identity",
    "index creditd.entry_by_charge": "drop index creditd.entry_by_charge",
    "table account": "alter table creditd.account set (fillfactor = 60)",
    "table more": "create table creditd.more (one integer)",
}


@pytest.fixture(scope="module")
def books_url(server_url: str, template: str) -> Iterator[str]:
    """Books with one account, lot and entry, for tests that change nothing."""
    with fresh_database(server_url, template) as url:
        earn(url, b"\x11" * 20, 5)
        yield url


def facts(database_url: str, *queries: str) -> Facts:
    with psycopg.connect(database_url) as connection:
        return {name: said for query in queries for name, said in connection.execute(query)}


def described(database_url: str) -> Facts:
    return facts(database_url, *TABLES)


def differences(migrated: Facts, description: Facts) -> list[str]:
    nothing = "nothing"
    return [
        f"{name}: the migrations say {migrated.get(name, nothing)},"
        f" ledger.schema says {description.get(name, nothing)}"
        for name in sorted(migrated.keys() | description.keys())
        if migrated.get(name) != description.get(name)
    ]


def make_as_described(database_url: str) -> None:
    run(database_url, "create schema creditd")
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        metadata.create_all(engine)
    finally:
        engine.dispose()


def as_role(database_url: str, role: Role) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(database_url, options=session_options(role), autocommit=True)


def test_migrations_make_exactly_the_described_tables(
    database_url: str, empty_database_url: str
) -> None:
    make_as_described(empty_database_url)
    assert differences(described(database_url), described(empty_database_url)) == []


def test_a_difference_from_the_description_is_shown_by_name(
    books_url: str, empty_database_url: str
) -> None:
    make_as_described(empty_database_url)
    description = described(empty_database_url)
    with psycopg.connect(books_url) as connection:
        for named, change in CHANGES.items():
            connection.execute(change)
            changed = {name: said for query in TABLES for name, said in connection.execute(query)}
            connection.rollback()
            assert named in "\n".join(differences(changed, description))


def test_kinds_of_entries_are_those_of_the_table(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        kinds = connection.execute("select kind, name from creditd.entry_kind").fetchall()
    assert dict(kinds) == {kind.value: kind.name.lower() for kind in EntryKind}


def test_a_migration_made_again_changes_nothing(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == (None, newest_version())
    first = facts(empty_database_url, *TABLES, FUNCTIONS)
    assert migrate(empty_database_url) == (newest_version(), newest_version())
    assert facts(empty_database_url, *TABLES, FUNCTIONS) == first


def test_a_migration_keeps_what_is_in_the_books(database_url: str) -> None:
    earn(database_url, b"\x11" * 20, 5)
    balances = "select available, seq, head_hash from creditd.account"
    with psycopg.connect(database_url, autocommit=True) as connection:
        before = connection.execute(balances).fetchall()
        migrate(database_url)
        assert connection.execute(balances).fetchall() == before


def test_two_migrations_at_once_both_succeed(empty_database_url: str) -> None:
    together = Barrier(2)

    def one() -> tuple[str | None, str]:
        together.wait(timeout=10)
        return migrate(empty_database_url)

    with ThreadPoolExecutor(2) as threads:
        answers = [future.result() for future in [threads.submit(one) for _ in range(2)]]
    assert sorted(answers, key=str) == [
        (newest_version(), newest_version()),
        (None, newest_version()),
    ]


def test_a_database_of_an_unknown_version_is_refused_and_left_alone(database_url: str) -> None:
    run(database_url, "update creditd.schema_version set version_num = '9999'")
    before = described(database_url), facts(database_url, LAID_DOWN)
    with pytest.raises(SchemaMismatch, match="9999"):
        migrate(database_url)
    assert (described(database_url), facts(database_url, LAID_DOWN)) == before


def test_a_server_that_is_not_there_cannot_be_migrated() -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        migrate("postgresql://nobody@127.0.0.1:9/books?connect_timeout=2")


def test_every_role_may_execute_its_own_functions_only(books_url: str) -> None:
    with psycopg.connect(books_url) as connection:
        rows = connection.execute(
            "select r.role, p.proname from pg_proc p, unnest(%s::text[]) as r (role)"
            " where p.pronamespace = 'creditd'::regnamespace"
            " and has_function_privilege(r.role, p.oid, 'execute')",
            ([*MAY_EXECUTE, "public"],),
        ).fetchall()
    assert set(rows) == {(role, name) for role, names in MAY_EXECUTE.items() for name in names}


@pytest.mark.parametrize("role", MAY_EXECUTE)
def test_calling_what_is_not_its_own_is_denied_to_a_role(books_url: str, role: Role) -> None:
    with psycopg.connect(books_url) as connection:
        functions = connection.execute(
            "select proname, proargtypes::regtype[]::text[] from pg_proc"
            " where pronamespace = 'creditd'::regnamespace and prorettype <> 'trigger'::regtype"
        ).fetchall()
    others = [(name, types) for name, types in functions if name not in MAY_EXECUTE[role]]
    assert {"confirm_blocks", "charge_batch", "create_api_key", "post"} - MAY_EXECUTE[role] <= {
        name for name, _ in others
    }
    with as_role(books_url, role) as connection:
        for name, types in others:
            call = sql.SQL("select creditd.{}({})").format(
                sql.Identifier(name),
                # One that takes arrays of any type is called with one.
                sql.SQL(", ").join(
                    sql.SQL(f"null::{written.replace('anyarray', 'integer[]')}")
                    for written in types
                ),
            )
            with pytest.raises(postgres.InsufficientPrivilege):
                connection.execute(call)


@pytest.mark.parametrize("role", MAY_EXECUTE)
def test_no_role_writes_a_table(books_url: str, role: Role) -> None:
    with psycopg.connect(books_url) as connection:
        allowed = connection.execute(
            "select relname, privilege from pg_class, unnest("
            " array['insert', 'update', 'delete', 'truncate', 'trigger']) privilege"
            " where relnamespace = 'creditd'::regnamespace and relkind = 'r'"
            " and has_table_privilege(%s, oid, privilege)",
            (role,),
        ).fetchall()
    assert allowed == []
    with as_role(books_url, role) as connection:
        for table in ("account", "entry", "lot"):
            assert connection.execute(f"select from creditd.{table}").rowcount == 1
            for attempt in (
                f"insert into creditd.{table} select * from creditd.{table}",
                f"update creditd.{table} set account_id = account_id",
                f"delete from creditd.{table}",
                f"truncate creditd.{table}",
            ):
                with pytest.raises(postgres.InsufficientPrivilege):
                    connection.execute(attempt)


@pytest.mark.parametrize("role", MAY_EXECUTE)
def test_digests_of_api_keys_are_shown_to_who_checks_them(books_url: str, role: Role) -> None:
    with as_role(books_url, role) as connection:
        if role in {"creditd_api", "creditd_operator"}:
            connection.execute("select digest from creditd.api_key")
        else:
            with pytest.raises(postgres.InsufficientPrivilege):
                connection.execute("select digest from creditd.api_key")


def test_not_even_the_owner_changes_an_entry(books_url: str) -> None:
    entries = "select * from creditd.entry"
    with psycopg.connect(books_url, autocommit=True) as connection:
        before = connection.execute(entries).fetchall()
        for attempt in (
            "update creditd.entry set amount = amount + 1",
            "update creditd.entry set amount = amount",
            "delete from creditd.entry",
            "truncate creditd.entry",
            "truncate creditd.account, creditd.entry cascade",
        ):
            with pytest.raises(psycopg.Error, match="never changed or removed") as refused:
                connection.execute(attempt)
            assert refused.value.sqlstate == "CD000"
        assert connection.execute(entries).fetchall() == before


def test_the_newest_version_is_the_last_migration_of_all() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(ledger.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_version()
