"""The members of organisations: they join, leave and move, and have credits of the pool's."""

from typing import Any

from api.accounts import sharing_wire as wire
from api.accounts.organisations import organisation_named
from api.calling.asked import account_of_path, credits_asked
from api.calling.calls import Answer, Call, Parts, marked
from api.calling.cursors import format_cursor, no_cursor, paged, parse_name_cursor
from api.problems.refusals import Invalid, Refused
from api.shapes import NoBody, NoQuery, PageQuery
from ledger import holders
from ledger.credits import format_credits
from ledger.ids import AccountRef, format_account, parse_account
from ledger.outcomes import (
    AccountOpened,
    Allocated,
    AllocationOutcome,
    MemberMoved,
    MemberRemoved,
    NoSuchAccount,
)
from ledger.reading import MemberRow


async def add_member(parts: Parts, call: Call[wire.MemberRequest, NoQuery]) -> Answer:
    """Open a member's account under the organisation's name for it, or find it."""
    organisation = await organisation_named(parts, call.caller, call.path["account"])
    opened = await parts.sharing.add_member(
        app_id=call.caller.app_id, organisation=organisation.account, name=call.body.name
    )
    if not isinstance(opened, AccountOpened):
        raise Refused(opened)
    return await _answer(parts, opened.account, 201 if opened.created else 200)


async def members(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of an organisation's memberships, those that ended too."""
    organisation = (await organisation_named(parts, call.caller, call.path["account"])).account
    limit, cursor = call.query.limit, call.query.cursor
    after = None if cursor is None else _after(organisation, cursor)
    rows = await parts.reading.members(organisation, after=after, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("members", format_account(last.account))
    return Answer(200, wire.MemberPage([_member(row) for row in page], next_cursor))


async def member(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return a membership."""
    return await _answer(parts, await member_named(parts, call), 200)


async def remove_member(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """End a membership; again is answered as before."""
    account = await member_named(parts, call)
    outcome = await parts.sharing.remove_member(app_id=call.caller.app_id, member=account)
    match outcome:
        case MemberRemoved(replayed):
            return await _answer(parts, account, 200, replayed=replayed)
        case _:
            raise Refused(outcome)


async def move_member(parts: Parts, call: Call[wire.MoveRequest, NoQuery]) -> Answer:
    """End a membership and begin one in another organisation; again is answered as before."""
    account = await member_named(parts, call)
    try:
        to = parse_account(call.body.to)
    except ValueError as error:
        raise Refused(Invalid("to", str(error))) from error
    outcome = await parts.sharing.move_member(app_id=call.caller.app_id, member=account, to=to)
    match outcome:
        case MemberMoved(moved, replayed):
            return await _answer(parts, moved, 200 if replayed else 201, replayed=replayed)
        case _:
            raise Refused(outcome)


async def allocate(parts: Parts, call: Call[wire.AllocationRequest, NoQuery]) -> Answer:
    """Give a member credits of the pool's, once per key."""
    account = await member_named(parts, call)
    outcome = await parts.sharing.allocate(
        app_id=call.caller.app_id,
        member=account,
        key=call.key,
        amount=credits_asked("amount", call.body.amount),
    )
    return _allocated(outcome, to=account)


async def take_back(parts: Parts, call: Call[wire.AllocationRequest, NoQuery]) -> Answer:
    """Give the pool credits of a member's, once per key."""
    account = await member_named(parts, call)
    outcome = await parts.sharing.take_back(
        app_id=call.caller.app_id,
        member=account,
        key=call.key,
        amount=credits_asked("amount", call.body.amount),
    )
    return _allocated(outcome, to=AccountRef(account.root_id, account.root_id))


async def member_named(parts: Parts, call: Call[Any, Any]) -> AccountRef:
    """Return the member's account that a path names, of an organisation of the app's.

    Raises Refused(NoSuchAccount).
    """
    organisation = (await organisation_named(parts, call.caller, call.path["account"])).account
    account = account_of_path(call.path["member"])
    if account.root_id != organisation.root_id or account == organisation:
        raise Refused(NoSuchAccount())
    return account


def _after(organisation: AccountRef, cursor: str) -> AccountRef:
    name = parse_name_cursor("members", cursor)
    try:
        account = parse_account(name)
    except ValueError as error:
        raise no_cursor("members") from error
    if account.root_id != organisation.root_id:
        raise Refused(Invalid("cursor", "is a cursor of another organisation's members"))
    return account


async def _answer(
    parts: Parts, account: AccountRef, status: int, *, replayed: bool = False
) -> Answer:
    row = await holders.membership(parts.reading, account)
    if row is None:
        raise Refused(NoSuchAccount())
    return Answer(status, _member(row), marked((), replayed=replayed))


def _member(row: MemberRow) -> wire.Member:
    return wire.Member(
        id=format_account(row.account),
        organisation=format_account(AccountRef(row.account.root_id, row.account.root_id)),
        name=row.name,
        status=row.status,
        joined_at=row.joined_at,
        left_at=row.left_at,
        moved_to=None if row.moved_to is None else format_account(row.moved_to),
    )


def _allocated(outcome: AllocationOutcome, *, to: AccountRef) -> Answer:
    match outcome:
        case Allocated(allocation, replayed):
            body = wire.Allocation(
                account=format_account(allocation.movement.account),
                to=format_account(to),
                amount=format_credits(allocation.amount),
                available=format_credits(allocation.available),
                entry=allocation.movement.seq,
                at=allocation.at,
            )
            return Answer(201, body, marked((), replayed=replayed))
        case _:
            raise Refused(outcome)
