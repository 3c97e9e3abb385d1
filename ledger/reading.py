"""What the books say, for those who ask: balances, entries, earnings, prices, API keys, chains.

Every answer is one statement, so all of it is of one moment. Nothing here writes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import psycopg
from psycopg import errors as postgres
from sqlalchemy import Executable, Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger import questions, sharing_questions
from ledger.alarms import Alarm
from ledger.causes import EventIdentity
from ledger.connecting import (
    CONNECT_TIMEOUT_SECONDS,
    Role,
    session_options,
    sqlalchemy_url,
    translated,
    unreachable,
)
from ledger.errors import LedgerBusy, SchemaMismatch
from ledger.ids import AccountRef, MovementRef
from ledger.kinds import EntryKind
from ledger.outcomes import Charge
from ledger.requests import BIGINT_MAX
from ledger.rows import (
    ApiKeyRow,
    Balance,
    BudgetRow,
    ChainRow,
    ChargeRow,
    EarningCursor,
    EarningRow,
    EntryRow,
    EventRole,
    GrantOrigin,
    LinkRow,
    MemberRow,
    OperationRow,
    PastBalance,
    StatusChangeRow,
)
from ledger.session import RELEASE, require_same_release
from ledger.sightings import ADDS, EARNS, TAKES

__all__ = [
    "PAGE_MAX",
    "Alarm",
    "ApiKeyRow",
    "Balance",
    "BudgetRow",
    "ChainRow",
    "ChargeRow",
    "EarningCursor",
    "EarningRow",
    "EntryRow",
    "GrantOrigin",
    "LinkRow",
    "MemberRow",
    "OperationRow",
    "PastBalance",
    "Reading",
    "StatusChangeRow",
]

SESSIONS_MAX: Final = 4  # a read takes about a millisecond: more sessions only load the database
# A caller that waits longer for a session had better be told to come back.
SESSION_WAIT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = (
    5  # every question is an index look-up: one that takes longer is stuck
)
PAGE_MAX: Final = 1_000  # rows that are held in memory at once for one caller

# What Postgres says when our tables or functions are not there, or not for this role.
_OTHER_BOOKS: Final = (
    postgres.InvalidSchemaName,
    postgres.UndefinedTable,
    postgres.UndefinedColumn,
    postgres.UndefinedFunction,
    postgres.InsufficientPrivilege,
)

_ROLES: Final[Mapping[int, EventRole]] = MappingProxyType(
    {EARNS: "earns", ADDS: "adds", TAKES: "takes"}
)


class Reading:
    """Reads the books, on a few sessions of its own. Use `open`.

    Every method raises LedgerUnavailable if the database does not answer, LedgerBusy if no session
    comes free in time and SchemaMismatch if the database holds no books or another version's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, *, role: Role = "creditd_api"
    ) -> AsyncIterator["Reading"]:
        """Open the books for reading. API keys are not for the roles of watcher and reader.

        Raises ValueError for a URL that is not PostgreSQL's.
        """
        options = (
            f"{session_options(role)} -c default_transaction_read_only=on"
            f" -c statement_timeout={READ_TIMEOUT_SECONDS}s"
        )
        engine = create_async_engine(
            sqlalchemy_url(database_url),
            # One statement is one transaction: no round trips to begin and end it.
            isolation_level="AUTOCOMMIT",
            pool_size=SESSIONS_MAX,
            max_overflow=0,
            pool_timeout=SESSION_WAIT_SECONDS,
            connect_args={"options": options, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
        )
        try:
            reading = cls(engine)
            await reading.ready()
            yield reading
        finally:
            await engine.dispose()

    async def ready(self) -> None:
        """Return if the database answers and runs this release's tables and functions."""
        for row in await self._ask(text(RELEASE), {}):
            require_same_release(row.functions, row.version)

    async def reaches(self, app_id: int, account: AccountRef) -> bool:
        """Return whether the app may reach the account."""
        return bool(await self._ask(questions.ACCESS, {**_of(account), "app": app_id}))

    async def balance(self, account: AccountRef) -> Balance | None:
        """Return what the account has, None if there is no such account."""
        for row in await self._ask(questions.BALANCE, _of(account)):
            return Balance(
                account=account,
                available=int(row.available),
                held=row.held,
                pending=int(row.pending),
                debt=row.debt,
                granted=row.granted,
                spent=row.spent,
                version=row.seq,
                frozen=row.frozen,
            )
        return None

    async def balance_as_of(self, account: AccountRef, at: datetime) -> PastBalance | None:
        """Return what the account had at an aware time, None if there is no such account.

        For a time to come: what would be left then if nothing happened.
        """
        for row in await self._ask(questions.BALANCE_AS_OF, {**_of(account), "at": at}):
            return PastBalance(
                account, at, row.o_available, row.o_held, row.o_debt, version=row.o_seq
            )
        return None

    async def entries(
        self, account: AccountRef, *, before_seq: int | None, limit: int
    ) -> list[EntryRow]:
        """Return at most `limit` (up to PAGE_MAX) entries before `before_seq`, newest first."""
        asked = {**_of(account), **_page(before_seq, limit)}
        return [_entry(row) for row in await self._ask(questions.ENTRIES, asked)]

    async def earnings(
        self, account: AccountRef, *, before: EarningCursor | None, limit: int
    ) -> list[EarningRow]:
        """Return at most `limit` (up to PAGE_MAX) earnings before `before`, newest first.

        An event is the account's if it was granted to it, or else if its wallet is the account's.
        """
        asked = {**_of(account), **_page(before, limit)}
        return [_earning(row) for row in await self._ask(questions.EARNINGS, asked)]

    async def charge(self, movement: MovementRef) -> ChargeRow | None:
        """Return a charge, None if the movement is none."""
        asked = {**_of(movement.account), "seq": movement.seq}
        for row in await self._ask(questions.CHARGE, asked):
            charge = Charge(
                movement=movement,
                operation=row.operation,
                units=row.units,
                price_version=row.price_version,
                cost=row.total,
                available=row.available,
                at=row.at,
            )
            return ChargeRow(charge, row.app_id, int(row.refunded))
        return None

    async def members(
        self, organisation: AccountRef, *, after: AccountRef | None, limit: int
    ) -> list[MemberRow]:
        """Return at most `limit` (up to PAGE_MAX) memberships after one, those that ended too.

        In no order but an unchanging one; none for an account that is no organisation's.
        """
        first = 0 if after is None else after.account_id
        asked = {"root": organisation.root_id, "after": first, "limit": _bounded(limit)}
        return [_member(row) for row in await self._ask(sharing_questions.MEMBERS, asked)]

    async def budgets(self, member: AccountRef) -> list[BudgetRow]:
        """Return what the pool pays for a member, by period, and what was used of it by now."""
        rows = await self._ask(sharing_questions.BUDGETS, _of(member))
        return [
            BudgetRow(row.o_period, row.o_begins, row.o_amount, row.o_used, tuple(row.o_levels))
            for row in rows
        ]

    async def links(
        self, account: AccountRef, *, after: LinkRow | None, limit: int
    ) -> list[LinkRow]:
        """Return at most `limit` (up to PAGE_MAX) of the account's links, by address, after one."""
        asked = {
            **_of(account),
            "after_address": b"" if after is None else after.address,
            "after_chain": sharing_questions.EVERY_CHAIN
            if after is None or after.chain_id is None
            else after.chain_id,
            "limit": _bounded(limit),
        }
        return [
            LinkRow(
                row.address,
                None if row.chain_id == sharing_questions.EVERY_CHAIN else row.chain_id,
                row.linked_at,
            )
            for row in await self._ask(sharing_questions.LINKS, asked)
        ]

    async def status_changes(
        self, account: AccountRef, *, before_no: int | None, limit: int
    ) -> list[StatusChangeRow]:
        """Return at most `limit` (up to PAGE_MAX) of who froze or opened it, newest first.

        What a debt froze or a repayment opened is not among them: its entries tell.
        """
        asked = {**_of(account), **_page(before_no, limit)}
        return [
            StatusChangeRow(row.change_no, row.status, row.changed_by, row.reason, row.at)
            for row in await self._ask(sharing_questions.STATUS_CHANGES, asked)
        ]

    async def operations(self) -> list[OperationRow]:
        """Return the prices in force, by the name of their operation."""
        return [OperationRow(**row._asdict()) for row in await self._ask(questions.OPERATIONS, {})]

    async def api_key(self, digest: bytes) -> ApiKeyRow | None:
        """Return the API key whose SHA-256 is `digest`, good or not, None if there is none."""
        for row in await self._ask(questions.API_KEY, {"digest": digest}):
            return ApiKeyRow(**{**row._asdict(), "scopes": frozenset(row.scopes)})
        return None

    async def chains(self) -> list[ChainRow]:
        """Return how far every chain has been followed, by chain id."""
        return [ChainRow(**row._asdict()) for row in await self._ask(questions.CHAINS, {})]

    async def alarms(self) -> list[Alarm]:
        """Return what an operator has to look at, by chain."""
        return [Alarm(**row._asdict()) for row in await self._ask(questions.ALARMS, {})]

    async def _ask(self, question: Executable, asked: Mapping[str, object]) -> Sequence[Row[Any]]:
        try:
            return await self._ask_once(question, asked)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise _told(error) from error
        # The session was lost, perhaps long ago in the pool. A question may be asked again.
        try:
            return await self._ask_once(question, asked)
        except DBAPIError as error:
            raise _told(error) from error

    async def _ask_once(
        self, question: Executable, asked: Mapping[str, object]
    ) -> Sequence[Row[Any]]:
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(question, asked)).all()
        except PoolTimeoutError as error:
            raise LedgerBusy(
                f"none of {SESSIONS_MAX} sessions came free in {SESSION_WAIT_SECONDS} seconds"
            ) from error


def _told(error: DBAPIError) -> Exception:
    cause = error.orig
    if isinstance(cause, _OTHER_BOOKS):
        return SchemaMismatch(
            "the database does not hold the books of this creditd: run `creditd migrate`"
            f" ({cause.diag.message_primary})"
        )
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return unreachable(cause)
    ours = translated(cause) if isinstance(cause, psycopg.Error) else None
    return ours or error


def _of(account: AccountRef) -> dict[str, int]:
    return {"root": account.root_id, "account": account.account_id}


def _bounded(limit: int) -> int:
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"a page has between 1 and {PAGE_MAX} rows, not {limit}")
    return limit


def _page(before: int | None, limit: int) -> dict[str, int]:
    # Whatever number a caller sends, the position is one a bigint can hold.
    position = BIGINT_MAX if before is None else max(0, min(before, BIGINT_MAX))
    return {"before": position, "limit": _bounded(limit)}


def _member(row: Row[Any]) -> MemberRow:
    moved = None if row.moved_root is None else AccountRef(row.moved_root, row.moved_account)
    account = AccountRef(row.root_id, row.account_id)
    return MemberRow(account, row.name, row.status, row.joined_at, row.left_at, moved)


def _entry(row: Row[Any]) -> EntryRow:
    return EntryRow(
        seq=row.seq,
        kind=EntryKind(row.kind).name.lower(),
        amount=row.amount,
        available_after=row.available_after,
        debt_after=row.debt_after,
        movement=row.movement,
        refers_to=row.refers_to,
        operation=row.operation,
        units=row.units,
        price_version=row.price_version,
        # A charge may be a grant's cause too: what no rule made has no event.
        grant=None if row.source is None else _origin(row),
        at=row.at,
    )


def _origin(row: Row[Any]) -> GrantOrigin | None:
    event = EventIdentity.of_cause(row.cause)
    if event is None:
        return None
    return GrantOrigin(
        source=row.source,
        chain_id=event.chain_id,
        tx_hash=event.tx_hash,
        ordinal=event.place,
        incarnation=row.incarnation,
        period_end=event.period_end,
        reward=event.reward,
    )


def _earning(row: Row[Any]) -> EarningRow:
    event = EventIdentity(row.chain_id, row.tx_hash, row.ordinal, row.role)
    return EarningRow(
        cursor=EarningCursor(row.event_no),
        source=row.source,
        chain_id=row.chain_id,
        chain=row.chain,
        role="accrues" if event.period_end else _ROLES[row.role],
        tx_hash=event.tx_hash,
        ordinal=event.place,
        period_end=event.period_end,
        reward=event.reward,
        block_number=row.block_number,
        block_hash=row.block_hash,
        block_time=row.block_time,
        wallet=row.wallet,
        amount=int(row.amount),
        credits=row.credits,
        state=row.state,
        confirmations=row.confirmations,
        confirmations_needed=row.confirmations_needed,
        due_block=row.due_block,
        incarnation=row.incarnation,
    )
