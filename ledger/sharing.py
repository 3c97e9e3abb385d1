"""Sharing: organisations, their members, and what the pool pays for each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import psycopg

from ledger.changes import Changes
from ledger.credits import MICRO_MAX
from ledger.errors import LedgerError
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AccountClosed,
    AccountOpened,
    Allocated,
    Allocation,
    AllocationOutcome,
    BeyondRange,
    BudgetSet,
    Frozen,
    KeyReused,
    MemberMoved,
    MemberRemoved,
    MoveOutcome,
    NameTaken,
    NoSuchAccount,
    NotCovered,
    RemoveOutcome,
)
from ledger.periods import Period
from ledger.requests import digest128, key_digest
from ledger.session import Session, opened

_ALLOCATE: Final = (
    "select * from creditd.allocate(%s, %s::bigint, %s::bigint, %s::bigint, %s::uuid, %s::uuid,"
    " %s::bigint)"
)


class Sharing:
    """What an API process writes of organisations. Made by `Sharing.open`, or on a session."""

    def __init__(self, session: Session, changes: Changes | None = None) -> None:
        self._session = session
        self._changes = changes

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, *, changes: Changes | None = None
    ) -> AsyncIterator["Sharing"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable.

        The books tell of its writes; `changes` tells this process before the write is answered.
        """
        async with opened(database_url, "creditd_api") as session:
            yield cls(session, changes)

    async def open_organisation(self, *, app_id: int, name: str) -> AccountOpened | NameTaken:
        """Open the app's own organisation under the app's own name, or find it.

        The account is its pool. Raises LedgerError unless the name has 1 to 200 characters.
        """
        try:
            rows = await self._session.rows(
                "select * from creditd.open_organisation(%s, %s)", (app_id, name)
            )
        except psycopg.errors.CheckViolation as error:
            raise LedgerError("an organisation's name has 1 to 200 characters") from error
        outcome, root_id, account_id, created = rows[0]
        if outcome == "name_taken":
            return NameTaken()
        return AccountOpened(AccountRef(root_id, account_id), created=created)

    async def add_member(
        self, *, app_id: int, organisation: AccountRef, name: str
    ) -> AccountOpened | NoSuchAccount:
        """Open a member's account under the organisation's name for it, or find it.

        Without a budget the pool pays nothing for it. Raises LedgerError unless the name has 1 to
        200 characters.
        """
        try:
            rows = await self._session.rows(
                "select * from creditd.add_member(%s, %s::bigint, %s)",
                (app_id, organisation.root_id, name),
            )
        except psycopg.errors.CheckViolation as error:
            raise LedgerError("a member's name has 1 to 200 characters") from error
        outcome, account_id, created = rows[0]
        if outcome == "no_account":
            return NoSuchAccount()
        return AccountOpened(AccountRef(organisation.root_id, account_id), created=created)

    async def remove_member(self, *, app_id: int, member: AccountRef) -> RemoveOutcome:
        """End a membership. What the member has and owes is the pool's; its wallets' links end."""
        rows = await self._session.rows(
            "select creditd.remove_member(%s, %s::bigint, %s::bigint)", (app_id, *member)
        )
        self._tell(member)
        match rows[0][0]:
            case "removed" | "replayed" as outcome:
                return MemberRemoved(replayed=outcome == "replayed")
            case "frozen":
                return Frozen()
            case _:
                return NoSuchAccount()

    async def move_member(self, *, app_id: int, member: AccountRef, to: AccountRef) -> MoveOutcome:
        """End a membership and begin one in another organisation, under the same name.

        What the member has and owes stays with the old pool; its wallets' links go along.
        """
        rows = await self._session.rows(
            "select * from creditd.move_member(%s, %s::bigint, %s::bigint, %s::bigint)",
            (app_id, *member, to.root_id),
        )
        self._tell(member)
        outcome, root_id, account_id = rows[0]
        match outcome:
            case "moved" | "replayed":
                return MemberMoved(AccountRef(root_id, account_id), replayed=outcome == "replayed")
            case "closed":
                return AccountClosed()
            case "name_taken":
                return NameTaken()
            case "frozen":
                return Frozen()
            case _:
                return NoSuchAccount()

    async def set_budget(
        self,
        *,
        app_id: int,
        member: AccountRef,
        period: Period,
        amount: int | None,
        levels: Sequence[int] = (),
    ) -> BudgetSet | NoSuchAccount:
        """Let the pool pay up to `amount` micro-credits for a member in each period; None ends it.

        Each of the levels, in percent, is told of once in a period, when it is reached. Of several
        periods' budgets each must leave room. Raises LedgerError unless the amount is between 0 and
        MICRO_MAX and the levels are at most ten, between 1 and 100.
        """
        try:
            rows = await self._session.rows(
                "select creditd.set_budget("
                "%s, %s::bigint, %s::bigint, %s, %s::bigint, %s::smallint[])",
                (app_id, *member, period, amount, list(levels)),
            )
        except (psycopg.errors.CheckViolation, psycopg.errors.NumericValueOutOfRange) as error:
            raise LedgerError(
                f"a budget is between 0 and {MICRO_MAX} micro-credits by day, week, month or ever,"
                " with at most ten levels between 1 and 100 percent"
            ) from error
        return BudgetSet() if rows[0][0] == "set" else NoSuchAccount()

    async def allocate(
        self, *, app_id: int, member: AccountRef, key: str, amount: int
    ) -> AllocationOutcome:
        """Give a member `amount` micro-credits of the pool's, once per (app, member, key)."""
        return await self._move(app_id, member, key, amount, back=False)

    async def take_back(
        self, *, app_id: int, member: AccountRef, key: str, amount: int
    ) -> AllocationOutcome:
        """Give the pool `amount` micro-credits of a member's, once per (app, member, key)."""
        return await self._move(app_id, member, key, amount, back=True)

    async def set_alert(self, account: AccountRef, below: int | None) -> bool:
        """Tell receivers of `balance.low` once the account falls below; None: no more.

        Says whether there is such an account. The caller has seen to it that the app reaches it.
        Raises LedgerError unless `below` is between 1 and MICRO_MAX micro-credits.
        """
        if below is not None and not 1 <= below <= MICRO_MAX:
            raise LedgerError(f"an alert is between 1 and {MICRO_MAX} micro-credits")
        rows = await self._session.rows(
            "select creditd.set_alert(%s::bigint, %s::bigint, %s::bigint)", (*account, below)
        )
        return bool(rows[0][0])

    def _tell(self, member: AccountRef) -> None:
        if self._changes is not None:
            self._changes.tell([member])

    async def _move(
        self, app_id: int, member: AccountRef, key: str, amount: int, *, back: bool
    ) -> AllocationOutcome:
        if not 1 <= amount <= MICRO_MAX:
            return BeyondRange()
        root_id, member_id = member
        giver, taker = (member_id, root_id) if back else (root_id, member_id)
        asked = digest128("take back" if back else "allocate", str(amount))
        rows = await self._session.rows(
            _ALLOCATE,
            (
                *(app_id, root_id, giver, taker),
                UUID(bytes=key_digest(app_id, member, key)),
                UUID(bytes=asked),
                amount,
            ),
        )
        self._tell(member)
        outcome, seq, moved, available, at = rows[0]
        match outcome:
            case "moved" | "replayed":
                movement = MovementRef(AccountRef(root_id, giver), seq)
                allocation = Allocation(movement, moved, available, at)
                return Allocated(allocation, replayed=outcome == "replayed")
            case "not_covered":
                return NotCovered(required=amount, available=available)
            case _:
                return _REFUSALS[outcome]


_REFUSALS: Final[dict[str, AllocationOutcome]] = {
    "key_reused": KeyReused(),
    "no_account": NoSuchAccount(),
    "closed": AccountClosed(),
    "frozen": Frozen(),
    "beyond_range": BeyondRange(),
}
