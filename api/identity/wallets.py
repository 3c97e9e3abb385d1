"""Linking wallets by their signature, listing and unlinking them."""

import re
from datetime import UTC
from typing import Final

from api.caching import NO_STORE
from api.calling.addresses import format_address
from api.calling.asked import account_named, address_asked
from api.calling.caller import Caller
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, no_cursor, paged, parse_name_cursor
from api.calling.reached import reaches
from api.identity import sign_in_wire as wire
from api.identity.challenges import give_out, take_back, wallet_asked
from api.identity.signatures import Proof
from api.problems.refusals import ChallengeUnknown, Invalid, Refused
from api.shapes import NoBody, NoQuery
from ledger.credits import format_credits
from ledger.ids import AccountRef, format_account
from ledger.outcomes import ChallengeSpent, Linked, NoSuchAccount, Unlinked
from ledger.reading import WalletRow
from ledger.sign_ins import LinkTerms

_PLACE: Final = re.compile(r"(?P<address>0x[0-9a-f]{40})(?: (?P<chain>[0-9]{1,19}))?", re.ASCII)


async def link_challenge(parts: Parts, call: Call[wire.LinkChallengeRequest, NoQuery]) -> Answer:
    """Give out a text for a wallet to be linked by, which names the account."""
    terms = parts.signing.offered()
    account = await _account_asked(parts, call.caller, call.body.account, to_write=True)
    wallet = wallet_asked(terms, call.body.chain_id, call.body.address)
    link = LinkTerms(call.caller.app_id, account)
    return Answer(201, await give_out(parts, terms, wallet, link), (NO_STORE,))


async def link(parts: Parts, call: Call[wire.SignedMessage, NoQuery]) -> Answer:
    """Link the wallet that signed, to the account that its text names."""
    terms = parts.signing.offered()
    given, proof, signature = await take_back(parts, terms, "link", call.body, call.caller)
    if given.link is None:
        raise Refused(ChallengeUnknown())
    by_key = proof is Proof.KEY
    outcome = await parts.signing.linking.link_by_signature(
        app_id=given.link.app_id,
        account=given.link.account,
        message=call.body.message,
        signature=signature,
        by_key=by_key,
    )
    match outcome:
        case Linked():
            linked = wire.WalletLinked(
                account=format_account(given.link.account),
                address=format_address(given.wallet.address),
                chain_id=None if by_key else given.wallet.chain_id,
                moved=format_credits(outcome.moved),
                debt=format_credits(outcome.debt),
            )
            return Answer(200 if outcome.replayed else 201, linked, (NO_STORE,))
        case ChallengeSpent():
            raise Refused(ChallengeUnknown())
        case _:
            raise Refused(outcome)


async def wallets(parts: Parts, call: Call[NoBody, wire.WalletsQuery]) -> Answer:
    """Return a page of the wallets that earn for the account."""
    account = await _account_asked(parts, call.caller, call.query.account, to_write=False)
    after = None if call.query.cursor is None else _place(call.query.cursor)
    rows = await parts.reading.wallets(account, after=after, limit=call.query.limit + 1)
    page, last = paged(rows, call.query.limit)
    return Answer(
        200,
        wire.LinkedWallets(
            [
                wire.LinkedWallet(
                    format_address(row.address),
                    row.chain_id,
                    row.own,
                    None if row.linked_at is None else row.linked_at.astimezone(UTC),
                )
                for row in page
            ],
            None if last is None else format_cursor("wallets", _place_text(last)),
        ),
        (NO_STORE,),
    )


async def unlink(parts: Parts, call: Call[NoBody, wire.UnlinkQuery]) -> Answer:
    """Let a wallet earn for its own account again, on one chain or on every one."""
    account = await _account_asked(parts, call.caller, call.query.account, to_write=True)
    address = address_asked(call.path["address"])
    chain_id = call.query.chain_id
    outcome = await parts.signing.linking.unlink(
        app_id=call.caller.app_id, chain_id=chain_id, address=address, account=account
    )
    if not isinstance(outcome, Unlinked):
        raise Refused(outcome)
    # Whoever signed in by this wallet was signed in to this account.
    parts.signing.sessions.forget_all()
    unlinked = wire.WalletUnlinked(format_account(account), format_address(address), chain_id)
    return Answer(200, unlinked, (NO_STORE,))


async def _account_asked(
    parts: Parts, caller: Caller, name: str | None, *, to_write: bool
) -> AccountRef:
    """Return the account that a request is about: a person's own, or the one an app names."""
    if name is None and caller.account is not None:
        return caller.account
    if name is None:
        raise Refused(Invalid("account", "is missing: an app says whose wallet it is about"))
    account = account_named(name)
    if not await reaches(parts, caller, account, to_write=to_write):
        raise Refused(NoSuchAccount())
    return account


def _place_text(row: WalletRow) -> str:
    address = f"0x{row.address.hex()}"
    return address if row.chain_id is None else f"{address} {row.chain_id}"


def _place(cursor: str) -> WalletRow:
    found = _PLACE.fullmatch(parse_name_cursor("wallets", cursor))
    if found is None:
        raise no_cursor("wallets")
    chain_id = None if found["chain"] is None else int(found["chain"])
    return WalletRow(bytes.fromhex(found["address"][2:]), chain_id, own=False, linked_at=None)
