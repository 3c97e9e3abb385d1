"""What an organisation's pool pays for a member, and the balance below which somebody is told."""

from typing import Final, get_args

from api.accounts import sharing_wire as wire
from api.accounts.members import member_named
from api.caching import NO_STORE
from api.calling.asked import credits_asked
from api.calling.calls import Answer, Call, Parts
from api.calling.reached import reached_account
from api.problems.refusals import Invalid, NotFound, Refused
from api.shapes import NoBody, NoQuery
from ledger import holders
from ledger.credits import format_credits
from ledger.ids import AccountRef, format_account
from ledger.outcomes import BudgetSet, NoSuchAccount
from ledger.periods import Period
from ledger.rows import BudgetRow

PERIODS: Final[tuple[Period, ...]] = get_args(Period)


async def budgets(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return a member's budgets, for its app or for itself."""
    account = await reached_account(parts, call.caller, call.path["member"])
    row = await holders.membership(parts.reading, account)
    pool = AccountRef(account.root_id, account.root_id)
    if row is None or call.path["account"] != format_account(pool):
        raise Refused(NoSuchAccount())
    rows = await parts.reading.budgets(account)
    return Answer(200, wire.Budgets([_budget(row) for row in rows]), (NO_STORE,))


async def set_budget(parts: Parts, call: Call[wire.BudgetRequest, NoQuery]) -> Answer:
    """Set what the pool pays for a member in each period."""
    return await _set(
        parts,
        call.caller.app_id,
        await member_named(parts, call),
        _period(call.path["period"]),
        amount=credits_asked("amount", call.body.amount),
        levels=call.body.alert_levels,
    )


async def end_budget(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """End the budget of a period: without any the pool pays nothing for the member."""
    account = await member_named(parts, call)
    period = _period(call.path["period"])
    return await _set(parts, call.caller.app_id, account, period, amount=None, levels=[])


async def set_alert(parts: Parts, call: Call[wire.AlertRequest, NoQuery]) -> Answer:
    """Set below which balance receivers are told, or that they are not."""
    account = await reached_account(parts, call.caller, call.path["account"], to_write=True)
    text = call.body.below
    below = None if text is None else credits_asked("below", text)
    if below == 0:
        raise Refused(Invalid("below", "must be more than 0: nothing falls below that"))
    if not await parts.sharing.set_alert(account, below):
        raise Refused(NoSuchAccount())
    said = None if below is None else format_credits(below)
    return Answer(200, wire.Alert(format_account(account), said))


async def _set(
    parts: Parts,
    app_id: int,
    account: AccountRef,
    period: Period,
    *,
    amount: int | None,
    levels: list[int],
) -> Answer:
    outcome = await parts.sharing.set_budget(
        app_id=app_id, member=account, period=period, amount=amount, levels=levels
    )
    if not isinstance(outcome, BudgetSet):
        raise Refused(outcome)
    rows = await parts.reading.budgets(account)
    return Answer(200, wire.Budgets([_budget(row) for row in rows]))


def _period(text: str) -> Period:
    for period in PERIODS:
        if text == period:
            return period
    raise Refused(NotFound())


def _budget(row: BudgetRow) -> wire.Budget:
    return wire.Budget(
        period=row.period,
        begins=row.begins,
        amount=format_credits(row.amount),
        used=format_credits(row.used),
        left=format_credits(max(0, row.amount - row.used)),
        alert_levels=list(row.levels),
    )
