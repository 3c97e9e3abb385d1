"""Reserving credits for work whose price is not known yet; settling, releasing and extending."""

from datetime import timedelta

from msgspec import UNSET

from api.calling.asked import account_named, credits_asked, movement_named
from api.calling.caller import Caller
from api.calling.calls import Answer, Call, Parts, marked
from api.calling.reached import reaches
from api.metering import wire
from api.metering.priced import why_not
from api.problems.refusals import Invalid, Refused
from api.shapes import NoBody, NoQuery
from ledger import outcomes
from ledger.credits import format_credits
from ledger.ids import MovementRef, format_account, format_movement
from ledger.reading import ReservationRow
from ledger.reserving import Reserving


async def reserve(parts: Parts, call: Call[wire.ReservationRequest, NoQuery]) -> Answer:
    """Hold an operation's price of an account, once per key."""
    asked = call.body
    account = account_named(asked.account)
    call.caller.require_operation(asked.operation)
    outcome = await parts.reserving.reserve(
        app_id=call.caller.app_id,
        account=account,
        key=call.key,
        operation=asked.operation,
        model=asked.model,
        units=asked.units,
        expires_in=timedelta(seconds=asked.expires_in),
        minimum=credits_asked("minimum", asked.minimum),
        over_max=credits_asked("over_max", asked.over_max),
        price_version=asked.price_version,
        api_key_id=call.caller.api_key_id,
    )
    match outcome:
        case outcomes.Reserved(made, replayed):
            return _reserved(made, replayed=replayed)
        case _:
            raise Refused(await why_not(parts, call.caller, account, asked, outcome))


async def settle(parts: Parts, call: Call[wire.SettleRequest, NoQuery]) -> Answer:
    """Take what the work cost and give back the rest, once."""
    outcome = await _settled(parts.reserving, call, _reservation_named(call.path["reservation"]))
    match outcome:
        case outcomes.Settled(ending, replayed):
            return _ended(ending, replayed=replayed)
        case _:
            raise Refused(outcome)


async def _settled(
    reserving: Reserving, call: Call[wire.SettleRequest, NoQuery], reservation: MovementRef
) -> outcomes.SettleOutcome:
    app_id, key, asked = call.caller.app_id, call.key, call.body
    if asked.units is not UNSET:
        at_least = 0 if asked.at_least is UNSET else credits_asked("at_least", asked.at_least)
        return await reserving.settle_units(
            app_id=app_id, reservation=reservation, key=key, units=asked.units, at_least=at_least
        )
    if asked.amount is UNSET:
        raise Refused(Invalid("", 'Give either "amount" or "units"'))
    amount = credits_asked("amount", asked.amount)
    return await reserving.settle(app_id=app_id, reservation=reservation, key=key, amount=amount)


async def release(parts: Parts, call: Call[wire.ReleaseRequest, NoQuery]) -> Answer:
    """Give back all that is held, once."""
    outcome = await parts.reserving.release(
        app_id=call.caller.app_id,
        reservation=_reservation_named(call.path["reservation"]),
        key=call.key,
    )
    match outcome:
        case outcomes.Released(ending, replayed):
            return _ended(ending, replayed=replayed)
        case _:
            raise Refused(outcome)


async def extend(parts: Parts, call: Call[wire.ExtendRequest, NoQuery]) -> Answer:
    """Let an open reservation last longer: as long as is asked for, whatever was asked before."""
    reservation = _reservation_named(call.path["reservation"])
    outcome = await parts.reserving.extend(
        app_id=call.caller.app_id, reservation=reservation, until=call.body.until
    )
    match outcome:
        case outcomes.Extended(expires_at):
            return Answer(200, wire.Extension(_name(reservation), expires_at))
        case _:
            raise Refused(outcome)


async def look_up(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return a reservation and how it stands."""
    row = await parts.reading.reservation(_reservation_named(call.path["reservation"]))
    if row is None or not await _reaches(parts, call.caller, row):
        raise Refused(outcomes.NoSuchReservation())
    taken = row.taken
    return Answer(
        200,
        wire.ReservationRecord(
            id=_name(row.reservation),
            account=format_account(row.reservation.account),
            operation=row.operation,
            model=row.model,
            units=row.units,
            price_version=row.price_version,
            amount=format_credits(row.amount),
            state=row.state,
            taken=None if taken is None else format_credits(taken),
            used=row.used,
            charge=format_movement("chg", row.ended_by) if taken and row.ended_by else None,
            expires_at=row.expires_at,
            at=row.at,
        ),
    )


async def _reaches(parts: Parts, caller: Caller, row: ReservationRow) -> bool:
    """Return whether the caller may see it: by the account that pays, or whom it pays for."""
    if caller.kind == "app" and row.app_id != caller.app_id:
        return False
    if await reaches(parts, caller, row.reservation.account):
        return True
    return row.member is not None and await reaches(parts, caller, row.member)


def _reserved(made: outcomes.Reservation, *, replayed: bool) -> Answer:
    available, held = format_credits(made.available), format_credits(made.held)
    name = _name(made.movement)
    body = wire.Reservation(
        id=name,
        account=format_account(made.movement.account),
        operation=made.operation,
        model=made.model,
        units=made.units,
        price_version=made.price_version,
        amount=format_credits(made.amount),
        available=available,
        held=held,
        expires_at=made.expires_at,
        at=made.at,
    )
    version = str(made.movement.seq)
    headers = (
        ("Credits-Balance", available),
        ("Credits-Held", held),
        ("Credits-Version", version),
    )
    return Answer(201, body, marked(headers, replayed=replayed))


def _ended(ending: outcomes.Ending, *, replayed: bool) -> Answer:
    available, held = format_credits(ending.available), format_credits(ending.held)
    body = wire.ReservationEnd(
        reservation=_name(ending.reservation),
        charge=format_movement("chg", ending.movement) if ending.taken else None,
        how=ending.how,
        taken=format_credits(ending.taken),
        units=ending.units,
        available=available,
        held=held,
        at=ending.at,
    )
    version = str(ending.movement.seq)
    headers = (
        ("Credits-Balance", available),
        ("Credits-Held", held),
        ("Credits-Version", version),
    )
    return Answer(200, body, marked(headers, replayed=replayed))


def _name(reservation: MovementRef) -> str:
    return format_movement("rsv", reservation)


def _reservation_named(text: str) -> MovementRef:
    return movement_named("rsv", text, outcomes.NoSuchReservation())
