"""What a watcher tells the books of a chain and what earns there, and where the books stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EARNS: Final = 0  # an event's roles: it earns by itself, or …
ADDS: Final = 1  # … adds to a stake, or …
TAKES: Final = 2  # … takes from it
ACCRUAL: Final = -1  # ordinals that no log has: of what a stake earned in a period, …
BLOCK: Final = -2  # … of a mined block, …
UNCLE: Final = -3  # … of an uncle, …
WITHDRAWAL: Final = -4  # … and of a withdrawal

Cause = tuple[bytes, int, int]  # of an event: transaction, ordinal and role


@dataclass(frozen=True, slots=True)
class StakeTerms:
    """How stakes earn: in every second their base units times the rate then, over `divisor`.

    `rates` are pairs of unix seconds, ascending, the first 0, and micro-credits from then on. What
    was earned is granted every `period_seconds`; what is staked earns once it has been held for
    `hold_seconds`.
    """

    divisor: int
    rates: tuple[tuple[int, int], ...]
    period_seconds: int
    hold_seconds: int = 0

    def terms(self) -> tuple[object, ...]:
        """Return what the books are told of them, in their order."""
        return (
            self.divisor,
            [since for since, _ in self.rates],
            [micro for _, micro in self.rates],
            self.period_seconds,
            self.hold_seconds,
        )


_NO_STAKES: Final = (None,) * 5

# Where `RuleEntry.terms()` go in a call of a function of the books.
TERM_PLACES: Final = (
    "%s, %s, %s, %s, %s, %s, %s, %s::smallint, %s::text[], %s, %s, %s, %s, %s, %s::numeric,"
    " %s::bigint[], %s::bigint[], %s, %s"
)


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A source as the books know it. Caps are micro-credits, None is no cap.

    `source` is "mining" or "staking". `on_reversal` says what becomes of what was spent of a grant
    whose block left the chain: "debt", "absorb" or "freeze". The credits are burned by `priority`
    (0 to 32766, lower ones first) and only for `operations` (None: for all). With `stakes` its
    events add to stakes or take from them, and stakes earn.
    """

    name: str
    contract: bytes
    event: str
    from_block: int
    cap_account: int | None
    cap_account_day: int | None
    expires_days: int | None
    to_block: int | None = None
    source: str = "staking"
    on_reversal: str = "debt"
    priority: int = 100
    operations: tuple[str, ...] | None = None
    cap_day: int | None = None
    cap_total: int | None = None
    stakes: StakeTerms | None = None

    def terms(self) -> tuple[object, ...]:
        """Return what the books are told of it, in their order."""
        return (
            *(self.name, self.contract, self.event, self.from_block, self.to_block, self.source),
            *(self.on_reversal, self.priority),
            None if self.operations is None else list(self.operations),
            *(self.cap_account, self.cap_account_day, self.cap_day, self.cap_total),
            self.expires_days,
            *(_NO_STAKES if self.stakes is None else self.stakes.terms()),
        )


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """A chain as the books know it: `depth` is None where the finalized tag decides.

    The anchor is the block before the first one to read.
    """

    chain_id: int
    name: str
    genesis: bytes
    depth: int | None
    anchor_number: int
    anchor_hash: bytes
    anchor_time: int


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block that is proven and linked. `time` is Unix seconds."""

    number: int
    hash: bytes
    parent: bytes
    time: int


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of a seen block: `amount` in base units, `credits` in micro-credits.

    `role` is EARNS, ADDS or TAKES; only what earns has credits. It is granted when its block is
    confirmed, or `blocks_more` blocks later. What the protocol gives has the ordinal BLOCK, UNCLE
    or WITHDRAWAL, and no transaction, but the hash of a block or an uncle, or the index of a
    withdrawal.
    """

    block_number: int
    tx_hash: bytes
    ordinal: int
    role: int
    log_index: int
    rule_id: int
    wallet: bytes
    amount: int
    credits: int
    blocks_more: int = 0

    @property
    def cause(self) -> Cause:
        """What it is known by, in whichever block it is included."""
        return self.tx_hash, self.ordinal, self.role


@dataclass(frozen=True, slots=True)
class SetAside:
    """A log or withdrawal that nobody may guess at, and why."""

    block_number: int
    tx_hash: bytes
    ordinal: int
    log_index: int
    rule_id: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where the books stand on a chain.

    `granted_number` is the last block of which something has been granted: the confirmed one, or,
    while stakes are granted what they earned before a block, that block. What is `accepted` may
    take its place.
    """

    state: str
    reason: str | None
    indexed_number: int
    indexed_hash: bytes
    confirmed_number: int
    granted_number: int
    accepted: Sequence[bytes] = ()
