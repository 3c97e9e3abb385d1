"""Quotes: what something costs now, and how much of it can be paid for."""

from api.calling.asked import account_named
from api.calling.calls import Answer, Call, Parts
from api.metering import wire
from api.metering.priced import why_not
from api.problems.refusals import Refused
from api.shapes import UNITS_MAX, NoQuery
from ledger import outcomes, quoting
from ledger.credits import format_credits
from ledger.ids import format_account


async def quote(parts: Parts, call: Call[wire.QuoteRequest, NoQuery]) -> Answer:
    """Price an operation for an account, taking nothing."""
    asked = call.body
    account = account_named(asked.account)
    call.caller.require_account(account, outcomes.NoSuchAccount())
    call.caller.require_operation(asked.operation)
    outcome = await quoting.quote(
        parts.reading,
        app_id=call.caller.app_id,
        account=account,
        operation=asked.operation,
        model=asked.model,
        units=asked.units,
        units_max=UNITS_MAX,
        api_key_id=call.caller.api_key_id,
    )
    if not isinstance(outcome, outcomes.Quote):
        raise Refused(await why_not(parts, call.caller, account, asked, outcome))
    return Answer(
        200,
        wire.Quote(
            account=format_account(account),
            operation=asked.operation,
            model=outcome.model,
            units=asked.units,
            price_version=outcome.price_version,
            cost=format_credits(outcome.cost),
            available=format_credits(outcome.available),
            affordable=outcome.affordable,
            missing=format_credits(outcome.missing),
            most_affordable_units=outcome.most_affordable_units,
        ),
    )
