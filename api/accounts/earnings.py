"""What an account's wallets earned on the chains, and where to find it there."""

from collections.abc import AsyncGenerator, Sequence

from api.accounts import wire
from api.accounts.csv_files import ROWS_AT_ONCE, csv_stream
from api.accounts.origins import hash_shown, reward_shown
from api.calling.addresses import format_address
from api.calling.calls import Answer, Call, Parts, Stream
from api.calling.cursors import format_cursor, paged, parse_cursor
from api.calling.reached import reached_account
from api.problems.refusals import NoSuchEarning, Refused
from api.shapes import NoBody, NoQuery
from ledger.credits import format_credits
from ledger.ids import AccountRef, format_earning, parse_earning
from ledger.reading import EarningCursor, EarningRow


async def earnings(parts: Parts, call: Call[NoBody, wire.EarningQuery]) -> Answer:
    """Return a page of what the account's wallets earned, newest first."""
    account = await reached_account(parts, call.caller, call.path["account"])
    query, cursor = call.query, call.query.cursor
    before = None if cursor is None else EarningCursor(parse_cursor("earnings", cursor))
    rows = await parts.reading.earnings(
        account, before=before, limit=query.limit + 1, state=query.state, source=query.source
    )
    page, last = paged(rows, query.limit)
    next_cursor = None if last is None else format_cursor("earnings", last.cursor)
    return Answer(200, wire.EarningPage(earnings_shown(page), next_cursor))


async def earning(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return one of the account's earnings."""
    account = await reached_account(parts, call.caller, call.path["account"])
    try:
        number = EarningCursor(parse_earning(call.path["earning"]))
    except ValueError as error:
        raise Refused(NoSuchEarning()) from error
    for row in await parts.reading.earnings_named(account, [number]):
        return Answer(200, earning_shown(row))
    raise Refused(NoSuchEarning())


async def earnings_file(parts: Parts, call: Call[NoBody, wire.EarningFileQuery]) -> Stream:
    """Return what the account's wallets earned up to now as a file."""
    account = await reached_account(parts, call.caller, call.path["account"])
    return csv_stream("earnings", wire.Earning, _pages(parts, account, call.query))


async def _pages(
    parts: Parts, account: AccountRef, query: wire.EarningFileQuery
) -> AsyncGenerator[Sequence[wire.Earning], None]:
    before = None
    while True:  # bounded by what there is: each page lies before the last
        rows = await parts.reading.earnings(
            account, before=before, limit=ROWS_AT_ONCE, state=query.state, source=query.source
        )
        yield earnings_shown(rows)
        if len(rows) < ROWS_AT_ONCE:
            return
        before = rows[-1].cursor


def earnings_shown(rows: Sequence[EarningRow]) -> list[wire.Earning]:
    """Return earnings as they are shown."""
    # They are of one wallet or a few, and a checksum is as dear as the rest of a row.
    wallets = {row.wallet: format_address(row.wallet) for row in rows}
    return [_earning(row, wallets[row.wallet]) for row in rows]


def earning_shown(row: EarningRow) -> wire.Earning:
    """Return an earning as it is shown."""
    return _earning(row, format_address(row.wallet))


def _earning(row: EarningRow, wallet: str) -> wire.Earning:
    return wire.Earning(
        id=format_earning(row.cursor),
        state=row.state,
        source=row.source,
        credits=format_credits(row.credits),
        amount=str(row.amount),
        chain_id=row.chain_id,
        chain=row.chain,
        wallet=wallet,
        role=row.role,
        tx_hash=hash_shown(row.tx_hash),
        ordinal=row.ordinal,
        period_end=row.period_end,
        reward=reward_shown(row.reward),
        block_number=row.block_number,
        block_hash=f"0x{row.block_hash.hex()}",
        block_time=row.block_time,
        confirmations=row.confirmations,
        confirmations_needed=row.confirmations_needed,
        due_block=row.due_block,
        ready_at=row.ready_at,
        log_index=row.log_index,
        entry=row.lot_no,
    )
