"""Opening accounts: an app's own, and those of wallets."""

from msgspec import UNSET, UnsetType

from api.accounts import wire
from api.calling.asked import address_asked
from api.calling.calls import Answer, Call, Parts
from api.problems.refusals import Invalid, Refused
from api.shapes import NoQuery
from ledger.ids import format_account
from ledger.outcomes import AccountOpened, ConsentWithdrawn


async def open_account(parts: Parts, call: Call[wire.AccountRequest, NoQuery]) -> Answer:
    """Open the app's own account, or that of a wallet it says it has checked; or find it."""
    match call.body:
        case wire.AccountRequest(name=str(name)):
            call.caller.require_scope(("accounts:write",))
            opened = await parts.spending.open_account(app_id=call.caller.app_id, name=name)
        case wire.AccountRequest(wallet=wallet):
            call.caller.require_scope(("accounts:attest",))
            opened = await _open_wallet_account(parts, call.caller.app_id, wallet)
    if not opened.reached:
        raise Refused(ConsentWithdrawn())
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
    address = address_asked(wallet.address, field="wallet.address")
    return await parts.spending.open_wallet_account(
        app_id=app_id, chain_id=wallet.chain_id, address=address
    )
