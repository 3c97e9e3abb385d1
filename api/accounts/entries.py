"""What was done on an account: its rows in the books."""

from api.accounts import wire
from api.accounts.origins import hash_shown, reward_shown
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, parse_cursor
from api.calling.reached import reached_account
from api.shapes import NoBody, PageQuery
from ledger.credits import format_credits
from ledger.reading import EntryRow, GrantOrigin


async def entries(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of the account's entries, newest first."""
    account = await reached_account(parts, call.caller, call.path["account"])
    cursor = call.query.cursor
    before = None if cursor is None else parse_cursor("entries", cursor)
    # One row more than asked for tells whether there is a next page.
    rows = await parts.reading.entries(account, before_seq=before, limit=call.query.limit + 1)
    page = rows[: call.query.limit]
    more = len(rows) > len(page)
    return Answer(
        200,
        wire.EntryPage(
            [_entry(row) for row in page],
            format_cursor("entries", page[-1].seq) if more else None,
        ),
    )


def _entry(row: EntryRow) -> wire.Entry:
    return wire.Entry(
        seq=row.seq,
        kind=row.kind,
        amount=format_credits(row.amount),
        available_after=format_credits(row.available_after),
        debt_after=format_credits(row.debt_after),
        movement=row.movement,
        refers_to=row.refers_to,
        operation=row.operation,
        model=row.model,
        units=row.units,
        price_version=row.price_version,
        grant=None if row.grant is None else _origin(row.grant),
        at=row.at,
    )


def _origin(grant: GrantOrigin) -> wire.Origin:
    return wire.Origin(
        source=grant.source,
        chain_id=grant.chain_id,
        tx_hash=hash_shown(grant.tx_hash),
        ordinal=grant.ordinal,
        period_end=grant.period_end,
        reward=reward_shown(grant.reward),
    )
