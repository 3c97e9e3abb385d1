"""What the endpoints on the operator's port work with, and what they ask of every write."""

from dataclasses import dataclass

from api.calling.caller import Caller
from api.calling.calls import Process
from api.operating.replays import Replays
from api.operating.wire import Signed
from ledger.operator_acts import BY_COMMAND, OperatorActs, Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk(Process):
    """Sessions of the operator's role: the API's own have none of them."""

    acts: OperatorActs
    replays: Replays


def signature(caller: Caller, signed: Signed) -> Signature:
    """Return who does it and why, by which API key."""
    return Signature(signed.by, signed.reason, caller.api_key_id or BY_COMMAND)
