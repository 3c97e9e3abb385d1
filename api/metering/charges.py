"""Charging, giving back, and looking a charge up."""

import time

from api.calling.asked import account_named, credits_asked, movement_named
from api.calling.calls import Answer, Call, Parts, marked
from api.calling.reached import reaches
from api.metering import wire
from api.metering.priced import why_not
from api.problems.refusals import Invalid, Refused
from api.shapes import NoBody, NoQuery
from ledger import outcomes
from ledger.credits import format_credits
from ledger.ids import MovementRef, format_account, format_movement


async def charge(parts: Parts, call: Call[wire.ChargeRequest, NoQuery]) -> Answer:
    """Take an operation's price from an account, once per key."""
    asked = call.body
    account = account_named(asked.account)
    call.caller.require_account(account, outcomes.NoSuchAccount())
    call.caller.require_operation(asked.operation)
    began = time.perf_counter()
    outcome = await parts.spending.charge(
        app_id=call.caller.app_id,
        account=account,
        key=call.key,
        operation=asked.operation,
        model=asked.model,
        units=asked.units,
        price_version=asked.price_version,
        api_key_id=call.caller.api_key_id,
    )
    parts.metrics.charge_decided(asked.operation, outcome, time.perf_counter() - began)
    match outcome:
        case outcomes.Charged(made, replayed):
            return _charged(made, replayed=replayed)
        case _:
            raise Refused(await why_not(parts, call.caller, account, asked, outcome))


async def refund(parts: Parts, call: Call[wire.RefundRequest, NoQuery]) -> Answer:
    """Give a charge back, whole or part, once per key."""
    outcome = await parts.spending.refund(
        app_id=call.caller.app_id,
        charge=_charge_named(call.path["charge"]),
        key=call.key,
        amount=_amount(call.body.amount),
    )
    match outcome:
        case outcomes.Refunded(made, replayed):
            return _refunded(made, replayed=replayed)
        case _:
            raise Refused(outcome)


async def look_up(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return a charge and what of it was given back since."""
    movement = _charge_named(call.path["charge"])
    if not await reaches(parts, call.caller, movement.account):
        raise Refused(outcomes.NoSuchCharge())
    row = await parts.reading.charge(movement)
    if row is None:
        raise Refused(outcomes.NoSuchCharge())
    return Answer(
        200,
        wire.ChargeRecord(
            format_movement("chg", row.movement),
            format_account(row.movement.account),
            row.operation,
            row.model,
            row.units,
            row.price_version,
            format_credits(row.cost),
            format_credits(row.available),
            row.at,
            format_credits(row.refunded),
            None if row.reservation is None else format_movement("rsv", row.reservation),
        ),
    )


def charge_shown(made: outcomes.Charge) -> wire.Charge:
    """Return a charge as it is shown."""
    return wire.Charge(
        format_movement("chg", made.movement),
        format_account(made.movement.account),
        made.operation,
        made.model,
        made.units,
        made.price_version,
        format_credits(made.cost),
        format_credits(made.available),
        made.at,
    )


def _charged(made: outcomes.Charge, *, replayed: bool) -> Answer:
    shown = charge_shown(made)
    headers = (
        ("Location", f"/v1/charges/{shown.id}"),
        ("Credits-Balance", shown.available),
        ("Credits-Version", str(made.movement.seq)),
        ("Credits-Cost", shown.cost),
    )
    return Answer(201, shown, marked(headers, replayed=replayed))


def _refunded(made: outcomes.Refund, *, replayed: bool) -> Answer:
    available = format_credits(made.available)
    return Answer(
        200,
        wire.Refund(
            format_movement("rfd", made.movement),
            format_movement("chg", made.charge),
            format_credits(made.amount),
            format_credits(made.repaid),
            available,
            made.at,
        ),
        marked(
            (("Credits-Balance", available), ("Credits-Version", str(made.movement.seq))),
            replayed=replayed,
        ),
    )


def _charge_named(text: str) -> MovementRef:
    return movement_named("chg", text, outcomes.NoSuchCharge())


def _amount(text: str | None) -> int | None:
    if text is None:
        return None
    amount = credits_asked("amount", text)
    if amount == 0:
        raise Refused(Invalid("amount", "nothing is given back: leave it out to give back all"))
    return amount
