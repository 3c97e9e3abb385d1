"""What operators look at: sources, logs set aside, alarms, the last audit, what operators did."""

import re
from typing import Final

from api.calling.addresses import format_address
from api.calling.calls import Answer, Call
from api.calling.cursors import format_cursor, no_cursor, paged, parse_cursor, parse_name_cursor
from api.operating import wire
from api.operating.desk import Desk
from api.shapes import NoBody, NoQuery, PageQuery
from ledger.credits import format_credits
from ledger.ids import format_account
from ledger.operator_reading import (
    FIRST_PLACE,
    ActRow,
    AsidePlace,
    SetAsideRow,
    SourceRow,
    last_audit,
    logs_set_aside,
    operator_acts,
)
from ledger.operator_reading import sources as read_sources
from ledger.requests import BIGINT_MAX

_PLACE: Final = re.compile(r"([0-9]{1,19}):([0-9a-f]{64}):(-?[0-9]{1,10}):([0-9]{1,10})", re.ASCII)
_INTEGER_MAX: Final = 2**31 - 1


async def sources(desk: Desk, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the sources of all chains, with what came of each."""
    limit, cursor = call.query.limit, call.query.cursor
    after = 0 if cursor is None else parse_cursor("sources", cursor)
    if after > _INTEGER_MAX:
        raise no_cursor("sources")
    rows = await read_sources(desk.reading, after=after, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("sources", last.rule_id)
    return Answer(200, wire.SourcePage([_source(row) for row in page], next_cursor))


async def set_aside(desk: Desk, call: Call[NoBody, wire.SetAsideQuery]) -> Answer:
    """Return a page of the logs that no source understood."""
    query = call.query
    rows = await logs_set_aside(
        desk.reading,
        chain=query.chain,
        source=query.source,
        after=FIRST_PLACE if query.cursor is None else _parse_place(query.cursor),
        limit=query.limit + 1,
    )
    page, last = paged(rows, query.limit)
    next_cursor = None if last is None else _format_place(last.place)
    return Answer(200, wire.SetAsidePage([_aside(row) for row in page], next_cursor))


async def acts(desk: Desk, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of what operators did, newest first."""
    limit, cursor = call.query.limit, call.query.cursor
    before = None if cursor is None else parse_cursor("acts", cursor)
    rows = await operator_acts(desk.reading, before=before, limit=limit + 1)
    page, last = paged(rows, limit)
    next_cursor = None if last is None else format_cursor("acts", last.number)
    return Answer(200, wire.ActPage([_act(row) for row in page], next_cursor))


async def alarms(desk: Desk, _call: Call[NoBody, NoQuery]) -> Answer:
    """Return what has to be looked at."""
    found = [
        wire.OperatorAlarm(each.chain, each.kind, each.said, each.remedy, each.since)
        for each in await desk.reading.alarms()
    ]
    return Answer(200, wire.OperatorAlarms(found))


async def audit(desk: Desk, _call: Call[NoBody, NoQuery]) -> Answer:
    """Return what the last audit of all books found."""
    row = await last_audit(desk.reading)
    if row is None:
        return Answer(200, wire.LastAudit(None, None, None))
    return Answer(200, wire.LastAudit(row.at, row.breaches, row.said))


def _source(row: SourceRow) -> wire.Source:
    return wire.Source(
        source=row.source,
        kind=row.kind,
        chain=row.chain,
        chain_id=row.chain_id,
        contract=format_address(row.contract),
        event=row.event,
        from_block=row.from_block,
        to_block=row.to_block,
        followed=not row.is_left,
        followed_to=row.indexed_number,
        confirmed_to=row.confirmed_number,
        seen=row.seen,
        pending=row.pending,
        granted_events=row.confirmed,
        granted=format_credits(row.granted),
        set_aside=row.aside,
    )


def _aside(row: SetAsideRow) -> wire.SetAsideLog:
    return wire.SetAsideLog(
        chain=row.chain,
        chain_id=row.place.chain_id,
        source=row.source,
        tx_hash=f"0x{row.place.tx_hash.hex()}",
        ordinal=row.place.ordinal,
        block_number=row.block_number,
        block_hash=f"0x{row.block_hash.hex()}",
        log_index=row.log_index,
        address=format_address(row.address),
        topics=[f"0x{topic.hex()}" for topic in row.topics],
        data=f"0x{row.data.hex()}",
        reason=row.reason,
        seen_at=row.seen_at,
        is_final=row.is_final,
        remedy=f"POST /v1/replays, or creditd replay --source {row.source}",
    )


def _act(row: ActRow) -> wire.Act:
    return wire.Act(
        number=row.number,
        kind=row.kind,
        account=None if row.account is None else format_account(row.account),
        source=row.source,
        first_block=row.first_block,
        last_block=row.last_block,
        grant=row.entry,
        amount=None if row.amount is None else format_credits(row.amount),
        address=None if row.address is None else format_address(row.address),
        chain_id=row.chain_id,
        api_key=row.api_key_id,
        by=row.by,
        reason=row.reason,
        at=row.at,
    )


def _format_place(place: AsidePlace) -> str:
    name = f"{place.chain_id}:{place.tx_hash.hex()}:{place.ordinal}:{place.rule_id}"
    return format_cursor("set-aside", name)


def _parse_place(cursor: str) -> AsidePlace:
    found = _PLACE.fullmatch(parse_name_cursor("set-aside", cursor))
    if found is not None:
        place = AsidePlace(int(found[1]), bytes.fromhex(found[2]), int(found[3]), int(found[4]))
        in_range = place.chain_id <= BIGINT_MAX and place.rule_id <= _INTEGER_MAX
        if in_range and abs(place.ordinal) <= _INTEGER_MAX:
            return place
    raise no_cursor("set-aside")
