"""Organisations, and all accounts that an app opened under names of its own."""

from api.accounts import sharing_wire as wire
from api.calling.asked import account_of_path
from api.calling.caller import Caller
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, paged, parse_name_cursor
from api.problems.refusals import Refused
from api.shapes import NoBody, NoQuery, PageQuery
from ledger import holders
from ledger.holders import NamedAccountRow
from ledger.ids import format_account
from ledger.outcomes import AccountOpened, NoSuchAccount


async def accounts(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the accounts that the app opened, by name."""
    limit, cursor = call.query.limit, call.query.cursor
    after = "" if cursor is None else parse_name_cursor("accounts", cursor)
    rows = await holders.named_accounts(
        parts.reading, call.caller.app_id, after=after, limit=limit + 1
    )
    page, last = paged(rows, limit)
    data = [
        wire.NamedAccount(
            format_account(row.account), row.name, row.kind, row.status, row.opened_at
        )
        for row in page
    ]
    return Answer(200, wire.NamedAccountPage(data, _next("accounts", last)))


async def organisations(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the app's organisations, by name."""
    limit, cursor = call.query.limit, call.query.cursor
    after = "" if cursor is None else parse_name_cursor("organisations", cursor)
    rows = await holders.organisations(
        parts.reading, call.caller.app_id, after=after, limit=limit + 1
    )
    page, last = paged(rows, limit)
    data = [_organisation(row) for row in page]
    return Answer(200, wire.OrganisationPage(data, _next("organisations", last)))


async def open_organisation(parts: Parts, call: Call[wire.OrganisationRequest, NoQuery]) -> Answer:
    """Open the app's organisation under its name, or find it."""
    opened = await parts.sharing.open_organisation(app_id=call.caller.app_id, name=call.body.name)
    if not isinstance(opened, AccountOpened):
        raise Refused(opened)
    row = await holders.organisation(parts.reading, call.caller.app_id, opened.account)
    if row is None:
        raise Refused(NoSuchAccount())
    location = ("Location", f"/v1/organisations/{format_account(opened.account)}")
    return Answer(201 if opened.created else 200, _organisation(row), (location,))


async def organisation(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return an organisation of the app."""
    row = await organisation_named(parts, call.caller, call.path["account"])
    return Answer(200, _organisation(row))


async def organisation_named(parts: Parts, caller: Caller, name: str) -> NamedAccountRow:
    """Return the app's organisation that a path names. Raises Refused(NoSuchAccount)."""
    row = await holders.organisation(parts.reading, caller.app_id, account_of_path(name))
    if row is None:
        raise Refused(NoSuchAccount())
    return row


def _next(list_name: str, last: NamedAccountRow | None) -> str | None:
    return None if last is None else format_cursor(list_name, last.name)


def _organisation(row: NamedAccountRow) -> wire.Organisation:
    return wire.Organisation(format_account(row.account), row.name, row.status, row.opened_at)
