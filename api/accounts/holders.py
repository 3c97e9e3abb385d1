"""Opening accounts, and reading what they have, what was done and what was earned."""

from msgspec import UNSET, UnsetType

from api.accounts import wire
from api.calling.addresses import format_address, parse_address
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, parse_cursor
from api.calling.reached import reached_account
from api.problems.refusals import Invalid, Refused
from api.shapes import NoBody, NoQuery, PageQuery
from ledger.causes import RewardOrigin
from ledger.credits import format_credits
from ledger.ids import format_account
from ledger.outcomes import AccountOpened, NoSuchAccount
from ledger.reading import EarningCursor, EarningRow, EntryRow, GrantOrigin


async def open_account(parts: Parts, call: Call[wire.AccountRequest, NoQuery]) -> Answer:
    """Open the app's own account, or that of a wallet it says it has checked; or find it."""
    match call.body:
        case wire.AccountRequest(name=str(name)):
            call.caller.require_scope(("accounts:write",))
            opened = await parts.spending.open_account(app_id=call.caller.app_id, name=name)
        case wire.AccountRequest(wallet=wallet):
            call.caller.require_scope(("accounts:attest",))
            opened = await _open_wallet_account(parts, call.caller.app_id, wallet)
    account = format_account(opened.account)
    return Answer(
        201 if opened.created else 200,
        wire.Account(account),
        (("Location", f"/v1/accounts/{account}/balance"),),
    )


async def _open_wallet_account(
    parts: Parts, app_id: int, wallet: wire.WalletRequest | UnsetType
) -> AccountOpened:
    if wallet is UNSET:
        raise Refused(Invalid("", 'Give either "name" or "wallet"'))
    try:
        address = parse_address(wallet.address)
    except ValueError as error:
        raise Refused(Invalid("wallet.address", str(error))) from error
    return await parts.spending.open_wallet_account(
        app_id=app_id, chain_id=wallet.chain_id, address=address
    )


async def balance(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return what the account has."""
    account = await reached_account(parts, call.caller, call.path["account"])
    row = await parts.reading.balance(account)
    if row is None:
        raise Refused(NoSuchAccount())
    available = format_credits(row.available)
    return Answer(
        200,
        wire.Balance(
            account=format_account(account),
            available=available,
            held=format_credits(row.held),
            pending=format_credits(row.pending),
            debt=format_credits(row.debt),
            granted=format_credits(row.granted),
            spent=format_credits(row.spent),
            version=row.version,
            frozen=row.frozen,
        ),
        (("Cache-Control", "no-store"), ("Credits-Balance", available)),
    )


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
        units=row.units,
        price_version=row.price_version,
        grant=None if row.grant is None else _origin(row.grant),
        at=row.at,
    )


def _origin(grant: GrantOrigin) -> wire.Origin:
    return wire.Origin(
        source=grant.source,
        chain_id=grant.chain_id,
        tx_hash=_hash(grant.tx_hash),
        ordinal=grant.ordinal,
        period_end=grant.period_end,
        reward=_reward(grant.reward),
    )


def _reward(reward: RewardOrigin | None) -> wire.Reward | None:
    if reward is None:
        return None
    return wire.Reward(kind=reward.kind, hash=_hash(reward.hash), index=reward.index)


def _hash(value: bytes | None) -> str | None:
    return None if value is None else f"0x{value.hex()}"


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
        tx_hash=_hash(row.tx_hash),
        ordinal=row.ordinal,
        period_end=row.period_end,
        reward=_reward(row.reward),
        block_number=row.block_number,
        block_hash=f"0x{row.block_hash.hex()}",
        block_time=row.block_time,
        confirmations=row.confirmations,
        confirmations_needed=row.confirmations_needed,
        due_block=row.due_block,
    )
