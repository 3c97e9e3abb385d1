"""What the books say of one account, or of several: what it has, did and earned.

Every answer is one statement, so all of it is of one moment. Nothing here writes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from ledger import access_questions, earning_questions
from ledger import account_questions as questions
from ledger.asking import PAGE_MAX, Asking, Row, bounded, of_account, page
from ledger.causes import EventIdentity
from ledger.ids import AccountRef, MovementRef
from ledger.kinds import EntryKind
from ledger.rows import (
    Balance,
    ChargeRow,
    EarningCursor,
    EarningRow,
    EarningState,
    EntryRow,
    EventRole,
    GrantOrigin,
    PastBalance,
    PendingPart,
    ReservationRow,
    UsageBy,
    UsageRow,
)
from ledger.sightings import ADDS, EARNS, TAKES

_ROLES: Final[Mapping[int, EventRole]] = MappingProxyType(
    {EARNS: "earns", ADDS: "adds", TAKES: "takes"}
)


class AccountReading(Asking):
    """The questions about accounts."""

    async def reaches(self, app_id: int, account: AccountRef) -> bool:
        """Return whether the app may act for the account: charge it and read it."""
        return bool(await self.ask(access_questions.ACCESS, {**of_account(account), "app": app_id}))

    async def may_read(self, app_id: int, account: AccountRef) -> bool:
        """Return whether the app may act for the account, or its owner lets the app read it."""
        return bool(
            await self.ask(access_questions.READING, {**of_account(account), "app": app_id})
        )

    async def balance(self, account: AccountRef) -> Balance | None:
        """Return what the account has, None if there is no such account."""
        return (await self.balances([account])).get(account)

    async def balances(self, accounts: Sequence[AccountRef]) -> dict[AccountRef, Balance]:
        """Return what each of the accounts has that there are, all at one moment."""
        rows = await self.ask(
            questions.BALANCES,
            {
                "roots": [account.root_id for account in accounts],
                "accounts": [account.account_id for account in accounts],
            },
        )
        return {row.account: row for row in map(_balance, rows)}

    async def pending(self, account: AccountRef, *, limit: int) -> list[PendingPart]:
        """Return at most `limit` (up to PAGE_MAX) parts of what is pending, the soonest first."""
        asked = {**of_account(account), "limit": bounded(limit)}
        rows = await self.ask(questions.PENDING, asked)
        return [PendingPart(int(row.credits), row.ready_at) for row in rows]

    async def balance_as_of(self, account: AccountRef, at: datetime) -> PastBalance | None:
        """Return what the account had at an aware time, None if there is no such account.

        For a time to come: what would be left then if nothing happened.
        """
        for row in await self.ask(questions.BALANCE_AS_OF, {**of_account(account), "at": at}):
            return PastBalance(
                account, at, row.o_available, row.o_held, row.o_debt, version=row.o_seq
            )
        return None

    async def entries(
        self,
        account: AccountRef,
        *,
        before_seq: int | None,
        limit: int,
        after_seq: int = 0,
        kinds: Collection[EntryKind] | None = None,
    ) -> list[EntryRow]:
        """Return at most `limit` (up to PAGE_MAX) entries before `before_seq`, newest first.

        Of the given kinds, if any are given. Every entry down to `after_seq` may be looked at.
        """
        asked = {
            **of_account(account),
            **page(before_seq, limit),
            "after": after_seq,
            "kinds": None if kinds is None else [int(kind) for kind in kinds],
        }
        return [_entry(row) for row in await self.ask(questions.ENTRIES, asked)]

    async def earnings(
        self,
        account: AccountRef,
        *,
        before: EarningCursor | None,
        limit: int,
        state: EarningState | None = None,
        source: str | None = None,
    ) -> list[EarningRow]:
        """Return at most `limit` (up to PAGE_MAX) earnings before `before`, newest first.

        An event is the account's if it was granted to it, or else if its wallet is the account's.
        """
        asked = {**of_account(account), **page(before, limit), "state": state, "source": source}
        return [_earning(row) for row in await self.ask(earning_questions.EARNINGS, asked)]

    async def earnings_after(
        self, account: AccountRef, after: EarningCursor, *, limit: int
    ) -> list[EarningRow]:
        """Return at most `limit` (up to PAGE_MAX) earnings that were seen later, oldest first."""
        asked = {**of_account(account), "after": after, "limit": bounded(limit)}
        return [_earning(row) for row in await self.ask(earning_questions.EARNINGS_AFTER, asked)]

    async def earnings_named(
        self, account: AccountRef, cursors: Collection[EarningCursor]
    ) -> list[EarningRow]:
        """Return those of the account's earnings (up to PAGE_MAX) that there are, oldest first."""
        if not cursors:
            return []
        asked = {**of_account(account), "numbers": list(cursors), "limit": bounded(len(cursors))}
        return [_earning(row) for row in await self.ask(earning_questions.EARNINGS_NAMED, asked)]

    async def entries_before(self, account: AccountRef, at: datetime) -> int:
        """Return how many entries of the account came before an aware time."""
        (row,) = await self.ask(questions.ENTRIES_BEFORE, {**of_account(account), "at": at})
        return int(row.entries)

    async def usage(
        self, account: AccountRef, by: UsageBy, *, after_seq: int, to_seq: int
    ) -> list[UsageRow]:
        """Return what the charges of these entries took, by operation, API key or day (UTC).

        At most PAGE_MAX groups, in their order. All of the entries are looked at.
        """
        window = {"after": after_seq, "to": to_seq, "by": by, "limit": PAGE_MAX}
        return [
            UsageRow(row.used_by, row.charges, int(row.units), int(row.spent), int(row.refunded))
            for row in await self.ask(questions.USAGE, {**of_account(account), **window})
        ]

    async def charge(self, movement: MovementRef) -> ChargeRow | None:
        """Return a charge, None if the movement is none."""
        asked = {**of_account(movement.account), "seq": movement.seq}
        for row in await self.ask(questions.CHARGE, asked):
            reserved = row.reservation_no
            return ChargeRow(
                movement=movement,
                operation=row.operation,
                model=row.model,
                units=row.units,
                price_version=row.price_version,
                cost=row.total,
                available=row.available,
                at=row.at,
                app_id=row.app_id,
                refunded=int(row.refunded),
                reservation=None if reserved is None else MovementRef(movement.account, reserved),
            )
        return None

    async def reservation(self, reservation: MovementRef) -> ReservationRow | None:
        """Return a reservation and how it stands, None if the movement is none."""
        account = reservation.account
        asked = {**of_account(account), "seq": reservation.seq}
        for row in await self.ask(questions.RESERVATION, asked):
            member, ended_by = row.member_id, row.ended_by
            return ReservationRow(
                reservation=reservation,
                member=None if member is None else AccountRef(account.root_id, member),
                app_id=row.app_id,
                operation=row.operation,
                model=row.model,
                units=row.units,
                price_version=row.price_version,
                amount=row.amount,
                state=row.state,
                taken=row.settled,
                used=row.used,
                ended_by=None if ended_by is None else MovementRef(account, ended_by),
                expires_at=row.expires_at,
                at=row.at,
            )
        return None


def _balance(row: Row) -> Balance:
    return Balance(
        account=AccountRef(row.root_id, row.account_id),
        available=int(row.available),
        held=row.held,
        pending=int(row.pending),
        debt=row.debt,
        granted=row.granted,
        spent=row.spent,
        version=row.seq,
        frozen=row.frozen,
        pending_ready_at=row.pending_ready_at,
        holds_seconds=None if row.holds_seconds is None else float(row.holds_seconds),
        apps=tuple(row.apps),
        taken_back=row.taken_back,
    )


def _entry(row: Row) -> EntryRow:
    return EntryRow(
        seq=row.seq,
        kind=EntryKind(row.kind).name.lower(),
        amount=row.amount,
        available_after=row.available_after,
        debt_after=row.debt_after,
        movement=row.movement,
        refers_to=row.refers_to,
        operation=row.operation,
        model=row.model,
        units=row.units,
        price_version=row.price_version,
        # A charge may be a grant's cause too: what no rule made has no event.
        grant=None if row.source is None else _origin(row),
        at=row.at,
    )


def _origin(row: Row) -> GrantOrigin | None:
    event = EventIdentity.of_cause(row.cause)
    if event is None:
        return None
    return GrantOrigin(
        source=row.source,
        chain_id=event.chain_id,
        tx_hash=event.tx_hash,
        ordinal=event.place,
        incarnation=row.incarnation,
        period_end=event.period_end,
        reward=event.reward,
    )


def _earning(row: Row) -> EarningRow:
    event = EventIdentity(row.chain_id, row.tx_hash, row.ordinal, row.role)
    return EarningRow(
        cursor=EarningCursor(row.event_no),
        source=row.source,
        chain_id=row.chain_id,
        chain=row.chain,
        role="accrues" if event.period_end else _ROLES[row.role],
        tx_hash=event.tx_hash,
        ordinal=event.place,
        period_end=event.period_end,
        reward=event.reward,
        block_number=row.block_number,
        block_hash=row.block_hash,
        block_time=row.block_time,
        wallet=row.wallet,
        amount=int(row.amount),
        credits=row.credits,
        state=row.state,
        confirmations=row.confirmations,
        confirmations_needed=row.confirmations_needed,
        due_block=row.due_block,
        ready_at=row.ready_at,
        log_index=row.log_index,
        lot_no=row.lot_no,
        incarnation=row.incarnation,
    )
