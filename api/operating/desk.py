"""What the endpoints on the operator's port work with, and what they ask of every write."""

from dataclasses import dataclass
from typing import Any

from api.calling.calls import Call, Process
from api.operating import wire
from api.operating.replays import Replays
from api.problems.refusals import Invalid, Refused
from ledger.ids import AccountRef, parse_account
from ledger.operator_acts import BY_COMMAND, OperatorActs, Signature
from ledger.outcomes import NoSuchAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk(Process):
    """Sessions of the operator's role: the API's own have none of them."""

    acts: OperatorActs
    replays: Replays


def signature(call: Call[Any, Any], signed: wire.Signed) -> Signature:
    """Return who does it and why, by which API key."""
    return Signature(signed.by, signed.reason, call.caller.api_key_id or BY_COMMAND)


def account_in(field: str, text: str) -> AccountRef:
    """Return the account of a body's field. Raises Refused(Invalid)."""
    try:
        return parse_account(text)
    except ValueError as error:
        raise Refused(Invalid(field, str(error))) from error


def account_of_path(text: str) -> AccountRef:
    """Return the account that a path names. Raises Refused(NoSuchAccount)."""
    try:
        return parse_account(text)
    except ValueError as error:
        raise Refused(NoSuchAccount()) from error
