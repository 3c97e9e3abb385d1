"""Who holds accounts: what apps call theirs, and who is a member of which organisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Integer, Text, and_, bindparam, select

from ledger.asking import Row, bounded, of_account
from ledger.ids import AccountRef
from ledger.question_parts import MEMBERS, of_asked
from ledger.reading import MemberRow, Reading
from ledger.rows import AccountKind, AccountStatus
from ledger.schema import account, account_name, app, member

_APP: Final = account_name.c.app_id == bindparam("app", type_=Integer)
_APP_NUMBER: Final = select(app.c.app_id).where(app.c.name == bindparam("name", type_=Text))
_NAMED: Final = (
    select(
        account_name.c.name,
        account.c.root_id,
        account.c.account_id,
        account.c.kind,
        account.c.status,
        account.c.created_at,
    )
    .join_from(
        account_name,
        account,
        and_(
            account.c.root_id == account_name.c.root_id,
            account.c.account_id == account_name.c.account_id,
        ),
    )
    .where(_APP)
)
_NEXT: Final = (
    _NAMED.where(account_name.c.name > bindparam("after", type_=Text))
    .order_by(account_name.c.name)
    .limit(bindparam("limit", type_=Integer))
)
_ORGANISATIONS: Final = _NEXT.where(account_name.c.is_organisation)
_ORGANISATION: Final = _NAMED.where(of_asked(account_name), account_name.c.is_organisation)
_MEMBER: Final = MEMBERS.where(of_asked(member))


@dataclass(frozen=True, slots=True)
class NamedAccountRow:
    """An account under the name that an app gave it, with its kind and its status."""

    name: str
    account: AccountRef
    kind: AccountKind
    status: AccountStatus
    opened_at: datetime


async def app_number(reading: Reading, name: str) -> int | None:
    """Return the number of the app of a name, None if there is none."""
    for row in await reading.ask(_APP_NUMBER, {"name": name}):
        return int(row.app_id)
    return None


async def named_accounts(
    reading: Reading, app_id: int, *, after: str, limit: int
) -> list[NamedAccountRow]:
    """Return at most `limit` (up to PAGE_MAX) accounts that an app opened, by name, after one."""
    asked = {"app": app_id, "after": after, "limit": bounded(limit)}
    return _named(await reading.ask(_NEXT, asked))


async def organisations(
    reading: Reading, app_id: int, *, after: str, limit: int
) -> list[NamedAccountRow]:
    """As `named_accounts`, of the app's organisations alone."""
    asked = {"app": app_id, "after": after, "limit": bounded(limit)}
    return _named(await reading.ask(_ORGANISATIONS, asked))


async def organisation(reading: Reading, app_id: int, of: AccountRef) -> NamedAccountRow | None:
    """Return the app's organisation whose pool an account is, None if it is none."""
    asked = {"app": app_id, **of_account(of)}
    for row in _named(await reading.ask(_ORGANISATION, asked)):
        return row
    return None


async def membership(reading: Reading, of: AccountRef) -> MemberRow | None:
    """Return whose account a member's is, None for any other account."""
    for row in await reading.ask(_MEMBER, of_account(of)):
        return MemberRow.of(row)
    return None


def _named(rows: Sequence[Row]) -> list[NamedAccountRow]:
    return [
        NamedAccountRow(
            row.name,
            AccountRef(row.root_id, row.account_id),
            row.kind,
            row.status,
            row.created_at,
        )
        for row in rows
    ]
