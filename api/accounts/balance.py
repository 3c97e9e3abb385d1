"""What an account has, from what this process remembers of it."""

import msgspec

from api.accounts import wire
from api.caching import NO_STORE
from api.calling.calls import Answer, Call, Parts
from api.calling.reached import reached_account
from api.problems.refusals import Refused, VersionAhead
from api.shapes import NoBody
from ledger.credits import format_credits
from ledger.ids import format_account
from ledger.outcomes import NoSuchAccount
from ledger.reading import Balance


async def balance(parts: Parts, call: Call[NoBody, wire.BalanceQuery]) -> Answer:
    """Return what the account has, not older than the version that the caller knows of."""
    account = await reached_account(parts, call.caller, call.path["account"])
    version = call.query.version
    found = await parts.balances.get(account, version=version)
    if found is None:
        raise Refused(NoSuchAccount())
    if found.balance.version < version:
        raise Refused(VersionAhead(version, found.balance.version))
    made = found.made
    if not isinstance(made, Answer):
        made = found.made = _answer(found.balance)
    return made


def balance_shown(row: Balance) -> wire.Balance:
    """Return a balance as it is shown."""
    return wire.Balance(
        account=format_account(row.account),
        available=format_credits(row.available),
        held=format_credits(row.held),
        pending=format_credits(row.pending),
        pending_ready_at=row.pending_ready_at,
        debt=format_credits(row.debt),
        granted=format_credits(row.granted),
        spent=format_credits(row.spent),
        version=row.version,
        frozen=row.frozen,
    )


def _answer(row: Balance) -> Answer:
    shown = balance_shown(row)
    return Answer(
        200,
        msgspec.Raw(msgspec.json.encode(shown)),
        (
            NO_STORE,
            ("Credits-Balance", shown.available),
            ("Credits-Version", str(row.version)),
        ),
    )
