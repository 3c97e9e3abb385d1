"""What travels of who shares an account: organisations, members, budgets, and accounts by name."""

from datetime import date
from typing import Annotated, Final

from msgspec import Meta, Struct

from api.shapes import LINE_PATTERN, AccountName, Credits, CreditsAsked, Utc
from ledger.periods import Period
from ledger.rows import AccountKind, AccountStatus

LEVELS_MAX: Final = 10  # as the books have it

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE_PATTERN)]
Level = Annotated[int, Meta(ge=1, le=100, description="Percent of the amount.")]


class NamedAccount(Struct, frozen=True):
    """An account that the app opened, under the name that it gave it."""

    id: AccountName
    name: str
    kind: AccountKind
    status: AccountStatus
    opened_at: Utc


class NamedAccountPage(Struct, frozen=True):
    """The app's accounts, by name. `next_cursor` is null on the last page."""

    data: list[NamedAccount]
    next_cursor: str | None


class OrganisationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The app's own name of the organisation."""

    name: Name


class Organisation(Struct, frozen=True):
    """An organisation. Its `id` is that of its pool: the account that pays for its members."""

    id: AccountName
    name: str
    status: AccountStatus
    opened_at: Utc


class OrganisationPage(Struct, frozen=True):
    """The app's organisations, by name. `next_cursor` is null on the last page."""

    data: list[Organisation]
    next_cursor: str | None


class MemberRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The organisation's name of the member."""

    name: Name


class MoveRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The organisation that the member moves to."""

    to: Annotated[str, Meta(max_length=64, examples=["acct_…"])]


class Member(Struct, frozen=True):
    """A membership. `left_at` is set once it has ended, `moved_to` if another went on from it."""

    id: AccountName
    organisation: AccountName
    name: str
    status: AccountStatus
    joined_at: Utc
    left_at: Utc | None
    moved_to: AccountName | None


class MemberPage(Struct, frozen=True):
    """Members, also those that left, in no order but an unchanging one."""

    data: list[Member]
    next_cursor: str | None


class BudgetRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the pool pays for the member at most in each period, and what is told of on the way."""

    amount: CreditsAsked
    alert_levels: Annotated[list[Level], Meta(max_length=LEVELS_MAX)] = []


class Budget(Struct, frozen=True):
    """What the pool pays for a member in a period of UTC, and what was used in the one that is now.

    A week begins on Monday; `begins` is null for `ever`. `left` is 0 where more was used than an
    amount that was lowered.
    """

    period: Period
    begins: date | None
    amount: Credits
    used: Credits
    left: Credits
    alert_levels: list[int]


class Budgets(Struct, frozen=True):
    """A member's budgets, at most one of each period: each must leave room for a charge."""

    data: list[Budget]


class AllocationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How many credits move."""

    amount: CreditsAsked


class Allocation(Struct, frozen=True):
    """Credits that moved between a pool and a member: out of `account`, by its entry `entry`.

    `available` is what that account had right after.
    """

    account: AccountName
    to: AccountName
    amount: Credits
    available: Credits
    entry: int
    at: Utc


class AlertRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Below how many available credits receivers of `balance.low` are told; null: not at all."""

    below: CreditsAsked | None


class Alert(Struct, frozen=True):
    """Below how many available credits receivers of `balance.low` are told of an account."""

    account: AccountName
    below: Credits | None
