"""What a file of evidence may hold, and nothing else: each part of this kind and in its bounds.

What a check says of a file is read by people, so no text of a file goes into it that is not of a
stated form.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from daemon.evidence_files.evidence_file import NoEvidence

Hash = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
Address = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
Octets = Annotated[str, Meta(pattern=r"\A0x(?:[0-9a-f]{2})*\Z")]
Digits = Annotated[str, Meta(pattern=r"\A(?:0|[1-9][0-9]{0,95})\Z")]
Credits = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,20}(?:\.[0-9]{1,6})?\Z")]
Account = Annotated[str, Meta(pattern=r"\Aacct_[0-9a-z]{1,40}\Z")]
SourceName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
Parameter = Annotated[str, Meta(pattern=r"\A[A-Za-z_$][\w$]{0,99}\Z")]
Signature = Annotated[str, Meta(pattern=r"\A[\w$(),\[\] ]{3,2000}\Z")]
Whole = Annotated[int, Meta(ge=0)]


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Grant(_Part, frozen=True):
    """The grant, in micro-credits and as they are written."""

    account: Account
    number: Whole
    granted: Credits
    credits_micro: Whole
    granted_micro: Whole


class Event(_Part, frozen=True):
    """The event of the books that the grant was made for."""

    chain_id: Whole
    block_number: Whole
    block_hash: Hash
    tx_hash: Hash
    ordinal: int
    wallet: Address
    amount: Digits


class Named(_Part, frozen=True):
    """A source of which the name is all there is to say."""

    name: SourceName


class LogSource(Named, frozen=True):
    """A source that follows an event of a contract."""

    contract: Address
    signature: Signature
    wallet: Parameter
    amount: Parameter
    where: dict[Parameter, Octets | int]


class StakeEvent(_Part, frozen=True):
    """An event that changes a stake."""

    role: Literal["adds", "takes"]
    signature: Signature
    wallet: Parameter
    amount: Parameter
    where: dict[Parameter, Octets | int]
    from_block: Whole
    to_block: Whole | None


class StakeSource(Named, frozen=True):
    """A source of stakes."""

    contracts: list[Address]
    events: list[StakeEvent]


class EventRule(_Part, frozen=True):
    """What one event earns."""

    credits_micro: Whole
    per_base_units: Digits
    max_per_event_micro: Whole | None


class StakeRule(_Part, frozen=True):
    """What a stake earns by time."""

    divisor: Digits
    rates: list[tuple[Whole, Whole]]
    period_seconds: Whole
    hold_seconds: Whole


class Receipt(_Part, frozen=True):
    """A receipt's place, and the nodes on the way to it."""

    index: Whole
    path: list[Octets]


class Reward(_Part, frozen=True):
    """The way from a header to a reward of the protocol."""

    kind: Literal["block", "uncle", "withdrawal"]
    uncles: list[dict[str, Any]] = []
    position: Whole = 0
    path: list[Octets] = []


class Period(_Part, frozen=True):
    """The period of an accrual."""

    end: Whole
    granted_before_micro: int


class Block(_Part, frozen=True):
    """A block in which a stake changed."""

    header: dict[str, Any]
    receipts: list[Receipt]


class StakeChange(_Part, frozen=True):
    """A change of a stake."""

    block_number: Whole
    receipt: Whole
    ordinal: Whole
    tx_hash: Hash
    role: Literal["adds", "takes"]
    amount: Digits


class _File(_Part, frozen=True):
    kind: Literal["creditd-evidence"]
    version: Literal[1]
    grant: Grant
    event: Event
    header: dict[str, Any]


class LogFile(_File, frozen=True):
    """The evidence of a grant for a log."""

    source: LogSource
    rule: EventRule
    receipt: Receipt


class RewardFile(_File, frozen=True):
    """The evidence of a grant for a reward of the protocol."""

    source: Named
    rule: EventRule
    reward: Reward


class AccrualFile(_File, frozen=True):
    """The evidence of a grant for what a stake earned in a period."""

    source: StakeSource
    rule: StakeRule
    period: Period
    before: dict[str, Any]
    blocks: list[Block]
    changes: list[StakeChange]


def require_shape(document: Mapping[str, Any]) -> None:
    """Raise NoEvidence, naming the part, for a file that holds something else."""
    file: type[_File] = LogFile
    if "period" in document:
        file = AccrualFile
    elif "reward" in document:
        file = RewardFile
    try:
        msgspec.convert(document, file)
    except msgspec.ValidationError as error:
        raise NoEvidence(f"the file is none that creditd writes: {error}") from error
