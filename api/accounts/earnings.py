"""What an account's wallets earned on the chains, and where to find it there."""

from api.accounts import wire
from api.accounts.origins import hash_shown, reward_shown
from api.calling.addresses import format_address
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, parse_cursor
from api.calling.reached import reached_account
from api.shapes import NoBody, PageQuery
from ledger.credits import format_credits
from ledger.reading import EarningCursor, EarningRow


async def earnings(parts: Parts, call: Call[NoBody, PageQuery]) -> Answer:
    """Return a page of what the account's wallets earned, newest first."""
    account = await reached_account(parts, call.caller, call.path["account"])
    cursor = call.query.cursor
    before = None if cursor is None else EarningCursor(parse_cursor("earnings", cursor))
    rows = await parts.reading.earnings(account, before=before, limit=call.query.limit + 1)
    page = rows[: call.query.limit]
    more = len(rows) > len(page)
    # A page is of one wallet or a few, and a checksum is as dear as the rest of a row.
    wallets = {row.wallet: format_address(row.wallet) for row in page}
    return Answer(
        200,
        wire.EarningPage(
            [_earning(row, wallets[row.wallet]) for row in page],
            format_cursor("earnings", page[-1].cursor) if more else None,
        ),
    )


def _earning(row: EarningRow, wallet: str) -> wire.Earning:
    return wire.Earning(
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
    )
