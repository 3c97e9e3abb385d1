"""What comes of opening, linking, sharing and freezing accounts. Amounts are micro-credits."""

from dataclasses import dataclass
from datetime import datetime

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes.charging import Frozen, KeyReused, NoSuchAccount


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The account the app asked for: made now (`created`), or already there.

    It is not `reached` if it is a wallet's whose owner withdrew what the app may do.
    """

    account: AccountRef
    created: bool
    reached: bool = True


@dataclass(frozen=True, slots=True)
class AccountClosed:
    """The account belongs to a member that left; nothing was written."""


@dataclass(frozen=True, slots=True)
class BeyondRange:
    """The amount, or what the account would hold then, is beyond the range of the books."""


@dataclass(frozen=True, slots=True)
class NameTaken:
    """The name stands for another account already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The address's wallets earn for the account: from now on, or (`replayed`) since earlier.

    `wallets` were linked now, and `moved` credits and `debt` came along with them.
    """

    account: AccountRef
    wallets: int
    moved: int
    debt: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class LinkedElsewhere:
    """A wallet of the address is linked to another account; nothing was written."""


@dataclass(frozen=True, slots=True)
class LinkChained:
    """Nothing was written: links are never chained.

    Either the account is the own one of a linked wallet, or others are linked to the wallet's own.
    """


@dataclass(frozen=True, slots=True)
class ChallengeSpent:
    """The signed text was not given out for this, is over or was used; nothing was written."""


LinkOutcome = (
    Linked | LinkedElsewhere | LinkChained | NoSuchAccount | AccountClosed | Frozen | BeyondRange
)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The address's wallets earn for their own accounts: from now on, or (`replayed`) as before."""

    replayed: bool


UnlinkOutcome = Unlinked | LinkedElsewhere | NoSuchAccount


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """The membership is over: since now, or (`replayed`) since earlier."""

    replayed: bool


@dataclass(frozen=True, slots=True)
class MemberMoved:
    """The member has an account in the other organisation: since now, or (`replayed`) before."""

    account: AccountRef
    replayed: bool


RemoveOutcome = MemberRemoved | NoSuchAccount | Frozen
MoveOutcome = MemberMoved | NoSuchAccount | AccountClosed | NameTaken | Frozen


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """The budget is as it was asked for."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Credits that moved between an organisation's pool and a member.

    `movement` is that of the account that gave them, `available` what that one had right after.
    """

    movement: MovementRef
    amount: int
    available: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Allocated:
    """The credits moved now, or (`replayed`) earlier under the same key."""

    allocation: Allocation
    replayed: bool


@dataclass(frozen=True, slots=True)
class NotCovered:
    """The account has less to give; nothing was written and the key stays free.

    What it cannot give: an overdraft, credits of a later time, credits of some operations only.
    """

    required: int
    available: int


AllocationOutcome = (
    Allocated | KeyReused | NotCovered | NoSuchAccount | AccountClosed | Frozen | BeyondRange
)


@dataclass(frozen=True, slots=True)
class StatusSet:
    """The account is frozen, or open again: since now (`changed`), or it was before."""

    changed: bool


@dataclass(frozen=True, slots=True)
class OverdraftSet:
    """How much of the overdraft is in use, spent or reserved, and how much is not.

    A lowered limit takes back what is not in use: `used` may be beyond it until it is paid back.
    """

    used: int
    unused: int
