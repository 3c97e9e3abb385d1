"""Group commit: charges that arrive while a batch is on its way go together in the next one.

A lone charge goes at once, and a busy account costs one round trip per batch instead of one per
charge. An account always takes the same lane, so its charges keep their order within a process.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from ledger.errors import LedgerBusy, LedgerUnavailable
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
    PriceChanged,
    TooExpensive,
    UnknownOperation,
)
from ledger.session import Session

BATCH_MAX: Final = 256  # a batch holds its accounts' locks until it commits: a few ms, not more

_CHARGE_BATCH: Final = (
    "select * from creditd.charge_batch("
    "%b::bigint, %b, %b, %b, %b, %b, %b::text[], %b, %b, %b)"
)


class Int8s(bytes):
    """A bigint[] as it goes over the wire."""


class Int4s(bytes):
    """An integer[] as it goes over the wire."""


class Digests(bytes):
    """A uuid[] as it goes over the wire."""


class _WireDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Buffer) -> Buffer:
        return obj


class _Int8sDumper(_WireDumper):
    oid = psycopg.adapters.types["int8"].array_oid


class _Int4sDumper(_WireDumper):
    oid = psycopg.adapters.types["int4"].array_oid


class _DigestsDumper(_WireDumper):
    oid = psycopg.adapters.types["uuid"].array_oid


psycopg.adapters.register_dumper(Int8s, _Int8sDumper)
psycopg.adapters.register_dumper(Int4s, _Int4sDumper)
psycopg.adapters.register_dumper(Digests, _DigestsDumper)

# An array: how many dimensions, whether it has nulls, its elements' type, how many, the first one's
# number; then every element behind its length.
_HEADER: Final = struct.Struct(">iiIii")


def _array(type_oid: int, size: int, code: str, elements: Sequence[object]) -> bytes:
    flat: list[object] = [size] * (2 * len(elements))
    flat[1::2] = elements
    header = _HEADER.pack(1, 0, type_oid, len(elements), 1)
    return header + struct.pack(">" + f"i{code}" * len(elements), *flat)


def _int8s(elements: Sequence[int]) -> Int8s:
    return Int8s(_array(20, 8, "q", elements))


def _int4s(elements: Sequence[int]) -> Int4s:
    return Int4s(_array(23, 4, "i", elements))


def _digests(elements: Sequence[bytes]) -> Digests:
    return Digests(_array(2950, 16, "16s", elements))


@dataclass(slots=True, eq=False)
class Waiting:
    """A charge on its way and whoever waits for it. Key and request are digests of 16 bytes."""

    app_id: int
    account: AccountRef
    key: bytes
    request: bytes
    operation: str
    units: int
    price_version: int | None
    answer: asyncio.Future[ChargeOutcome]


class Lane:
    """Some sessions and the charges that wait for them.

    While one batch is decided by the database, the answers of the one before it go to their
    callers and the next one gathers: neither side waits for the other.
    """

    def __init__(self, sessions: Sequence[Session], queue_max: int) -> None:
        self.sessions = sessions
        self._queue_max = queue_max
        self._queue: deque[Waiting] = deque()
        self._in_flight = 0
        self._idle: list[asyncio.Future[list[Waiting]]] = []

    def put(self, waiting: Waiting) -> None:
        """Queue a charge. Raises LedgerBusy if the queue is full."""
        if len(self._queue) >= self._queue_max:
            raise LedgerBusy(f"{self._queue_max} charges are waiting: try again in a moment")
        self._queue.append(waiting)
        self._hand_over()

    async def run(self) -> None:
        """Send batch after batch on every session. Ends by cancellation only."""
        try:
            async with asyncio.TaskGroup() as group:
                for session in self.sessions:
                    group.create_task(self._run(session))
        finally:
            closed = LedgerUnavailable("the ledger was closed before it answered")
            for waiting in self._queue:
                _tell(waiting, closed)

    async def _run(self, session: Session) -> None:
        while True:
            handed: asyncio.Future[list[Waiting]] = asyncio.get_running_loop().create_future()
            self._idle.append(handed)
            self._hand_over()
            try:
                batch = await handed
                await self._send(session, batch)
                self._in_flight -= len(batch)
            finally:
                if handed.done() and not handed.cancelled():
                    closed = LedgerUnavailable("the ledger was closed before it answered")
                    for waiting in handed.result():
                        _tell(waiting, closed)

    def _hand_over(self) -> None:
        # Half of what is on its way: batches stay about equal, and a lone charge goes at once.
        if self._queue and self._idle and 2 * len(self._queue) >= self._in_flight:
            batch = self._next_batch()
            self._in_flight += len(batch)
            self._idle.pop().set_result(batch)

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

    async def _send(self, session: Session, batch: Sequence[Waiting]) -> None:
        try:
            (answers,) = await session.rows(_CHARGE_BATCH, _parameters(batch), binary=True)
            for waiting, *answer in zip(batch, *answers, strict=True):
                if not waiting.answer.done():  # its caller may have gone; the charge stands
                    waiting.answer.set_result(_charge_outcome(waiting, *answer))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            await self._fail(session, batch, error)

    async def _fail(self, session: Session, batch: Sequence[Waiting], error: Exception) -> None:
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
            await self._send(session, [waiting])
            gone = waiting.answer.cancelled()
            if not gone and isinstance(waiting.answer.exception(), LedgerBusy):
                held.add(waiting.account)


def _tell(waiting: Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _parameters(batch: Sequence[Waiting]) -> tuple[object, ...]:
    places: dict[str, int] = {}
    operation_of = [places.setdefault(waiting.operation, len(places) + 1) for waiting in batch]
    return (
        batch[0].account.root_id,
        _int8s([waiting.account.root_id for waiting in batch]),
        _int8s([waiting.account.account_id for waiting in batch]),
        _int4s([waiting.app_id for waiting in batch]),
        _digests([waiting.key for waiting in batch]),
        _digests([waiting.request for waiting in batch]),
        list(places),
        _int4s(operation_of),
        _int8s([waiting.units for waiting in batch]),
        _int4s([waiting.price_version or 0 for waiting in batch]),
    )


def _charge_outcome(
    waiting: Waiting,
    outcome: int,
    payer: int,
    seq: int,
    price_version: int,
    amount: int,
    available: int,
    debt: int,
    at: datetime,
) -> ChargeOutcome:
    if outcome in {_CHARGED, _REPLAYED}:
        charge = Charge(
            movement=MovementRef(AccountRef(waiting.account.root_id, payer), seq),
            operation=waiting.operation,
            units=waiting.units,
            price_version=price_version,
            cost=amount,
            available=available,
            at=at,
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
    return _REFUSALS[outcome]


# As `creditd.outcome_number` numbers them.
_CHARGED, _REPLAYED, _INSUFFICIENT, _PRICE_CHANGED, _OVER_BUDGET = 1, 2, 3, 7, 10
_REFUSALS: Final[dict[int, ChargeOutcome]] = {
    4: KeyReused(),
    5: NoSuchAccount(),
    6: UnknownOperation(),
    8: TooExpensive(),
    9: Frozen(),
}
