"""What requests name by text: accounts, movements and credits."""

from datetime import datetime

import msgspec

from api.calling.addresses import parse_address
from api.problems.refusals import Cause, Invalid, Refused
from api.shapes import Utc
from ledger.credits import parse_credits
from ledger.ids import AccountRef, MovementRef, parse_account, parse_movement
from ledger.outcomes import NoSuchAccount


def account_named(text: str, field: str = "account") -> AccountRef:
    """Return the account that a body's field or a header names. Raises Refused(Invalid)."""
    try:
        return parse_account(text)
    except ValueError as error:
        raise Refused(Invalid(field, str(error))) from error


def account_of_path(text: str) -> AccountRef:
    """Return the account that a path names. Raises Refused(NoSuchAccount): there is none such."""
    try:
        return parse_account(text)
    except ValueError as error:
        raise Refused(NoSuchAccount()) from error


def address_asked(text: str, field: str = "address") -> bytes:
    """Return the 20 bytes of an address that a request names. Raises Refused(Invalid)."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise Refused(Invalid(field, str(error))) from error


def movement_named(kind: str, text: str, unknown: Cause) -> MovementRef:
    """Return the movement that a path names. Raises Refused(`unknown`): there is none such."""
    try:
        return parse_movement(kind, text)
    except ValueError as error:
        raise Refused(unknown) from error


def credits_asked(field: str, text: str) -> int:
    """Return the micro-credits of a body's field. Raises Refused(Invalid)."""
    try:
        return parse_credits(text)
    except ValueError as error:
        raise Refused(Invalid(field, str(error))) from error


def moment_asked(field: str, text: str | None) -> datetime | None:
    """Return the time of a query's field, if there is one. Raises Refused(Invalid)."""
    if text is None:
        return None
    try:
        return msgspec.convert(text, Utc)
    except msgspec.ValidationError as error:
        message = "is no time with its zone: write it like 2026-01-31T12:00:00Z"
        raise Refused(Invalid(field, message)) from error
