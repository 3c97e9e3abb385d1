"""Forward-auth: a proxy asks, for each call, whether it is paid for, and passes it on or not.

The proxy's own configuration is believed, which is the URL it asks; of the call's headers only
those that it must overwrite (docs/forward-auth.md). A call asked about again is denied: it was let
through when it was asked about first, and must not be so twice for one price.
"""

import re
import time
from datetime import timedelta
from typing import Final

import msgspec

from api.calling.asked import account_named, credits_asked
from api.calling.calls import Answer, Call, Parts
from api.calling.decoding import invalid
from api.metering import wire
from api.metering.priced import why_not
from api.problems.refusals import (
    AuthorizationReplayed,
    Denied,
    Invalid,
    Refused,
    Unauthenticated,
)
from api.shapes import NoBody, OperationName
from ledger import outcomes
from ledger.credits import format_credits
from ledger.ids import AccountRef, MovementRef, format_account, format_movement

ACCOUNT_HEADER: Final = "Credits-Account"
DENIED_AS: Final = 403  # nginx passes on no refusal but 401 and this

_CALL_ID: Final = re.compile(rb"[!-~]{1,128}")
# No key that comes in a header holds a line feed: these are apart from those apps send.
_KEY_PREFIX: Final = "forward-auth\n"

Asked = Call[NoBody, wire.ForwardAuthQuery]


async def authorize(parts: Parts, call: Asked) -> Answer:
    """Have one call paid for by the account that the proxy, or its caller's API key, names."""
    if call.caller.kind == "session":  # any page that a browser shows could have it pay
        raise Refused(Unauthenticated("A session pays for no calls through a proxy"))
    try:
        paid = _charge if call.query.mode == "charge" else _reserve
        return await paid(parts, call, _operation(call), _payer(call), _key(call))
    except Refused as refused:
        if call.query.deny_status == DENIED_AS:
            raise Denied(refused.cause, DENIED_AS) from refused
        raise


async def _charge(
    parts: Parts, call: Asked, operation: str, account: AccountRef, key: str
) -> Answer:
    model, units = call.query.model, call.query.units
    began = time.perf_counter()
    outcome = await parts.spending.charge(
        app_id=call.caller.app_id,
        account=account,
        key=key,
        operation=operation,
        model=model,
        units=units,
        api_key_id=call.caller.api_key_id,
    )
    parts.metrics.charge_decided(operation, outcome, time.perf_counter() - began)
    match outcome:
        case outcomes.Charged(made, replayed):
            name = format_movement("chg", made.movement)
            if replayed:
                raise Refused(AuthorizationReplayed(name))
            cost, available = format_credits(made.cost), format_credits(made.available)
            payer = format_account(made.movement.account)
            return Answer(
                200,
                wire.Authorization(payer, operation, units, cost, available, charge=name),
                _headers(payer, cost, available, ("Credits-Charge", name), made.movement),
            )
        case outcomes.KeyReused():
            raise Refused(AuthorizationReplayed(None))
        case _:
            asked = wire.ChargeRequest(format_account(account), operation, model, units)
            raise Refused(await why_not(parts, call.caller, account, asked, outcome))


async def _reserve(
    parts: Parts, call: Asked, operation: str, account: AccountRef, key: str
) -> Answer:
    call.caller.require_app()  # whoever else reserves could give itself back what it holds
    model, units, expires_in = call.query.model, call.query.units, call.query.expires_in
    outcome = await parts.reserving.reserve(
        app_id=call.caller.app_id,
        account=account,
        key=key,
        operation=operation,
        model=model,
        units=units,
        expires_in=timedelta(seconds=expires_in),
        minimum=credits_asked("minimum", call.query.minimum),
        api_key_id=call.caller.api_key_id,
    )
    match outcome:
        case outcomes.Reserved(made, replayed):
            name = format_movement("rsv", made.movement)
            if replayed:
                raise Refused(AuthorizationReplayed(name))
            cost, available = format_credits(made.amount), format_credits(made.available)
            payer = format_account(made.movement.account)
            body = wire.Authorization(
                *(payer, operation, units, cost, available),
                reservation=name,
                expires_at=made.expires_at,
            )
            paid_by = ("Credits-Reservation", name)
            return Answer(200, body, _headers(payer, cost, available, paid_by, made.movement))
        case outcomes.KeyReused():
            raise Refused(AuthorizationReplayed(None))
        case _:
            asked = wire.ReservationRequest(
                format_account(account), operation, expires_in, model, units
            )
            raise Refused(await why_not(parts, call.caller, account, asked, outcome))


def _headers(
    payer: str, cost: str, available: str, paid_by: tuple[str, str], movement: MovementRef
) -> tuple[tuple[str, str], ...]:
    return (
        (ACCOUNT_HEADER, payer),
        ("Credits-Cost", cost),
        ("Credits-Balance", available),
        ("Credits-Version", str(movement.seq)),
        paid_by,
    )


def _operation(call: Asked) -> str:
    try:
        operation = msgspec.convert(call.path["operation"], OperationName)
    except msgspec.ValidationError as error:
        raise Refused(Invalid("operation", invalid(str(error)).message)) from error
    call.caller.require_operation(operation)
    return operation


def _payer(call: Asked) -> AccountRef:
    """Return the account of the caller's own API key, or the one that the proxy names."""
    named = _only(call, ACCOUNT_HEADER)
    if named is not None:
        account = account_named(named.decode("latin-1"), field=ACCOUNT_HEADER)
        call.caller.require_account(account, outcomes.NoSuchAccount())
        return account
    if call.caller.account is None:
        message = "is missing: the proxy must set it to the account of whoever it let in"
        raise Refused(Invalid(ACCOUNT_HEADER, message))
    return call.caller.account


def _key(call: Asked) -> str:
    header = call.query.key_header
    call_id = _only(call, header)
    if call_id is None or _CALL_ID.fullmatch(call_id) is None:
        message = "must be 1 to 128 visible ASCII characters that the proxy makes up for each call"
        raise Refused(Invalid(header, message))
    return _KEY_PREFIX + call_id.decode("ascii")


def _only(call: Asked, header: str) -> bytes | None:
    wanted = header.lower().encode()
    values = [value for name, value in call.headers if name == wanted]
    if len(values) > 1:
        message = "came more than once: the proxy must overwrite it, not add to it"
        raise Refused(Invalid(header, message))
    return values[0] if values else None
