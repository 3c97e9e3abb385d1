"""API keys of one's own: listed, made, replaced and ended."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.caching import NO_STORE
from api.calling.asked import credits_asked
from api.calling.calls import Answer, Call, Parts, marked
from api.calling.cursors import format_cursor, paged, parse_cursor
from api.identity import key_wire as wire
from api.identity.keys import new_api_key
from api.problems.refusals import ForOwnersOnly, Invalid, Refused
from api.shapes import NoBody, NoQuery, PageQuery
from ledger.api_key_terms import ApiKeyTerms, Cap, Rate
from ledger.api_keys import ApiKeyMade, ApiKeyRotated, BeyondOwnRights, Manager, NoSuchApiKey
from ledger.credits import format_credits
from ledger.ids import format_account
from ledger.reading import ApiKeyRecord
from ledger.scopes import PERSONAL_SCOPES

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)  # the books number them with 32 bits


async def api_keys(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the app's API keys, or of the person's own, newest first."""
    caller, limit, cursor = call.caller, call.query.limit, call.query.cursor
    before = None if cursor is None else parse_cursor("keys", cursor)
    owner = caller.app_id if caller.account is None else caller.account
    rows = await parts.reading.api_keys(owner, before=before, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("keys", last.api_key.key_id)
    return Answer(200, wire.ApiKeyPage([_said(row) for row in page], next_cursor))


async def create(parts: Parts, call: Call[wire.ApiKeyRequest, NoQuery]) -> Answer:
    """Make an API key for the person's own account, once per idempotency key."""
    account = call.caller.account
    if account is None:
        raise Refused(ForOwnersOnly())
    new, manager = new_api_key("personal"), _manager(call)
    terms = _terms(call.body)
    if not manager.scopes.issuperset(terms.scopes):
        raise Refused(BeyondOwnRights())
    outcome = await parts.api_keys.create(manager, account, terms, new.secret, key=call.key)
    match outcome:
        case ApiKeyMade(key_id, replayed):
            made = wire.NewApiKey(
                key_id, None if replayed else new.text, await _record(parts, key_id)
            )
            return Answer(201, made, marked((NO_STORE,), replayed=replayed))
        case _:
            raise Refused(outcome)


async def rotate(parts: Parts, call: Call[wire.RotateRequest, NoQuery]) -> Answer:
    """Give an API key a successor that may do the same, once per idempotency key."""
    new = new_api_key("app" if call.caller.account is None else "personal")
    outcome = await parts.api_keys.rotate(
        _manager(call),
        _number(call),
        timedelta(seconds=call.body.overlap),
        new.secret,
        key=call.key,
    )
    match outcome:
        case ApiKeyRotated(key_id, old_ends_at, replayed):
            made = wire.ReplacedApiKey(
                key_id, None if replayed else new.text, await _record(parts, key_id), old_ends_at
            )
            return Answer(201, made, marked((NO_STORE,), replayed=replayed))
        case _:
            raise Refused(outcome)


async def revoke(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """End an API key. Again is answered as it was."""
    number = _number(call)
    outcome = await parts.api_keys.revoke(_manager(call), number)
    if isinstance(outcome, NoSuchApiKey):
        raise Refused(outcome)
    return Answer(200, await _record(parts, number), marked((), replayed=not outcome))


def _manager(call: Call[Any, Any]) -> Manager:
    caller = call.caller
    # Who is signed in is the owner, who may do by an API key what a browser's session may not.
    scopes = PERSONAL_SCOPES if caller.kind == "session" else caller.scopes
    return Manager(caller.app_id, caller.account, caller.api_key_id, scopes)


def _terms(asked: wire.ApiKeyRequest) -> ApiKeyTerms:
    unknown = sorted(set(asked.scopes) - PERSONAL_SCOPES)
    if unknown:
        message = f"{unknown[0][:80]} is none that a personal API key has: those are"
        raise Refused(Invalid("scopes", f"{message} {', '.join(sorted(PERSONAL_SCOPES))}"))
    if asked.expires_at is not None and asked.expires_at <= datetime.now(UTC):
        raise Refused(Invalid("expires_at", "has passed: give a time to come, or none"))
    if len({cap.period for cap in asked.caps}) < len(asked.caps):
        raise Refused(Invalid("caps", "there is more than one for a period"))
    return ApiKeyTerms(
        scopes=sorted(set(asked.scopes)),
        operations=None if asked.operations is None else sorted(set(asked.operations)),
        caps=[Cap(cap.period, credits_asked("caps.amount", cap.amount)) for cap in asked.caps],
        rate=None if asked.rate is None else Rate(asked.rate.requests, asked.rate.seconds),
        expires_at=asked.expires_at,
    )


def _number(call: Call[Any, Any]) -> int:
    if _NUMBER.fullmatch(call.path["key"]) is None:
        raise Refused(NoSuchApiKey())
    return int(call.path["key"])


async def _record(parts: Parts, key_id: int) -> wire.ApiKey:
    record = await parts.reading.api_key_record(key_id)
    if record is None:
        raise Refused(NoSuchApiKey())
    return _said(record)


def _said(record: ApiKeyRecord) -> wire.ApiKey:
    row = record.api_key
    return wire.ApiKey(
        id=row.key_id,
        hint=record.hint,
        kind=row.kind,
        state=record.state,
        account=None if row.account is None else format_account(row.account),
        scopes=sorted(row.scopes),
        operations=None if row.operations is None else sorted(row.operations),
        caps=[
            wire.Cap(
                cap.period, format_credits(cap.amount), format_credits(cap.used), cap.renews_at
            )
            for cap in record.caps
        ],
        rate=None if row.rate is None else wire.Rate(row.rate.requests, row.rate.seconds),
        created_at=record.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        replaced_by=record.replaced_by,
        made_by=record.made_by,
        last_used_at=record.last_used_at,
        charges=record.charges,
        spent=format_credits(record.spent),
        refunded=format_credits(record.refunded),
    )
