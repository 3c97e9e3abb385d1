"""Consents: which apps act for an account because its owner says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import BigInteger, Integer, and_, bindparam, select, tuple_

from ledger.asking import Row, bounded, of_account, page
from ledger.changes import Changes
from ledger.connecting import Role
from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.outcomes import (
    AccountClosed,
    ConsentEnded,
    ConsentGiven,
    ConsentOutcome,
    EndOutcome,
    NoConsentNeeded,
    NoSuchAccount,
    NoSuchApp,
    NoSuchConsent,
)
from ledger.reading import Reading
from ledger.schema import app, consent
from ledger.session import Session, opened

May = Literal["spend", "read"]
"""Charge, reserve and read; or read alone."""

SIGNED_MAX: Final = 100  # a name for a person to read
NUMBER_MAX: Final = 2**31 - 1

_ROWS: Final = select(consent, app.c.name.label("app")).join_from(
    consent, app, app.c.app_id == consent.c.app_id
)
_LIMIT: Final = bindparam("limit", type_=Integer)
_OF_ACCOUNT: Final = (
    _ROWS.where(
        consent.c.root_id == bindparam("root", type_=BigInteger),
        consent.c.account_id == bindparam("account", type_=BigInteger),
        consent.c.consent_no < bindparam("before", type_=BigInteger),
    )
    .order_by(consent.c.consent_no.desc())
    .limit(_LIMIT)
)
_OF_APP: Final = (
    _ROWS.where(
        and_(
            consent.c.app_id == bindparam("app", type_=Integer),
            consent.c.withdrawn_at.is_(None),
            tuple_(consent.c.root_id, consent.c.account_id)
            > tuple_(
                bindparam("after_root", type_=BigInteger),
                bindparam("after_account", type_=BigInteger),
            ),
        )
    )
    .order_by(consent.c.root_id, consent.c.account_id)
    .limit(_LIMIT)
)


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """That an app may act for an account, who said so, and who took it back if somebody did."""

    account: AccountRef
    number: int
    app: str
    may: May
    given_by: str
    given_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None


class Consents:
    """Gives and withdraws consents. Made by `Consents.open`, or on a session."""

    def __init__(self, session: Session, changes: Changes | None = None) -> None:
        self._session = session
        self._changes = changes

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, role: Role = "creditd_api", *, changes: Changes | None = None
    ) -> AsyncIterator["Consents"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable.

        The books tell of its writes; `changes` tells this process before the write is answered.
        """
        async with opened(database_url, role) as session:
            yield cls(session, changes)

    async def give(self, account: AccountRef, *, app: str, may: May, by: str) -> ConsentOutcome:
        """Let the app of a name act for an account; a consent for it that differs ends.

        The caller answers for `by` (1 to 100 characters) being the owner, or speaking for it.
        Raises LedgerError for another length.
        """
        _require_signature(by)
        rows = await self._session.rows(
            "select * from creditd.give_consent(%s::bigint, %s::bigint, %s, %s, %s)",
            (*account, app, may == "spend", by),
        )
        self._tell(account)
        outcome, number = rows[0]
        match outcome:
            case "given" | "replayed":
                return ConsentGiven(number, replayed=outcome == "replayed")
            case "no_app":
                return NoSuchApp()
            case "own":
                return NoConsentNeeded()
            case "closed":
                return AccountClosed()
            case _:
                return NoSuchAccount()

    async def withdraw(self, account: AccountRef, number: int, *, by: str) -> EndOutcome:
        """Take a consent back: no charge begun after this has answered goes through.

        What the app had reserved it may still settle, up to what is held, or release, and what it
        had charged give back. As `give` else.
        """
        _require_signature(by)
        if not 1 <= number <= NUMBER_MAX:
            return NoSuchConsent()
        rows = await self._session.rows(
            "select creditd.withdraw_consent(%s::bigint, %s::bigint, %s, %s)",
            (*account, number, by),
        )
        self._tell(account)
        match rows[0][0]:
            case "withdrawn" | "replayed" as outcome:
                return ConsentEnded(replayed=outcome == "replayed")
            case _:
                return NoSuchConsent()

    def _tell(self, account: AccountRef) -> None:
        if self._changes is not None:
            self._changes.tell([account])


async def consents_of(
    reading: Reading, account: AccountRef, *, before: int | None, limit: int
) -> list[ConsentRow]:
    """Return at most `limit` (up to PAGE_MAX) consents, those withdrawn too, newest first."""
    asked = {**of_account(account), **page(before, limit)}
    return [_row(row) for row in await reading.ask(_OF_ACCOUNT, asked)]


async def consents_for(
    reading: Reading, app_id: int, *, after: AccountRef | None, limit: int
) -> list[ConsentRow]:
    """Return at most `limit` (up to PAGE_MAX) consents that stand for an app, after an account."""
    root, number = (0, 0) if after is None else after
    asked = {"app": app_id, "after_root": root, "after_account": number, "limit": bounded(limit)}
    return [_row(row) for row in await reading.ask(_OF_APP, asked)]


def _require_signature(by: str) -> None:
    if not 1 <= len(by) <= SIGNED_MAX:
        raise LedgerError(f"who gives or withdraws consent has a name of 1 to {SIGNED_MAX} letters")


def _row(row: Row) -> ConsentRow:
    return ConsentRow(
        account=AccountRef(row.root_id, row.account_id),
        number=row.consent_no,
        app=row.app,
        may="spend" if row.may_spend else "read",
        given_by=row.given_by,
        given_at=row.given_at,
        withdrawn_by=row.withdrawn_by,
        withdrawn_at=row.withdrawn_at,
    )
