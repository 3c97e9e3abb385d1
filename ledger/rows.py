"""What is read from the books, as values. Amounts are micro-credits, times are aware and in UTC."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal, NewType

from ledger.asking import Row
from ledger.causes import RewardOrigin
from ledger.ids import AccountRef, MovementRef
from ledger.periods import Period

APPS_MAX: Final = 64  # that a balance comes with; few accounts have more than two

EarningCursor = NewType("EarningCursor", int)
"""Where an earning stands in its account's list: the next page lies before it."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has at one moment.

    `available` is what a charge could take now; what has expired is not in it, posted or not.
    `pending` is what seen, not yet confirmed events would give before caps, and `pending_ready_at`
    when the last of it is expected to be confirmed, None where nobody can say. `granted` and
    `spent` only ever grow: a refund does not lower `spent`. `version` grows with every entry. If
    nothing happens, `available` is right for `holds_seconds`, None: for good. `apps` are those
    that may reach it, APPS_MAX at most. `taken_back` is what reorgs and operators have taken of
    its grants ever.
    """

    account: AccountRef
    available: int
    held: int
    pending: int
    debt: int
    granted: int
    spent: int
    version: int
    frozen: bool
    # Estimates, and what is not of the account itself, make no other balance.
    pending_ready_at: datetime | None = field(default=None, compare=False)
    holds_seconds: float | None = field(default=None, compare=False)
    apps: tuple[int, ...] = field(default=(), compare=False)
    taken_back: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PendingPart:
    """Credits that wait to be confirmed, and when they are expected to be, None: nobody knows."""

    credits: int
    ready_at: datetime | None


AccountKind = Literal["user", "wallet", "organisation", "member"]
AccountStatus = Literal["open", "frozen", "indebted", "closed"]
"""Frozen by an operator, indebted where a rule freezes for a debt, closed when a member left."""

"""In UTC; a week begins on Monday."""

EarningState = Literal["pending", "confirmed", "reversed"]
EventRole = Literal["earns", "adds", "takes", "accrues"]


@dataclass(frozen=True, slots=True)
class GrantOrigin:
    """The event of a chain that a grant was made for.

    A stake earns by time, not by a transaction: it has the end of its period instead; and what the
    protocol gives has what it gave.
    `incarnation` counts how often the event has come to the canonical chain.
    """

    source: str
    chain_id: int
    tx_hash: bytes | None
    ordinal: int | None
    incarnation: int
    period_end: datetime | None = None
    reward: RewardOrigin | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One row of the books.

    `movement` is the number of the first entry of what was done in one go, and only that entry
    names `operation`, `units` and `price_version`; `model` is whose price that is, None for that of
    any. `refers_to` is a refund's charge. `grant` is set for entries of kind `grant` alone.
    """

    seq: int
    kind: str
    amount: int
    available_after: int
    debt_after: int
    movement: int
    refers_to: int | None
    operation: str | None
    model: str | None
    units: int | None
    price_version: int | None
    grant: GrantOrigin | None
    at: datetime


@dataclass(frozen=True, slots=True)
class EarningRow:
    """An event that earns for an account, or changes what it has staked.

    Its `role` is "earns", "adds" (to a stake) or "takes" (from it); what a stake earned in a
    period "accrues": it has no transaction, and its `amount` is what earned at the period's end.
    Nor has a `reward` of the protocol. `amount` is in base units of the token, in gwei for a
    withdrawal, and 1 for a block or an uncle. `credits` is what is expected while pending, else
    what was granted. `confirmations` counts the blocks on top of the event's block, none once that
    is off the chain; `confirmations_needed` is None where the chain's `finalized` tag decides. A
    pending event that waits longer than its chain does is granted with block `due_block`. A pending
    one is expected to be confirmed at `ready_at`, None where nobody can say. Its grant is the entry
    `lot_no` of the account, if it was granted anything. `log_index` is its place in its block.
    """

    cursor: EarningCursor
    source: str
    chain_id: int
    chain: str
    role: EventRole
    tx_hash: bytes | None
    ordinal: int | None
    period_end: datetime | None
    reward: RewardOrigin | None
    block_number: int
    block_hash: bytes
    block_time: datetime
    wallet: bytes
    amount: int
    credits: int
    state: EarningState
    confirmations: int
    confirmations_needed: int | None
    due_block: int | None
    ready_at: datetime | None
    log_index: int
    lot_no: int | None
    incarnation: int


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A charge, the app that made it, and how much of it was given back since.

    What the settlement of a `reservation` took is one too: `units` are those that it says were
    used, None where it was by an amount or by the clock. `model` is whose price it was, None if
    that was the price for any. `available` is the balance right after it was made.
    """

    movement: MovementRef
    operation: str
    model: str | None
    units: int | None
    price_version: int
    cost: int
    available: int
    at: datetime
    app_id: int
    refunded: int
    reservation: MovementRef | None


@dataclass(frozen=True, slots=True)
class ReservationRow:
    """A reservation of `amount`, and how it stands.

    `member` is for whom an organisation's pool holds it; `units` are those reserved. `taken` and
    `ended_by`, the movement, are set once it has ended in the books: one that is "expired" ends
    there a bit later. `used` are the units that its settlement says were used, None if none did.
    """

    reservation: MovementRef
    member: AccountRef | None
    app_id: int
    operation: str
    model: str | None
    units: int
    price_version: int
    amount: int
    state: Literal["open", "settled", "released", "expired"]
    taken: int | None
    used: int | None
    ended_by: MovementRef | None
    expires_at: datetime
    at: datetime


UsageBy = Literal["operation", "api_key", "day"]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """How many charges were made, how many units were used, and what was taken for them.

    `used_by` is an operation's name, an API key's number or a day; None for charges of no API key.
    `units` is the sum of those that entries say: what was settled by an amount says none.
    `refunded` was given back meanwhile, of charges of any time.
    """

    used_by: str | None
    charges: int
    units: int
    spent: int
    refunded: int


@dataclass(frozen=True, slots=True)
class ChainRow:
    """How far a chain has been followed.

    `indexed_time` and `confirmed_time` are times of blocks: of the last one read and proven, and of
    the last one whose events are granted. `reason` says why a halted chain is.
    """

    chain_id: int
    name: str
    state: Literal["syncing", "following", "halted"]
    reason: str | None
    head_number: int
    indexed_number: int
    confirmed_number: int
    indexed_time: datetime | None
    confirmed_time: datetime | None
    reorgs: int
    last_reorg_at: datetime | None
    last_reorg_depth: int | None
    leader_seen_at: datetime

    @property
    def lag_blocks(self) -> int:
        """How many blocks its head is ahead of the last one read."""
        # A head from before the last blocks read is no negative lag.
        return max(0, self.head_number - self.indexed_number)


@dataclass(frozen=True, slots=True)
class PastBalance:
    """What an account had at an earlier time, after entry `version` (0: before its first).

    What had expired by then is not in `available`, posted by then or not.
    """

    account: AccountRef
    at: datetime
    available: int
    held: int
    debt: int
    version: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A membership. `left_at` is set once it has ended, `moved_to` if another went on from it."""

    account: AccountRef
    name: str
    status: AccountStatus
    joined_at: datetime
    left_at: datetime | None
    moved_to: AccountRef | None

    @classmethod
    def of(cls, row: Row) -> "MemberRow":
        """Return the membership that a row of the table `member` is, with its account's status."""
        moved = None if row.moved_root is None else AccountRef(row.moved_root, row.moved_account)
        account = AccountRef(row.root_id, row.account_id)
        return cls(account, row.name, row.status, row.joined_at, row.left_at, moved)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What the pool pays for a member in a period (`day`, `week`, `month`, `ever`), in UTC.

    `begins` is the first day of the period that is now, None for `ever`. `used` is what the pool
    paid and holds in it, less what came back; it may exceed an `amount` that was lowered.
    """

    period: Period
    begins: date | None
    amount: int
    used: int
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A wallet whose earnings go to the account.

    Without `chain_id`: the address is linked on every chain, those to come too.
    """

    address: bytes
    chain_id: int | None
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class WalletRow:
    """A wallet that earns for the account: its `own`, without a link, or one that is linked.

    Without `chain_id`: the address is linked on every chain, those to come too.
    """

    address: bytes
    chain_id: int | None
    own: bool
    linked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StatusChangeRow:
    """Who froze an account (`frozen`) or opened it (`open`), and why: the change_no-th time."""

    change_no: int
    status: str
    changed_by: str
    reason: str
    at: datetime
