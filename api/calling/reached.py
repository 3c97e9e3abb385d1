"""Which accounts a caller may reach."""

from api.calling.asked import account_of_path
from api.calling.caller import Caller
from api.calling.calls import Parts
from api.problems.refusals import Refused
from ledger.ids import AccountRef
from ledger.outcomes import NoSuchAccount


async def reached_account(
    parts: Parts, caller: Caller, name: str, *, to_write: bool = False
) -> AccountRef:
    """Return the account that a path names, to be read there or (`to_write`) changed.

    Raises Refused(NoSuchAccount): there is none, or the caller does not reach it.
    """
    account = account_of_path(name)
    if not await reaches(parts, caller, account, to_write=to_write):
        raise Refused(NoSuchAccount())
    return account


async def reaches(
    parts: Parts, caller: Caller, account: AccountRef, *, to_write: bool = False
) -> bool:
    """Return whether the caller may read an account, or change it.

    A person its own, an app what it opened and what the owner consented to.
    """
    if caller.account is not None:
        return account == caller.account
    if to_write:
        return await parts.reading.reaches(caller.app_id, account)
    return await parts.balances.may_read(caller.app_id, account)
