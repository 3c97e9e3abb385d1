"""Spending: what an API process asks of the books.

Charges that arrive while a batch is on its way go together in the next one (group commit): a lone
charge goes at once, and a busy account costs one round trip per batch instead of one per charge.
An account always takes the same lane, so its charges keep their order within a process.
"""

import asyncio
import hashlib
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from psycopg.rows import TupleRow

from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AccountOpened,
    Charge,
    Charged,
    ChargeOutcome,
    Frozen,
    Insufficient,
    KeyReused,
    MoreThanTaken,
    NoSuchAccount,
    NoSuchCharge,
    PriceChanged,
    Refund,
    Refunded,
    RefundOutcome,
    TooExpensive,
    UnknownOperation,
)
from ledger.session import Session

BATCH_MAX: Final = 256  # a batch holds its accounts' locks until it commits: a few ms, not more
LANES: Final = 2  # one sends a batch while the other's is on its way
# What a lane has queued takes a few tenths of a second: whoever came later is better sent away.
QUEUE_MAX: Final = 4_096

_CHARGE_BATCH: Final = (
    "select item, (result).* from creditd.charge_batch(%s::bigint, %s::bigint[], %s::bigint[],"
    " %s::integer[], %s::uuid[], %s::uuid[], %s::text[], %s::bigint[], %s::integer[])"
)
_REFUND: Final = (
    "select (r).* from creditd.refund(%s::bigint, %s::bigint, %s::bigint, %s::integer,"
    " %s::uuid, %s::uuid, %s::bigint) r"
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A charge on its way and whoever waits for it."""

    app_id: int
    account: AccountRef
    key: uuid.UUID
    request: uuid.UUID
    operation: str
    units: int
    price_version: int | None
    answer: asyncio.Future[ChargeOutcome]


class _Lane:
    """One session and the charges that wait for it."""

    def __init__(self, session: Session, queue_max: int) -> None:
        self.session = session
        self._queue_max = queue_max
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    def put(self, waiting: _Waiting) -> None:
        if len(self._queue) >= self._queue_max:
            raise LedgerBusy(f"{self._queue_max} charges are waiting: try again in a moment")
        self._queue.append(waiting)
        self._arrived.set()

    async def run(self) -> None:
        """Send batch after batch. Ends by cancellation only."""
        batch: list[_Waiting] = []
        try:
            while True:
                await self._arrived.wait()
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
                if not self._queue:
                    self._arrived.clear()
                await self._send(batch)
        finally:
            closed = LedgerUnavailable("the ledger was closed before it answered")
            for waiting in (*batch, *self._queue):
                _tell(waiting, closed)

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        try:
            rows = await self.session.rows(_CHARGE_BATCH, _parameters(batch))
            for row in rows:
                waiting = batch[row[0] - 1]
                if not waiting.answer.done():  # its caller may have gone; the charge stands
                    waiting.answer.set_result(_charge_outcome(waiting, row))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            await self._fail(batch, error)

    async def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Pass an outage on; let what the books refuse fail alone, not with its neighbours."""
        if isinstance(error, LedgerUnavailable) or len(batch) == 1:
            for waiting in batch:
                _tell(waiting, error)
            return
        held: set[AccountRef] = set()
        for waiting in batch:
            if waiting.account in held:  # its first charge has waited long enough for both
                _tell(waiting, error)
                continue
            await self._send([waiting])
            gone = waiting.answer.cancelled()
            if not gone and isinstance(waiting.answer.exception(), LedgerBusy):
                held.add(waiting.account)


def _tell(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


class Spending:
    """The writes of an API process. Made by `Spending.open`."""

    def __init__(self, lanes: Sequence[_Lane], side: Session) -> None:
        self._lanes = lanes
        self._side = side

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, *, lanes: int = LANES, queue_max: int = QUEUE_MAX
    ) -> AsyncIterator["Spending"]:
        """Open `lanes` sessions for charges, with at most `queue_max` charges waiting for each.

        Raises SchemaMismatch if the books are of another release, LedgerUnavailable if gone.
        """
        side = Session(database_url, "creditd_api")
        made = [_Lane(Session(database_url, "creditd_api"), queue_max) for _ in range(lanes)]
        try:
            await side.require_release()
            tasks = [asyncio.create_task(lane.run()) for lane in made]
            try:
                yield cls(made, side)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for session in (side, *(lane.session for lane in made)):
                await session.close()

    async def charge(
        self,
        *,
        app_id: int,
        account: AccountRef,
        key: str,
        operation: str,
        units: int,
        price_version: int | None = None,
    ) -> ChargeOutcome:
        """Take the price of `units` of an operation from an account, once per (app, account, key).

        Raises LedgerBusy if the queue is full (nothing was taken) and LedgerUnavailable if the
        database did not answer: the same key then tells what happened.
        """
        waiting = _Waiting(
            app_id=app_id,
            account=account,
            key=digest128(key),
            request=digest128("charge", operation, str(units), str(price_version)),
            operation=operation,
            units=units,
            price_version=price_version,
            answer=asyncio.get_running_loop().create_future(),
        )
        self._lanes[account.root_id % len(self._lanes)].put(waiting)
        return await waiting.answer

    async def refund(
        self, *, app_id: int, charge: MovementRef, key: str, amount: int | None
    ) -> RefundOutcome:
        """Give back `amount` micro-credits of a charge, or all that is left of it (None)."""
        root_id, account_id = charge.account
        rows = await self._side.rows(
            _REFUND,
            (
                root_id,
                account_id,
                charge.seq,
                app_id,
                digest128(key),
                digest128("refund", str(charge.seq), str(amount)),
                amount,
            ),
        )
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

        The caller answers for the wallet being its user's: from now on the app may spend from it.
        """
        return _opened(
            await self._side.rows(
                "select * from creditd.open_wallet_account(%s, %s, %s)", (app_id, chain_id, address)
            )
        )


def digest128(*parts: str) -> uuid.UUID:
    """Return the first 128 bits of SHA-256 over the parts, each led by its length."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return uuid.UUID(bytes=digest.digest()[:16])


def _parameters(batch: Sequence[_Waiting]) -> tuple[object, ...]:
    return (
        batch[0].account.root_id,
        [waiting.account.root_id for waiting in batch],
        [waiting.account.account_id for waiting in batch],
        [waiting.app_id for waiting in batch],
        [waiting.key for waiting in batch],
        [waiting.request for waiting in batch],
        [waiting.operation for waiting in batch],
        [waiting.units for waiting in batch],
        [waiting.price_version for waiting in batch],
    )


def _charge_outcome(waiting: _Waiting, row: TupleRow) -> ChargeOutcome:
    _, outcome, seq, units, price_version, amount, available, debt, at = row
    match outcome:
        case "charged" | "replayed":
            charge = Charge(
                movement=MovementRef(waiting.account, seq),
                operation=waiting.operation,
                units=units,
                price_version=price_version,
                cost=amount,
                available=available,
                at=at,
            )
            return Charged(charge, replayed=outcome == "replayed")
        case "insufficient":
            return Insufficient(
                required=amount, available=available, debt=debt, price_version=price_version
            )
        case "price_changed":
            return PriceChanged(in_force=price_version)
        case _:
            return _REFUSALS[outcome]


_REFUSALS: Final[dict[str, ChargeOutcome]] = {
    "key_reused": KeyReused(),
    "no_account": NoSuchAccount(),
    "unknown_operation": UnknownOperation(),
    "too_expensive": TooExpensive(),
    "frozen": Frozen(),
}


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
