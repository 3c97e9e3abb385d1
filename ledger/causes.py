"""What an event is known by: a log, what a stake earned in a period, or what the protocol gave."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Self

from ledger.sightings import ACCRUAL, BLOCK, UNCLE, WITHDRAWAL

RewardKind = Literal["block", "uncle", "withdrawal"]

# Chain, transaction, ordinal of the log in it, role; as `creditd.event_cause` makes it.
_CAUSE: Final = struct.Struct(">q32sih")
# What stands for an accrual's transaction: rule, the period's end and wallet.
_ACCRUED: Final = struct.Struct(">iq20s")
_REWARDS: Final[Mapping[int, RewardKind]] = MappingProxyType(
    {BLOCK: "block", UNCLE: "uncle", WITHDRAWAL: "withdrawal"}
)


@dataclass(frozen=True, slots=True)
class RewardOrigin:
    """What the protocol gave: a block or an uncle by its hash, or a withdrawal by its index."""

    kind: RewardKind
    hash: bytes | None
    index: int | None


class EventIdentity(NamedTuple):
    """An event's identity: for a log `key` is its transaction and `ordinal` its place there."""

    chain_id: int
    key: bytes
    ordinal: int
    role: int

    @classmethod
    def of_cause(cls, cause: bytes) -> Self | None:
        """Return the event that a lot's cause is, None if it is none."""
        return cls(*_CAUSE.unpack(cause)) if len(cause) == _CAUSE.size else None

    @property
    def tx_hash(self) -> bytes | None:
        """The transaction of a log, None for what has none."""
        return self.key if self.ordinal >= 0 else None

    @property
    def place(self) -> int | None:
        """The place of a log among those of its transaction, None for what has none."""
        return self.ordinal if self.ordinal >= 0 else None

    @property
    def period_end(self) -> datetime | None:
        """The end of the period that an accrual is for, None for anything else."""
        if self.ordinal != ACCRUAL:
            return None
        _rule_id, seconds, _wallet = _ACCRUED.unpack(self.key)
        return datetime.fromtimestamp(seconds, UTC)

    @property
    def reward(self) -> RewardOrigin | None:
        """What the protocol gave, None for anything else."""
        kind = _REWARDS.get(self.ordinal)
        if kind is None:
            return None
        if kind == "withdrawal":
            return RewardOrigin(kind, None, int.from_bytes(self.key))
        return RewardOrigin(kind, self.key, None)

    @property
    def said(self) -> str:
        """What people call it, on its chain: `0x… log 2`, `block 0x…`, `withdrawal 7`."""
        if self.reward is not None and self.reward.hash is None:
            return f"{self.reward.kind} {self.reward.index}"
        if self.reward is not None:
            return f"{self.reward.kind} 0x{self.key.hex()}"
        if self.period_end is not None:
            return f"a stake's credits until {self.period_end:%Y-%m-%d %H:%M:%S} UTC"
        return f"0x{self.key.hex()} log {self.ordinal}"
