"""Which accounts a caller may reach."""

from api.calling.caller import Caller
from api.calling.calls import Parts
from api.problems.refusals import Refused
from ledger.ids import AccountRef, parse_account
from ledger.outcomes import NoSuchAccount


async def reached_account(parts: Parts, caller: Caller, name: str) -> AccountRef:
    """Return the account that a path names. Raises Refused(NoSuchAccount): none, or not its own."""
    try:
        account = parse_account(name)
    except ValueError as error:
        raise Refused(NoSuchAccount()) from error
    if not await reaches(parts, caller, account):
        raise Refused(NoSuchAccount())
    return account


async def reaches(parts: Parts, caller: Caller, account: AccountRef) -> bool:
    """Return whether the caller may reach an account: a person its own, an app what it opened."""
    if caller.account is not None:
        return account == caller.account
    return await parts.balances.reaches(caller.app_id, account)
