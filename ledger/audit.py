"""The audit: every promise of the books, checked against every row, by sums that do not trust them.

All checks see one snapshot and only read, so an audit runs beside live traffic. The entries are
replayed in Python (`ledger.replay`); every other check is one file of SQL in `sql/audit`, and the
rows it gives are the breaches.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ledger.connecting import translating
from ledger.errors import LedgerError, SchemaMismatch, UnknownAccount
from ledger.findings import BREACHES_LISTED_MAX, AuditReport, Breach, CheckResult, Fact
from ledger.ids import AccountRef, format_account
from ledger.looking import View, looking, narrowed, set_up
from ledger.release import laid_functions, laid_grants
from ledger.versions import functions_digest, newest_version

_CHECKS: Final = Path(__file__).parent / "sql" / "audit"
_HEADER = re.compile(r"^-- (promise|row|scope|shares): (.*(?:\n--   .*)*)", re.MULTILINE)
_BYTES: Final = "\\x"  # how the database's JSON begins what is bytes
_BREACHES_SHOWN: Final = 5  # of each check, as text; JSON has all that are listed

# What this release lays, as the checks see it.
_LAID_RELEASE: Final = sql.SQL("laid_release as (select {}::text as functions)")
_LAID_FUNCTION: Final = sql.SQL(
    "laid_function as (select * from json_to_recordset({}) as x"
    " (function_name text, language text, is_definer boolean, settings text[], body text))"
)
# The entries of each kind, counted and summed once for all checks.
_COUNTED: Final = sql.SQL(
    "counted as (select * from json_to_recordset({}) as x"
    " (kind integer, entries bigint, movements bigint, keys bigint, amount numeric))"
)
_COUNT: Final = sql.SQL(
    "select coalesce(json_agg(k), '[]')::text from (select kind, count(*) as entries,"
    " count(*) filter (where seq = movement) as movements, count(key_hash) as keys,"
    " sum(amount) as amount from entry group by kind) k"
)
_BREACHES: Final = sql.SQL(
    "(select {name}::text, to_json(breach), count(*) over () from (\n{rows}\n) breach limit {most})"
)
_LAID_GRANT: Final = sql.SQL(
    "laid_grant as (select * from json_to_recordset({}) as x (role_name text, function_name text))"
)

# Narrowed to one account, these names mean the rows of that account and nothing else.
_TABLES_OF_AN_ACCOUNT: Final = (
    "account",
    "account_access",
    "account_name",
    "budget",
    "budget_use",
    "cap_use",
    "entry",
    "event",
    "linked_wallet",
    "lot",
    "member",
    "overdraft",
    "reservation",
    "wallet",
)


@dataclass(frozen=True, slots=True)
class Check:
    """A check as its file says it: `rows` gives the breaches, `examined` counts the rows seen.

    Checks that share the rows of a file in `sql/audit/shared` are made by one statement, which
    reads them once.
    """

    name: str
    promise: str
    row_means: str
    scope: Literal["account", "books"]
    shares: str | None
    examined: str
    rows: str


def checks() -> list[Check]:
    """Return the checks that are made in SQL, by the number of their promise."""
    return sorted(map(_check, _CHECKS.glob("*.sql")), key=lambda check: (check.promise, check.name))


async def audit(
    database_url: str,
    *,
    account: AccountRef | None = None,
) -> AuditReport:
    """Check every promise of the books, or those that can be checked for one account alone.

    Raises LedgerUnavailable, SchemaMismatch if the database is at another version, UnknownAccount.
    """
    with translating():
        async with looking(database_url) as connection:
            return await audit_here(connection, account, database_url if account is None else None)


async def audit_here(
    connection: AsyncConnection[TupleRow],
    account: AccountRef | None,
    database_url: str | None = None,
) -> AuditReport:
    """Audit what the connection's transaction sees; it is left as it is.

    By `database_url` further processes reach the database: with them, what is long is replayed in
    parallel. What the transaction itself has changed they would not see.
    """
    # They bring numpy, which the other programs that import this have no use for.
    from ledger.replay import replay  # noqa: PLC0415
    from ledger.replay_workers import replay_in_parallel, workers_for  # noqa: PLC0415

    started = time.monotonic()
    await _require_version(connection)
    await set_up(connection, for_all=account is None)
    scope = _scope(account)
    accounts, entries = await _first_row(
        connection, scope + sql.SQL("select count(*), coalesce(sum(seq), 0)::bigint from account")
    )
    if account is not None and accounts == 0:
        raise UnknownAccount(f"there is no account {format_account(account)} in the books")
    wanted = [check for check in checks() if account is None or check.scope == "account"]

    workers = workers_for(entries) if database_url is not None else 1
    if database_url is None or workers == 1:
        results = [*await replay(connection, scope)]
        results += await _made_all(connection, scope, wanted)
    else:
        (snapshot,) = await _first_row(connection, sql.SQL("select pg_export_snapshot()"))
        view = View(database_url, snapshot)
        replayed, made = await asyncio.gather(
            replay_in_parallel(view, workers),
            _made_all(connection, scope, wanted, [view] * (workers - 1)),
        )
        results = [*replayed, *made]
    return AuditReport(
        checks=tuple(sorted(results, key=lambda result: (result.promise[:2], result.name))),
        entries=results[0].examined,
        accounts=accounts,
        seconds=time.monotonic() - started,
        balanced=all(result.breaches_total == 0 for result in results),
    )


async def _made_all(
    connection: AsyncConnection[TupleRow],
    scope: sql.Composed,
    wanted: Sequence[Check],
    views: Sequence[View] = (),
) -> list[CheckResult]:
    """Make all checks, those that come next each time in whichever session has time.

    There is one session for each of `views` besides that of the connection.
    """
    (counted,) = await _first_row(connection, scope + _COUNT)
    scope += sql.SQL(", ") + _COUNTED.format(counted) + sql.SQL("\n")
    waiting = iter(_sharing(wanted))
    results: list[CheckResult] = []

    async def make(session: AsyncConnection[TupleRow]) -> None:
        for shared, some in waiting:
            results.extend(await _made(session, scope + shared, some))

    async def make_beside(view: View) -> None:
        async with looking(view.database_url, view.snapshot) as session:
            await set_up(session, for_all=True)
            await make(session)

    await asyncio.gather(make(connection), *map(make_beside, views))
    return results


def _sharing(wanted: Sequence[Check]) -> list[tuple[sql.SQL, list[Check]]]:
    """Return checks that share rows together, with what gives these rows, and each other alone."""
    together: dict[str, list[Check]] = {}
    for check in wanted:
        together.setdefault(check.shares or check.name, []).append(check)
    return [(_shared(some[0].shares), some) for some in together.values()]


def _shared(name: str | None) -> sql.SQL:
    if name is None:
        return sql.SQL("")
    text = (_CHECKS / "shared" / f"{name}.sql").read_text(encoding="utf-8")
    return sql.SQL(f", {name} as materialized (\n{text})\n")


async def _made(
    connection: AsyncConnection[TupleRow], scope: sql.Composed, checks: Sequence[Check]
) -> list[CheckResult]:
    examined = {
        check.name: (await _first_row(connection, scope + sql.SQL(check.examined)))[0]
        for check in checks
    }
    breaches = sql.SQL("\nunion all\n").join(
        _BREACHES.format(name=check.name, rows=sql.SQL(check.rows), most=BREACHES_LISTED_MAX)
        for check in checks
    )
    found = await (await connection.execute(scope + breaches)).fetchall()
    return [
        CheckResult(
            name=check.name,
            promise=check.promise,
            row_means=check.row_means,
            examined=examined[check.name],
            breaches=tuple(_breach(facts) for name, facts, _ in found if name == check.name),
            breaches_total=next((total for name, _, total in found if name == check.name), 0),
        )
        for check in checks
    ]


def _scope(account: AccountRef | None) -> sql.Composed:
    """Return the WITH that a check's SQL starts with.

    It gives the checks what this release lays and, for one account, narrows the tables' names to
    it: the same text checks all accounts or one.
    """
    given = [
        _LAID_RELEASE.format(functions_digest()),
        _LAID_FUNCTION.format(json.dumps([asdict(function) for function in laid_functions()])),
        _LAID_GRANT.format(json.dumps([asdict(grant) for grant in laid_grants()])),
    ]
    if account is not None:
        given += narrowed(account, _TABLES_OF_AN_ACCOUNT)
    return sql.SQL("with ") + sql.SQL(", ").join(given) + sql.SQL("\n")


def _check(file: Path) -> Check:
    text = file.read_text(encoding="utf-8")
    told = {key: re.sub(r"\n--\s+", " ", value) for key, value in _HEADER.findall(text)}
    match text.split(";\n"), told:
        case (
            [examined, rows],
            {"promise": promise, "row": row_means, "scope": ("account" | "books") as scope},
        ):
            shares = told.get("shares")
            return Check(file.stem, promise, row_means, scope, shares, examined, rows.strip())
    raise ValueError(
        f"{file.name}: a check says its promise, its row and its scope, then has two statements"
    )


async def _first_row(
    connection: AsyncConnection[TupleRow], statement: sql.SQL | sql.Composed
) -> TupleRow:
    row = await (await connection.execute(statement)).fetchone()
    if row is None:
        raise LedgerError("the database answered a count with no row")
    return row


async def _require_version(connection: AsyncConnection[TupleRow]) -> None:
    (version,) = await _first_row(
        connection,
        sql.SQL("select to_regclass('creditd.schema_version')::text"),
    )
    if version is not None:
        (version,) = await _first_row(
            connection, sql.SQL("select version_num from creditd.schema_version")
        )
    if version != newest_version():
        raise SchemaMismatch(
            f"the database is at version {version or 'none'}, this creditd audits version"
            f" {newest_version()}: run `creditd migrate` with the newer of the two"
        )


def _breach(facts: Mapping[str, Any]) -> Breach:
    return Breach({name: _fact(fact) for name, fact in facts.items()})


def _fact(value: object) -> Fact:
    match value:
        case str() if value.startswith(_BYTES):
            return "0x" + value.removeprefix(_BYTES)
        case int() | str() | None:
            return value
    raise TypeError(f"a check gives {type(value).__name__}: it should cast it to text")


def render(report: AuditReport) -> str:
    """Return the report for a terminal: a line for each check, under it its first breaches."""
    lines: list[str] = []
    for check in report.checks:
        verdict = "ok" if check.breaches_total == 0 else f"BREACH ({check.breaches_total})"
        lines.append(f"{check.name:<42} {check.examined:>12} examined  {verdict}")
        if check.breaches_total:
            lines += [f"    promise {check.promise}", f"    {check.row_means}"]
            lines += [f"    - {_line(breach)}" for breach in check.breaches[:_BREACHES_SHOWN]]
            unshown = check.breaches_total - min(len(check.breaches), _BREACHES_SHOWN)
            lines += [f"    - and {unshown} more"] if unshown else []
    broken = sum(check.breaches_total > 0 for check in report.checks)
    verdict = "the books balance" if report.balanced else f"{broken} checks found breaches"
    lines.append(
        f"{report.entries} entries of {report.accounts} accounts, {len(report.checks)} checks,"
        f" {report.seconds:.1f} s: {verdict}"
    )
    return "\n".join(lines)


def as_json(report: AuditReport) -> str:
    """Return the report as JSON, with every breach that is listed."""
    return json.dumps(
        {
            "balanced": report.balanced,
            "entries": report.entries,
            "accounts": report.accounts,
            "seconds": round(report.seconds, 3),
            "checks": [
                {
                    "name": check.name,
                    "promise": check.promise,
                    "row_means": check.row_means,
                    "examined": check.examined,
                    "breaches_total": check.breaches_total,
                    "breaches": [dict(breach.facts) for breach in check.breaches],
                }
                for check in report.checks
            ],
        },
        indent=2,
    )


def _line(breach: Breach) -> str:
    facts = dict(breach.facts)
    match facts:
        case {"root_id": int() as root_id, "account_id": int() as account_id}:
            facts = {"account": format_account(AccountRef(root_id, account_id)), **facts}
    return " ".join(f"{name}={'-' if fact is None else fact}" for name, fact in facts.items())
