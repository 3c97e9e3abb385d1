"""What operators do: adjust, take back, link, freeze, replay."""

from api.calling.addresses import format_address
from api.calling.asked import account_named, account_of_path, address_asked, credits_asked
from api.calling.calls import Answer, Call, marked
from api.operating import wire
from api.operating.desk import Desk, signature
from api.operating.replays import Kept, Replayed
from api.problems.refusals import Invalid, Refused
from api.shapes import NoQuery
from ledger.credits import format_credits
from ledger.ids import MovementRef, format_account
from ledger.outcomes import Granted, GrantTakenBack, Linked, StatusSet, Unlinked


async def adjust(desk: Desk, call: Call[wire.AdjustmentRequest, NoQuery]) -> Answer:
    """Grant credits to put something right, once per key."""
    account = account_named(call.body.account)
    outcome = await desk.acts.adjust(
        account,
        credits_asked("amount", call.body.amount),
        key=call.key,
        signed=signature(call.caller, call.body),
    )
    match outcome:
        case Granted(grant, replayed):
            body = wire.Adjustment(
                account=format_account(account),
                grant=grant.movement.seq,
                amount=format_credits(grant.amount),
                repaid=format_credits(grant.repaid),
                available=format_credits(grant.available),
                at=grant.at,
            )
            return Answer(201, body, marked((), replayed=replayed))
        case _:
            raise Refused(outcome)


async def take_back(desk: Desk, call: Call[wire.TakeBackRequest, NoQuery]) -> Answer:
    """Take back a grant that no chain made; again is answered with what is."""
    account = account_named(call.body.account)
    outcome = await desk.acts.take_back(
        MovementRef(account, call.body.grant),
        signed=signature(call.caller, call.body),
    )
    match outcome:
        case GrantTakenBack(granted, taken, available, debt, replayed):
            body = wire.TakenBack(
                account=format_account(account),
                grant=call.body.grant,
                granted=format_credits(granted),
                taken=format_credits(taken),
                available=format_credits(available),
                debt=format_credits(debt),
            )
            return Answer(200, body, marked((), replayed=replayed))
        case _:
            raise Refused(outcome)


async def link(desk: Desk, call: Call[wire.WalletLinkRequest, NoQuery]) -> Answer:
    """Let an address that cannot sign earn for an account."""
    body, account = call.body, account_named(call.body.account)
    address = address_asked(body.address)
    outcome = await desk.acts.link(
        account,
        chain_id=body.chain_id,
        address=address,
        signed=signature(call.caller, call.body),
    )
    match outcome:
        case Linked(_, wallets, moved, debt, replayed):
            link = wire.WalletLink(
                account=format_account(account),
                address=format_address(address),
                chain_id=body.chain_id,
                wallets=wallets,
                moved=format_credits(moved),
                debt=format_credits(debt),
            )
            return Answer(200 if replayed else 201, link, marked((), replayed=replayed))
        case _:
            raise Refused(outcome)


async def end_link(desk: Desk, call: Call[wire.WalletLinkRequest, NoQuery]) -> Answer:
    """End a link, whoever made it."""
    body, account = call.body, account_named(call.body.account)
    address = address_asked(body.address)
    outcome = await desk.acts.unlink(
        account,
        chain_id=body.chain_id,
        address=address,
        signed=signature(call.caller, call.body),
    )
    match outcome:
        case Unlinked(replayed):
            ended = wire.EndedLink(format_account(account), format_address(address), body.chain_id)
            return Answer(200, ended, marked((), replayed=replayed))
        case _:
            raise Refused(outcome)


async def freeze(desk: Desk, call: Call[wire.Signed, NoQuery]) -> Answer:
    """Refuse an account's charges and reservations."""
    return await _set_frozen(desk, call, frozen=True)


async def unfreeze(desk: Desk, call: Call[wire.Signed, NoQuery]) -> Answer:
    """Let an account's charges go on."""
    return await _set_frozen(desk, call, frozen=False)


async def _set_frozen(desk: Desk, call: Call[wire.Signed, NoQuery], *, frozen: bool) -> Answer:
    account = account_of_path(call.path["account"])
    outcome = await desk.acts.set_frozen(
        account, frozen=frozen, signed=signature(call.caller, call.body)
    )
    match outcome:
        case StatusSet(changed):
            return Answer(200, wire.AccountStatus(format_account(account), frozen, changed))
        case _:
            raise Refused(outcome)


async def replay(desk: Desk, call: Call[wire.ReplayRequest, NoQuery]) -> Answer:
    """Decode a source's logs that were set aside again, and grant what matches now."""
    body = call.body
    source, first, last = body.source, body.first_block, body.last_block
    if last is not None and last < first:
        raise Refused(Invalid("last_block", f"must be first_block or later, which is {first}"))

    async def begin() -> None:
        signed = signature(call.caller, call.body)
        refused = await desk.acts.note_replay(source, first, last, signed=signed)
        if refused is not None:
            raise Refused(refused)

    outcome = await desk.replays.replay(source, first, last, begin=begin)
    match outcome:
        case Replayed(granted_events, kept_count, kept):
            logs = [_kept(each) for each in kept]
            return Answer(200, wire.Replay(source, granted_events, kept_count, logs))
        case _:
            raise Refused(outcome)


def _kept(kept: Kept) -> wire.KeptLog:
    return wire.KeptLog(f"0x{kept.tx_hash.hex()}", kept.ordinal, kept.block_number, kept.reason)
