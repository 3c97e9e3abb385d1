"""Consents: the owner of an account lets an app act for it, and takes that back."""

from typing import Any

from api.accounts import consent_wire as wire
from api.calling.caller import Caller
from api.calling.calls import Answer, Call, Parts, marked
from api.calling.cursors import format_cursor, no_cursor, paged, parse_cursor, parse_name_cursor
from api.problems.refusals import ForOwnersOnly, Refused
from api.shapes import NoBody, NoQuery, PageQuery
from ledger.api_keys import BeyondOwnRights
from ledger.consents import NUMBER_MAX, ConsentRow, May, consents_for, consents_of
from ledger.ids import AccountRef, format_account, parse_account
from ledger.outcomes import ConsentEnded, ConsentGiven, NoSuchAccount, NoSuchConsent


async def consents(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the account's consents, newest first, for its owner."""
    account = _own_account(call)
    limit, cursor = call.query.limit, call.query.cursor
    before = None if cursor is None else parse_cursor("consents", cursor)
    rows = await consents_of(parts.reading, account, before=before, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("consents", last.number)
    return Answer(200, wire.ConsentPage([_consent(row) for row in page], next_cursor))


async def give(parts: Parts, call: Call[wire.ConsentRequest, NoQuery]) -> Answer:
    """Let an app act for the account; again is answered as before."""
    account = _own_account(call)
    await _require_own_rights(parts, call.caller, call.body.may)
    outcome = await parts.consents.give(
        account, app=call.body.app, may=call.body.may, by=_signature(call)
    )
    match outcome:
        case ConsentGiven(number, replayed):
            return await _answer(parts, account, number, 200 if replayed else 201)
        case _:
            raise Refused(outcome)


async def withdraw(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Take a consent back; again is answered as before."""
    account = _own_account(call)
    digits = call.path["consent"]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(NUMBER_MAX))):
        raise Refused(NoSuchConsent())
    number = int(digits)
    outcome = await parts.consents.withdraw(account, number, by=_signature(call))
    match outcome:
        case ConsentEnded(replayed):
            return await _answer(parts, account, number, 200, replayed=replayed)
        case _:
            raise Refused(outcome)


async def given(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the accounts whose owners let the app act for them."""
    limit, cursor = call.query.limit, call.query.cursor
    after = None if cursor is None else _after(cursor)
    rows = await consents_for(parts.reading, call.caller.app_id, after=after, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("consents", format_account(last.account))
    data = [wire.GrantedAccess(format_account(row.account), row.may, row.given_at) for row in page]
    return Answer(200, wire.GrantedAccessPage(data, next_cursor))


def _own_account(call: Call[Any, Any]) -> AccountRef:
    """Return the caller's own account, which the path names.

    Raises Refused(ForOwnersOnly) for an app, Refused(NoSuchAccount) for another account.
    """
    own = call.caller.account
    if own is None or call.caller.kind not in {"personal", "session"}:
        raise Refused(ForOwnersOnly())
    if call.path["account"] != format_account(own):
        raise Refused(NoSuchAccount())
    return own


async def _require_own_rights(parts: Parts, caller: Caller, may: May) -> None:
    """Refuse an API key that lets an app do what it may not do itself.

    Raises Refused(BeyondOwnRights).
    """
    if caller.api_key_id is None:
        return
    if may == "read":
        within = "balance:read" in caller.scopes
    else:
        # What an app charges counts in no cap of this API key.
        record = await parts.reading.api_key_record(caller.api_key_id)
        is_limited = caller.operations is not None or record is None or bool(record.caps)
        within = "charge:write" in caller.scopes and not is_limited
    if not within:
        raise Refused(BeyondOwnRights())


def _signature(call: Call[Any, Any]) -> str:
    key_id = call.caller.api_key_id
    return "the owner, signed in" if key_id is None else f"the owner, by API key {key_id}"


def _after(cursor: str) -> AccountRef:
    try:
        return parse_account(parse_name_cursor("consents", cursor))
    except ValueError as error:
        raise no_cursor("consents") from error


async def _answer(
    parts: Parts, account: AccountRef, number: int, status: int, *, replayed: bool = False
) -> Answer:
    for row in await consents_of(parts.reading, account, before=number + 1, limit=1):
        return Answer(status, _consent(row), marked((), replayed=replayed))
    raise Refused(NoSuchConsent())


def _consent(row: ConsentRow) -> wire.Consent:
    return wire.Consent(
        id=row.number,
        account=format_account(row.account),
        app=row.app,
        may=row.may,
        given_by=row.given_by,
        given_at=row.given_at,
        withdrawn_by=row.withdrawn_by,
        withdrawn_at=row.withdrawn_at,
    )
