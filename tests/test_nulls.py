"""A null among the arguments of a function of the books is refused: it passes for nothing."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
import pytest
from busy_book import fill
from conftest import fresh_database
from psycopg import sql

from ledger.audit import audit

ROLES = ("creditd_watcher", "creditd_api", "creditd_operator", "creditd_reader")

# What may be null, and what it says then.
NO_CAP = "there is no such cap"
NO_STAKES = "its events do not add to stakes"
MAY_BE_NULL: Mapping[tuple[str, str], str] = {
    ("lead_chain", "p_depth"): "the chain's finalized tag decides",
    **{
        (function, argument): said
        for function in ("enter_rule", "enter_late_rule")
        for argument, said in {
            "p_to_block": "it is followed without an end",
            "p_operations": "all operations may burn what it grants",
            "p_cap_account": NO_CAP,
            "p_cap_account_day": NO_CAP,
            "p_cap_day": NO_CAP,
            "p_cap_total": NO_CAP,
            "p_expires_days": "its credits do not end",
            "p_divisor": NO_STAKES,
            "p_rates_from": NO_STAKES,
            "p_rates_micro": NO_STAKES,
            "p_period": NO_STAKES,
            "p_hold": NO_STAKES,
        }.items()
    },
    ("confirm_blocks", "p_beside"): "no session appends meanwhile",
    ("halt_chain", "p_parted"): "no confirmed block was left",
    ("halt_chain", "p_other"): "no confirmed block was left",
    ("note_reread", "p_found"): "nothing differed",
    ("note_reread", "p_next"): "nobody goes on from there",
    ("note_balances", "p_after"): "the round begins anew",
    ("note_watch", "p_head_seconds"): "a head that stands still is no alarm",
    ("note_watch", "p_troubles"): "of a node: it serves",
    ("end_messages", "p_said"): "nothing was wrong",
    ("set_alert", "p_below"): "nobody is told",
    ("attest_link", "p_chain"): "on every chain",
    ("end_link", "p_chain"): "on every chain",
    ("note_replay", "p_last"): "in all blocks from the first on",
    ("unlink_wallet", "p_chain"): "on every chain",
    ("refund", "p_amount"): "all that is left",
    ("set_budget", "p_amount"): "no budget by this period",
    ("grant_credits", "p_operations"): "all operations may burn them",
    ("grant_credits", "p_reason"): "none was given",
    ("grant_credits", "p_cause_root"): "no charge caused it",
    ("grant_credits", "p_cause_account"): "no charge caused it",
    ("grant_credits", "p_cause_seq"): "no charge caused it",
    **{
        (function, argument): said
        for function in ("create_api_key", "create_own_api_key")
        for argument, said in {
            "p_operations": "it is for all operations",
            "p_expires_at": "it does not end",
            "p_rate_requests": "its rate is not limited",
            "p_rate_seconds": "its rate is not limited",
        }.items()
    },
    ("create_api_key", "p_root"): "it is not a person's",
    ("create_api_key", "p_account"): "it is not a person's",
    ("rotate_api_key", "p_expires_at"): "when the old one would have",
    **{
        (function, argument): "it is an app's own"
        for function in ("rotate_own_api_key", "revoke_own_api_key")
        for argument in ("p_root", "p_account")
    },
    ("enter_challenge", "p_app"): "to sign in",
    ("enter_challenge", "p_root"): "to sign in",
    ("enter_challenge", "p_account"): "to sign in",
    ("sign_in", "p_former"): "no session came along",
}
# Any value will do: what is missing is noticed before anything is looked at.
ANY: Mapping[str, str] = {
    "bigint": "1",
    "jsonb": "[]",
    "integer": "1",
    "smallint": "1",
    "numeric": "1",
    "boolean": "true",
    "double precision": "1",
    "text": "x",
    "bytea": "\\x01",
    "uuid": "00000000-0000-0000-0000-000000000001",
    "timestamp with time zone": "2040-01-01Z",
    "interval": "1 hour",
}


@dataclass(frozen=True)
class Function:
    """A function that writes, who may execute it, and its arguments with their types."""

    role: str
    name: str
    arguments: Mapping[str, str]


@pytest.fixture(scope="module")
def busy_url(server_url: str, template: str) -> Iterator[str]:
    """Books in which everything has happened, for all of these tests: none of them changes any."""
    with fresh_database(server_url, template) as url:
        asyncio.run(fill(url))
        yield url


def writers(connection: psycopg.Connection) -> list[Function]:
    """Return what roles may execute; what is stable or immutable can write nothing."""
    rows = connection.execute(
        "select r.role, p.proname, p.proargnames[:p.pronargs],"
        " array(select t::regtype::text from unnest(p.proargtypes) with ordinality x (t, no)"
        "   order by no)"
        " from pg_proc p, unnest(%s::text[]) r (role)"
        " where p.pronamespace = 'creditd'::regnamespace and p.provolatile = 'v' and p.pronargs > 0"
        " and has_function_privilege(r.role, p.oid, 'execute') order by 1, 2",
        (list(ROLES),),
    ).fetchall()
    return [
        Function(role, name, dict(zip(arguments, types, strict=True)))
        for role, name, arguments, types in rows
    ]


def spoiled(kind: str) -> Iterator[str | None]:
    """Give every way in which an argument of a type is missing."""
    yield None
    if kind.endswith("[]"):
        yield "{null}"
        yield f"[2:2]={{{element(kind)}}}"


def element(kind: str) -> str:
    return f'"{ANY[kind.removesuffix("[]")]}"'.replace("\\", "\\\\")


def call(
    connection: psycopg.Connection, function: Function, given: Mapping[str, str | None]
) -> None:
    values = {
        name: given[name]
        if name in given
        else (f"{{{element(kind)}}}" if kind.endswith("[]") else ANY[kind])
        for name, kind in function.arguments.items()
    }
    parameters = sql.SQL(", ").join(
        sql.SQL("{} => %s::{}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in function.arguments.items()
    )
    connection.execute(
        sql.SQL("select * from creditd.{}({})").format(sql.Identifier(function.name), parameters),
        list(values.values()),
    )


def everything(connection: psycopg.Connection) -> list[object]:
    """Return a digest of each table of the books."""
    connection.execute("reset role")
    tables = connection.execute(
        "select c.relname from pg_class c"
        " where c.relnamespace = 'creditd'::regnamespace and c.relkind = 'r' order by 1"
    ).fetchall()
    return [
        connection.execute(
            sql.SQL(
                "select %s, md5(string_agg(t::text, ' ' order by t::text)) from creditd.{} t"
            ).format(sql.Identifier(name)),
            (name,),
        ).fetchone()
        for (name,) in tables
    ]


def answer(
    connection: psycopg.Connection, function: Function, given: Mapping[str, str | None]
) -> str:
    """Return how a call is refused, or that it is not."""
    try:
        call(connection, function, given)
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}"
    return "let through"


def test_a_null_in_any_argument_that_needs_a_value_is_refused_by_its_name(busy_url: str) -> None:
    with psycopg.connect(busy_url, autocommit=True) as connection:
        before = everything(connection)
        rows = connection.execute("select epoch from creditd.chain where chain_id = 1").fetchall()
        leader = {"p_chain": "1", "p_epoch": str(rows[0][0])}
        answers = {}
        for function in writers(connection):
            led = {name: leader[name] for name in leader if name in function.arguments}
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(function.role)))
            for name, kind in function.arguments.items():
                if (function.name, name) not in MAY_BE_NULL:
                    for missing in spoiled(kind):
                        asked = (function.name, name, missing)
                        answers[asked] = answer(connection, function, {**led, name: missing})
        after = everything(connection)
    wrong = {
        asked: said for asked, said in answers.items() if not said.startswith(f"22023 {asked[1]}: ")
    }
    assert not wrong
    assert answers
    assert after == before
    assert asyncio.run(audit(busy_url)).balanced


def test_what_may_be_null_is_an_argument_of_something(busy_url: str) -> None:
    with psycopg.connect(busy_url) as connection:
        arguments = {(f.name, argument) for f in writers(connection) for argument in f.arguments}
    assert arguments >= set(MAY_BE_NULL)
