"""Charging, giving back, and looking a charge up."""

import time

from api import wire
from api.calls import Answer, Call, Parts
from api.refusals import Invalid, NotPriced, Refused
from api.shortfall import Shortfall
from ledger import outcomes
from ledger.credits import format_credits, parse_credits
from ledger.ids import (
    AccountRef,
    MovementRef,
    format_account,
    format_movement,
    parse_account,
    parse_movement,
)

KNOWN_OPERATIONS_MAX = 20  # enough to spot a typing mistake; GET /v1/operations has them all


async def charge(parts: Parts, call: Call[wire.ChargeRequest, wire.NoQuery]) -> Answer:
    """Take an operation's price from an account, once per key."""
    asked = call.body
    try:
        account = parse_account(asked.account)
    except ValueError as error:
        raise Refused(Invalid("account", str(error))) from error
    began = time.perf_counter()
    outcome = await parts.spending.charge(
        app_id=call.api_key.app_id,
        account=account,
        key=call.key,
        operation=asked.operation,
        units=asked.units,
        price_version=asked.price_version,
    )
    parts.metrics.charge_decided(asked.operation, outcome, time.perf_counter() - began)
    match outcome:
        case outcomes.Charged(made, replayed):
            return _charged(made, replayed=replayed)
        case outcomes.Insufficient():
            raise Refused(await _shortfall(parts, account, asked, outcome))
        case outcomes.UnknownOperation():
            raise Refused(await _not_priced(parts, asked.operation))
        case _:
            raise Refused(outcome)


async def refund(parts: Parts, call: Call[wire.RefundRequest, wire.NoQuery]) -> Answer:
    """Give a charge back, whole or part, once per key."""
    outcome = await parts.spending.refund(
        app_id=call.api_key.app_id,
        charge=_charge_named(call.path["charge"]),
        key=call.key,
        amount=_amount(call.body.amount),
    )
    match outcome:
        case outcomes.Refunded(made, replayed):
            return _refunded(made, replayed=replayed)
        case _:
            raise Refused(outcome)


async def look_up(parts: Parts, call: Call[wire.NoBody, wire.NoQuery]) -> Answer:
    """Return a charge and what of it was given back since."""
    movement = _charge_named(call.path["charge"])
    if not await parts.reading.reaches(call.api_key.app_id, movement.account):
        raise Refused(outcomes.NoSuchCharge())
    row = await parts.reading.charge(movement)
    if row is None:
        raise Refused(outcomes.NoSuchCharge())
    made = row.charge
    return Answer(
        200,
        wire.ChargeRecord(
            format_movement("chg", made.movement),
            format_account(made.movement.account),
            made.operation,
            made.units,
            made.price_version,
            format_credits(made.cost),
            format_credits(made.available),
            made.at,
            format_credits(row.refunded),
        ),
    )


def _charged(made: outcomes.Charge, *, replayed: bool) -> Answer:
    name = format_movement("chg", made.movement)
    cost, available = format_credits(made.cost), format_credits(made.available)
    headers = (
        ("Location", f"/v1/charges/{name}"),
        ("Credits-Balance", available),
        ("Credits-Cost", cost),
    )
    return Answer(
        201,
        wire.Charge(
            name,
            format_account(made.movement.account),
            made.operation,
            made.units,
            made.price_version,
            cost,
            available,
            made.at,
        ),
        _marked(headers, replayed=replayed),
    )


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
        _marked((("Credits-Balance", available),), replayed=replayed),
    )


def _marked(headers: tuple[tuple[str, str], ...], *, replayed: bool) -> tuple[tuple[str, str], ...]:
    return (*headers, ("Idempotent-Replayed", "true")) if replayed else headers


async def _shortfall(
    parts: Parts, account: AccountRef, asked: wire.ChargeRequest, outcome: outcomes.Insufficient
) -> Shortfall:
    balance = await parts.reading.balance(account)
    pending = 0 if balance is None else balance.pending
    return Shortfall(asked.account, asked.operation, asked.units, outcome, pending)


async def _not_priced(parts: Parts, operation: str) -> NotPriced:
    known = await parts.reading.operations()
    return NotPriced(operation, tuple(row.operation for row in known[:KNOWN_OPERATIONS_MAX]))


def _charge_named(text: str) -> MovementRef:
    try:
        return parse_movement("chg", text)
    except ValueError as error:
        raise Refused(outcomes.NoSuchCharge()) from error


def _amount(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        amount = parse_credits(text)
    except ValueError as error:
        raise Refused(Invalid("amount", str(error))) from error
    if amount == 0:
        raise Refused(Invalid("amount", "nothing is given back: leave it out to give back all"))
    return amount
