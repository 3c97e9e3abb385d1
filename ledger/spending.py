"""Spending: what an API process asks of the books."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal
from uuid import UUID

import msgspec
from psycopg.rows import TupleRow

from ledger.changes import Changes
from ledger.ids import AccountRef, MovementRef
from ledger.lanes import CHARGE_BATCH, CHARGE_BATCH_TYPES, Lane, Waiting
from ledger.outcomes import (
    AccountOpened,
    ChargeOutcome,
    KeyReused,
    MoreThanTaken,
    NoSuchCharge,
    Refund,
    Refunded,
    RefundOutcome,
    TooExpensive,
)
from ledger.requests import (
    BIGINT_MAX,
    charge_digest,
    digest128,
    key_digest,
    version_asked_for,
    within_bigint,
)
from ledger.session import Session
from ledger.wire import Wire

# Charges that share a lane share its batches: of one app's 64 callers, one lane takes a third more
# charges than two, for less of everybody's CPU. More are for a database with cores to spare.
LANES: Final = 1
# One batch is decided while the answers of the other go out and the next gathers.
SESSIONS_PER_LANE: Final = 2
# What a lane has queued takes a few tenths of a second: whoever came later is better sent away.
QUEUE_MAX: Final = 4_096

IfOver = Literal["lapse", "renew"]
"""What becomes of what goes back to a grant past its end: it ends with it, or it lives as long
again as the grant had left when the charge was made."""

_REFUND: Final = (
    "select * from creditd.refund(%s::bigint, %s::bigint, %s::bigint, %s::integer,"
    " %s::uuid, %s::uuid, %s::bigint, %s::text)"
)


class ChargeAsked(msgspec.Struct, frozen=True):
    """What a charge is asked for by: `units` of an operation, once per (app, account, key)."""

    account: AccountRef
    key: str
    operation: str
    units: int
    price_version: int | None = None
    model: str | None = None


class Spending:
    """The writes of an API process. Made by `Spending.open`."""

    def __init__(
        self, lanes: Sequence[Lane], side: Session, changes: Changes | None = None
    ) -> None:
        self._lanes = lanes
        self._side = side
        self._changes = changes
        self._new_answer = asyncio.get_running_loop().create_future

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database_url: str,
        *,
        lanes: int = LANES,
        queue_max: int = QUEUE_MAX,
        changes: Changes | None = None,
    ) -> AsyncIterator["Spending"]:
        """Open `lanes` lanes for charges, with at most `queue_max` charges waiting in each.

        What changes accounts is told by `changes`; without, nobody hears of charges.
        Raises SchemaMismatch if the books are of another release, LedgerUnavailable if gone.
        """
        tells_itself = changes is not None
        tell = None if changes is None else changes.tell
        side = Session(database_url, "creditd_api", tells_itself=tells_itself)
        made: list[Lane] = []
        try:
            await side.require_release()
            for _ in range(lanes):
                wires = [
                    Wire(
                        database_url,
                        "creditd_api",
                        CHARGE_BATCH,
                        CHARGE_BATCH_TYPES,
                        tells_itself=tells_itself,
                    )
                    for _ in range(SESSIONS_PER_LANE)
                ]
                made.append(Lane(wires, queue_max, tell))
            yield cls(made, side, changes)
        finally:
            for lane in made:
                await lane.close()
            await side.close()

    async def charge(
        self,
        *,
        app_id: int,
        account: AccountRef,
        key: str,
        operation: str,
        model: str | None = None,
        units: int,
        price_version: int | None = None,
        api_key_id: int | None = None,
    ) -> ChargeOutcome:
        """Take the price of `units` of an operation from an account, once per (app, account, key).

        It is the price of `model` if that has one of its own, else the one for any model. The books
        say of the charge by which API key it was made; the same charge by another one is a replay.
        Raises LedgerBusy if the queue is full (nothing was taken) and LedgerUnavailable if the
        database did not answer: the same key then tells what happened.
        """
        asked = ChargeAsked(account, key, operation, units, price_version, model)
        waiting = self._waiting(app_id, api_key_id, asked)
        if not waiting.answer.done():
            self._lanes[account.root_id % len(self._lanes)].put((waiting,))
        return await waiting.answer

    def charge_together(
        self, charges: Iterable[ChargeAsked], *, app_id: int, api_key_id: int | None = None
    ) -> list[asyncio.Future[ChargeOutcome]]:
        """Hand charges to the books together; each is taken, or refused, by itself.

        Return what becomes of each, in their order: what `charge` would return or raise.
        """
        by_lane: list[list[Waiting]] = [[] for _ in self._lanes]
        answers = []
        for asked in charges:
            waiting = self._waiting(app_id, api_key_id, asked)
            answers.append(waiting.answer)
            if not waiting.answer.done():
                by_lane[asked.account.root_id % len(by_lane)].append(waiting)
        for lane, some in zip(self._lanes, by_lane, strict=True):
            lane.put(some)
        return answers

    def _waiting(self, app_id: int, api_key_id: int | None, asked: ChargeAsked) -> Waiting:
        waiting = Waiting(
            app_id=app_id,
            account=asked.account,
            key=key_digest(app_id, asked.account, asked.key),
            request=charge_digest(asked.operation, asked.model, asked.units, asked.price_version),
            operation=asked.operation,
            model=asked.model or "",
            units=asked.units,
            price_version=version_asked_for(asked.price_version),
            api_key_id=api_key_id or 0,
            answer=self._new_answer(),
        )
        if not 1 <= asked.units <= BIGINT_MAX:
            waiting.answer.set_result(TooExpensive())
        return waiting

    async def refund(
        self,
        *,
        app_id: int,
        charge: MovementRef,
        key: str,
        amount: int | None,
        if_over: IfOver = "lapse",
    ) -> RefundOutcome:
        """Give back `amount` micro-credits of a charge, or all that is left of it (None).

        What a reservation's settlement took is given back like a charge, by its movement. The
        credits go to the grants they were taken from; `if_over` is for grants past their end.
        """
        root_id, account_id = charge.account
        asked = (
            *(root_id, account_id, charge.seq, app_id),
            UUID(bytes=key_digest(app_id, charge.account, key)),
            UUID(bytes=digest128("refund", str(charge.seq), str(amount), if_over)),
            None if amount is None else within_bigint(amount),
            if_over,
        )
        try:
            rows = await self._side.rows(_REFUND, asked)
        finally:
            if self._changes is not None:
                self._changes.tell([charge.account])
        return _refund_outcome(charge, rows[0])

    async def open_account(self, *, app_id: int, name: str) -> AccountOpened:
        """Open the app's own account under the app's own name, or find it."""
        return _opened(
            await self._side.rows("select * from creditd.open_account(%s, %s)", (app_id, name))
        )

    async def open_wallet_account(
        self, *, app_id: int, chain_id: int, address: bytes
    ) -> AccountOpened:
        """Open a wallet's account to the app, making it if the wallet is new.

        The caller answers for the wallet being its user's: from now on the app may spend from it,
        unless the owner has withdrawn that before.
        """
        rows = await self._side.rows(
            "select * from creditd.open_wallet_account(%s, %s, %s)", (app_id, chain_id, address)
        )
        root_id, account_id, created, reached = rows[0]
        return AccountOpened(AccountRef(root_id, account_id), created=created, reached=reached)


def _refund_outcome(charge: MovementRef, row: TupleRow) -> RefundOutcome:
    outcome, seq, amount, repaid, available, at = row
    match outcome:
        case "refunded" | "replayed":
            refund = Refund(
                movement=MovementRef(charge.account, seq),
                charge=charge,
                amount=amount,
                repaid=repaid,
                available=available,
                at=at,
            )
            return Refunded(refund, replayed=outcome == "replayed")
        case "key_reused":
            return KeyReused()
        case "more_than_taken":
            return MoreThanTaken(refundable=amount)
        case _:
            return NoSuchCharge()


def _opened(rows: Sequence[TupleRow]) -> AccountOpened:
    root_id, account_id, created = rows[0]
    return AccountOpened(AccountRef(root_id, account_id), created=created)
