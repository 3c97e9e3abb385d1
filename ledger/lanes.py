"""Group commit: charges that arrive while a batch is on its way go together in the next one.

A lone charge goes at once, and a busy account costs one round trip per batch instead of one per
charge. An account always takes the same lane.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec
import psycopg
from psycopg.pq.abc import PGresult

from ledger import arrays
from ledger.connecting import translated
from ledger.errors import LedgerBusy, LedgerError, LedgerUnavailable, closed_unanswered
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    Charge,
    Charged,
    ChargeOutcome,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    OverBudget,
    OverKeyCap,
    PriceChanged,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.session import TRIES_MAX
from ledger.wire import Answer, Wire

BATCH_MAX: Final = 256  # a batch holds its accounts' locks until it commits: a few ms, not more

CHARGE_BATCH: Final = "select * from creditd.charge_batch($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)"
CHARGE_BATCH_TYPES: Final = (
    arrays.INT8,
    *(arrays.INT8_ARRAY, arrays.INT8_ARRAY, arrays.INT4_ARRAY),
    *(arrays.UUID_ARRAY, arrays.UUID_ARRAY, arrays.TEXT_ARRAY, arrays.TEXT_ARRAY),
    *(arrays.INT4_ARRAY, arrays.INT8_ARRAY, arrays.INT4_ARRAY, arrays.INT4_ARRAY),
)

# 40001 and 40P01 undo the statement and say nothing about the books. 23505: another process made
# a charge under the same key in the same moment, and asking again gives its answer. XX000: a
# migration laid anew what the statement was running, and asking again runs the new.
_ANOTHER_TRY_HELPS: Final = {"40001", "40P01", "23505", "XX000"}
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # Postgres counts microseconds from here
_INFINITY: Final = 2**63 - 1  # how it sends a time that never comes


class Waiting(msgspec.Struct, eq=False):
    """A charge on its way and whoever waits for it. Key and request are digests of 16 bytes."""

    app_id: int
    account: AccountRef
    key: bytes
    request: bytes
    operation: str
    model: str  # empty: none
    units: int
    price_version: int  # 0: any
    api_key_id: int  # 0: none
    answer: asyncio.Future[ChargeOutcome]


class Lane:
    """Some sessions and the charges that wait for them.

    While one batch is decided by the database, the answers of the one before it go to their
    callers and the next one gathers: neither side waits for the other.
    """

    def __init__(
        self,
        wires: Sequence[Wire],
        queue_max: int,
        tell: Callable[[Iterable[AccountRef]], None] | None = None,
    ) -> None:
        self._wires = wires
        self._tell_changed = tell
        self._queue_max = queue_max
        self._queue: deque[Waiting] = deque()
        self._in_flight = 0
        self._idle = list(wires)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def put(self, charges: Sequence[Waiting]) -> None:
        """Send charges, or queue them behind those on their way.

        Whoever waits is told LedgerBusy if the queue is full, LedgerUnavailable if it is closed.
        """
        for waiting in charges:
            if self._is_closed:
                _tell(waiting, closed_unanswered())
            elif len(self._queue) >= self._queue_max:
                _tell(waiting, _full(self._queue_max))
            else:
                self._queue.append(waiting)
        self._hand_over()

    async def close(self) -> None:
        """End the sessions. Whoever still waits is told that the same key tells what happened."""
        self._is_closed = True
        self._idle.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # First of all what waits: a wire that is closed would be sent the next batch.
        while self._queue:
            _tell(self._queue.popleft(), closed_unanswered())
        for wire in self._wires:
            wire.close()

    def _hand_over(self) -> None:
        # As many as are on its way: batches stay about equal, and a lone charge goes at once. What
        # a batch costs both sides beside its charges is shared by as many as can be.
        if not (self._queue and self._idle and len(self._queue) >= self._in_flight):
            return
        wire = self._idle.pop()
        batch = self._next_batch()
        self._in_flight += len(batch)
        if wire.is_open:
            wire.send(_parameters(batch), partial(self._answered, wire, batch, 1))
        else:
            self._begin(self._open_for(wire, batch), batch)

    def _next_batch(self) -> list[Waiting]:
        batch: dict[bytes, Waiting] = {}
        again: list[Waiting] = []
        while self._queue and len(batch) < BATCH_MAX:
            waiting = self._queue.popleft()
            # The second charge under one key is a replay of the first: it must come after it.
            if batch.setdefault(waiting.key, waiting) is not waiting:
                again.append(waiting)
        self._queue.extendleft(reversed(again))
        return list(batch.values())

    def _answered(self, wire: Wire, batch: list[Waiting], tries: int, answer: Answer) -> None:
        if not isinstance(answer, Exception):
            _tell_outcomes(batch, answer)
            self._done(wire, batch)
        elif tries < TRIES_MAX and _another_try_helps(answer):
            wire.send(_parameters(batch), partial(self._answered, wire, batch, tries + 1))
        else:
            error = _explained(answer)
            if isinstance(error, LedgerUnavailable) or len(batch) == 1:
                for waiting in batch:
                    _tell(waiting, error)
                self._done(wire, batch)
            else:  # what the books refuse fails alone, not with its neighbours
                self._begin(self._one_by_one(wire, batch), batch)

    def _done(self, wire: Wire, batch: Sequence[Waiting]) -> None:
        self._changed(batch)
        self._in_flight -= len(batch)
        self._idle.append(wire)
        self._hand_over()

    def _changed(self, batch: Sequence[Waiting]) -> None:
        """Say which accounts may have changed: of charges without an answer nobody knows.

        In the turn of the event loop that gives the answers, so nobody who has one comes before.
        """
        if self._tell_changed is not None:
            self._tell_changed(waiting.account for waiting in batch)

    def _begin(self, work: Coroutine[None, None, None], batch: Sequence[Waiting]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():  # perhaps before its first step: nobody else would tell them
                for waiting in batch:
                    _tell(waiting, closed_unanswered())

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _open_for(self, wire: Wire, batch: list[Waiting]) -> None:
        try:
            await wire.open()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            for waiting in batch:
                _tell(waiting, error)
            self._done(wire, batch)
        else:
            wire.send(_parameters(batch), partial(self._answered, wire, batch, 1))

    async def _one_by_one(self, wire: Wire, batch: list[Waiting]) -> None:
        held: dict[AccountRef, Exception] = {}
        try:
            for waiting in batch:
                # Of a held account the first charge has waited long enough for all.
                error = held.get(waiting.account) or await self._alone(wire, waiting)
                self._changed([waiting])
                if isinstance(error, LedgerBusy):
                    held[waiting.account] = error
                if error is not None:
                    _tell(waiting, error)
        finally:
            for waiting in batch:  # has no effect on those that have their answer
                _tell(waiting, closed_unanswered())
        self._done(wire, batch)

    async def _alone(self, wire: Wire, waiting: Waiting) -> Exception | None:
        """Send one charge by itself. Returns the error to tell, if there is one."""
        try:
            if not wire.is_open:
                await wire.open()
            for _ in range(TRIES_MAX):
                answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                wire.send(_parameters([waiting]), answered.set_result)
                answer = await answered
                if not (isinstance(answer, Exception) and _another_try_helps(answer)):
                    break
        except LedgerError as error:
            return error
        if isinstance(answer, Exception):
            return _explained(answer)
        _tell_outcomes([waiting], answer)
        return None


def _another_try_helps(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate in _ANOTHER_TRY_HELPS


def _explained(error: Exception) -> Exception:
    return (translated(error) or error) if isinstance(error, psycopg.Error) else error


def _full(queue_max: int) -> LedgerBusy:
    return LedgerBusy(f"{queue_max} charges are waiting: try again in a moment")


def _tell(waiting: Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _tell_outcomes(batch: Sequence[Waiting], answer: PGresult) -> None:
    decoded = [
        arrays.read(answer.get_value(0, column) or b"", code, len(batch))
        for column, code in enumerate("hqqiqqqqh")
    ]
    for waiting, outcome in zip(batch, zip(*decoded, strict=True), strict=True):
        if not waiting.answer.done():  # its caller may have gone; the charge stands
            waiting.answer.set_result(_charge_outcome(waiting, outcome))


def _parameters(batch: Sequence[Waiting]) -> list[bytes]:
    places: dict[tuple[str, str], int] = {}
    operation_of = [
        places.setdefault((waiting.operation, waiting.model), len(places) + 1) for waiting in batch
    ]
    return [
        batch[0].account.root_id.to_bytes(8),
        arrays.int8s([waiting.account.root_id for waiting in batch]),
        arrays.int8s([waiting.account.account_id for waiting in batch]),
        arrays.int4s([waiting.app_id for waiting in batch]),
        arrays.uuids([waiting.key for waiting in batch]),
        arrays.uuids([waiting.request for waiting in batch]),
        arrays.texts([operation for operation, _ in places]),
        arrays.texts([model for _, model in places]),
        arrays.int4s(operation_of),
        arrays.int8s([waiting.units for waiting in batch]),
        arrays.int4s([waiting.price_version for waiting in batch]),
        arrays.int4s([waiting.api_key_id for waiting in batch]),
    ]


def _charge_outcome(waiting: Waiting, answer: tuple[int, ...]) -> ChargeOutcome:
    outcome, payer, seq, price_version, amount, available, debt, at, by_model = answer
    if outcome in {_CHARGED, _REPLAYED}:
        charge = Charge(
            movement=MovementRef(AccountRef(waiting.account.root_id, payer), seq),
            operation=waiting.operation,
            model=waiting.model if by_model else None,
            units=waiting.units,
            price_version=price_version,
            cost=amount,
            available=available,
            at=_EPOCH + timedelta(microseconds=at),
        )
        return Charged(charge, replayed=outcome == _REPLAYED)
    if outcome == _INSUFFICIENT:
        return Insufficient(
            required=amount, available=available, debt=debt, price_version=price_version
        )
    if outcome == _PRICE_CHANGED:
        return PriceChanged(in_force=price_version)
    if outcome == _OVER_BUDGET:
        return OverBudget(required=amount, left=available, price_version=price_version)
    if outcome == _OVER_KEY_CAP:
        renews_at = None if at == _INFINITY else _EPOCH + timedelta(microseconds=at)
        return OverKeyCap(amount, available, price_version, renews_at)
    return _REFUSALS[outcome]


# As `creditd.outcome_number` numbers them.
_CHARGED, _REPLAYED, _INSUFFICIENT, _PRICE_CHANGED, _OVER_BUDGET = 1, 2, 3, 7, 10
_OVER_KEY_CAP: Final = 11
_REFUSALS: Final[dict[int, ChargeOutcome]] = {
    4: KeyReused(),
    5: NoSuchAccount(),
    6: UnknownOperation(),
    8: TooExpensive(),
    9: Frozen(),
    12: UnknownModel(),
}
