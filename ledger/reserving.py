"""Reserving: credits held for work whose price is not known yet."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.rows import TupleRow

from ledger.changes import Changes
from ledger.credits import MICRO_MAX
from ledger.errors import LedgerBusy
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AlreadyEnded,
    DurationRefused,
    Ending,
    Extended,
    ExtendOutcome,
    Frozen,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    NoSuchReservation,
    NotCoveredBeyond,
    OverBound,
    OverBudget,
    OverKeyCap,
    PriceChanged,
    Released,
    ReleaseOutcome,
    Reservation,
    Reserved,
    ReserveOutcome,
    Settled,
    SettleOutcome,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.requests import (
    BIGINT_MAX,
    also_asked,
    digest128,
    key_digest,
    version_asked_for,
    within_bigint,
)
from ledger.session import Session

# Whoever waits for a held account holds up its session for seconds, and those behind it.
SESSIONS: Final = 4
# What waits for a session takes a few tenths of a second: whoever came later is better sent away.
WAITING_MAX: Final = 256
# As `creditd.longest_reservation` says, and why.
RESERVATION_MAX: Final = timedelta(days=30)

_RESERVE: Final = (
    "select * from creditd.reserve(%s::bigint, %s::bigint, %s::integer, %s::uuid, %s::uuid,"
    " %s::text, %s::text, %s::bigint, %s::integer, %s::interval, %s::bigint, %s::bigint,"
    " %s::integer)"
)
_SETTLE: Final = (
    "select * from creditd.settle(%s::bigint, %s::bigint, %s::bigint, %s::integer, %s::uuid,"
    " %s::uuid, %s::bigint)"
)
_SETTLE_UNITS: Final = (
    "select * from creditd.settle_units(%s::bigint, %s::bigint, %s::bigint, %s::integer, %s::uuid,"
    " %s::uuid, %s::bigint, %s::bigint)"
)
_RELEASE: Final = (
    "select * from creditd.release(%s::bigint, %s::bigint, %s::bigint, %s::integer, %s::uuid,"
    " %s::uuid)"
)
_EXTEND: Final = (
    "select * from creditd.extend(%s::bigint, %s::bigint, %s::bigint, %s::integer, %s::timestamptz)"
)


class Reserving:
    """The reservations of an API process. Made by `Reserving.open`."""

    def __init__(self, sessions: Sequence[Session], changes: Changes | None = None) -> None:
        self._sessions = sessions
        self._changes = changes
        self._waiting = [0] * len(sessions)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, *, sessions: int = SESSIONS, changes: Changes | None = None
    ) -> AsyncIterator["Reserving"]:
        """Open the first of `sessions` sessions; the others are opened when they are needed.

        What changes accounts is told by `changes`; without, nobody hears of it.
        Raises SchemaMismatch if the books are of another release, LedgerUnavailable if gone.
        """
        made = [
            Session(database_url, "creditd_api", tells_itself=changes is not None)
            for _ in range(sessions)
        ]
        try:
            await made[0].require_release()
            yield cls(made, changes)
        finally:
            for session in made:
                await session.close()

    async def reserve(
        self,
        *,
        app_id: int,
        account: AccountRef,
        key: str,
        operation: str,
        model: str | None = None,
        units: int,
        expires_in: timedelta,
        minimum: int = 0,
        over_max: int = 0,
        price_version: int | None = None,
        api_key_id: int | None = None,
    ) -> ReserveOutcome:
        """Hold the price of up to `units` of an operation, once per (app, account, key).

        If nobody settles it within `expires_in` (up to RESERVATION_MAX), `minimum` micro-credits
        are taken, at most what is held, and the rest is given back. A settlement may take up to
        `over_max` micro-credits more than is held. Both are from 0 to MICRO_MAX, or ValueError is
        raised. Raises LedgerBusy (nothing was held) and LedgerUnavailable: the same key tells then.
        """
        if not (0 <= minimum <= MICRO_MAX and 0 <= over_max <= MICRO_MAX):
            raise ValueError(f"minimum and over_max are from 0 to {MICRO_MAX} micro-credits")
        if not timedelta(0) < expires_in <= RESERVATION_MAX:
            return DurationRefused(RESERVATION_MAX)
        if not 1 <= units <= BIGINT_MAX:
            return TooExpensive()
        terms = (expires_in, minimum, over_max)
        asked = digest128(
            "reserve", operation, *map(str, (units, price_version, *terms)), *also_asked(model)
        )
        version = version_asked_for(price_version)
        row = await self._row(
            account,
            _RESERVE,
            *(*account, app_id, UUID(bytes=key_digest(app_id, account, key)), UUID(bytes=asked)),
            *(operation, model or "", units, version, *terms, api_key_id or 0),
        )
        return _reserve_outcome(account, operation, units, row)

    async def settle(
        self, *, app_id: int, reservation: MovementRef, key: str, amount: int
    ) -> SettleOutcome:
        """Take `amount` micro-credits for the work and give back what else is held.

        The same amount again, under any key, is answered as it was. Raises LedgerBusy and
        LedgerUnavailable.
        """
        asked = digest128("settle", str(reservation.seq), str(amount))
        row = await self._row(
            reservation.account,
            _SETTLE,
            *_named(reservation, app_id, key, asked),
            within_bigint(amount),
        )
        return _settle_outcome(reservation, row)

    async def settle_units(
        self, *, app_id: int, reservation: MovementRef, key: str, units: int, at_least: int = 0
    ) -> SettleOutcome:
        """Take what so many units cost at the price they were reserved at, as `settle` does.

        No units cost nothing. Where that is less than `at_least` micro-credits, those are taken.
        The books keep how many units were used: it is the first settlement that says it.
        """
        asked = digest128("settle units", *map(str, (reservation.seq, units, at_least)))
        row = await self._row(
            reservation.account,
            _SETTLE_UNITS,
            *_named(reservation, app_id, key, asked),
            *(within_bigint(units), within_bigint(at_least)),
        )
        return _settle_outcome(reservation, row)

    async def release(self, *, app_id: int, reservation: MovementRef, key: str) -> ReleaseOutcome:
        """Give back all that is held. Again, under any key, is answered as it was.

        Raises LedgerBusy and LedgerUnavailable.
        """
        asked = digest128("release", str(reservation.seq))
        row = await self._row(
            reservation.account, _RELEASE, *_named(reservation, app_id, key, asked)
        )
        outcome, *ended = row
        match outcome:
            case "released" | "replayed":
                ending = _ending(reservation, "released", ended)
                return Released(ending, replayed=outcome == "replayed")
            case "key_reused":
                return KeyReused()
            case "no_reservation":
                return NoSuchReservation()
        return AlreadyEnded(_ending(reservation, outcome, ended))

    async def extend(
        self, *, app_id: int, reservation: MovementRef, until: datetime
    ) -> ExtendOutcome:
        """Let an open reservation last until then, at most RESERVATION_MAX from now.

        It never lasts less long than it would have. Raises LedgerBusy and LedgerUnavailable, and
        ValueError for a time without a zone.
        """
        if until.tzinfo is None:
            raise ValueError("a time is one moment only with its zone")
        row = await self._row(
            reservation.account, _EXTEND, *reservation.account, reservation.seq, app_id, until
        )
        outcome, expires_at, *ended = row
        match outcome:
            case "extended":
                return Extended(expires_at)
            case "too_long":
                return DurationRefused(RESERVATION_MAX)
            case "no_reservation":
                return NoSuchReservation()
        return AlreadyEnded(_ending(reservation, outcome, ended))

    async def _row(self, account: AccountRef, statement: str, *parameters: object) -> TupleRow:
        """Ask on the account's session; each waits in turn, and not too many of them."""
        which = account.root_id % len(self._sessions)
        if self._waiting[which] >= WAITING_MAX:
            raise LedgerBusy(f"{WAITING_MAX} requests are waiting: try again in a moment")
        self._waiting[which] += 1
        try:
            (row,) = await self._sessions[which].rows(statement, parameters)
        finally:
            self._waiting[which] -= 1
            if self._changes is not None:
                self._changes.tell([account])
        return row


def _named(reservation: MovementRef, app_id: int, key: str, asked: bytes) -> tuple[object, ...]:
    digest = UUID(bytes=key_digest(app_id, reservation.account, key))
    return (*reservation.account, reservation.seq, app_id, digest, UUID(bytes=asked))


def _reserve_outcome(
    account: AccountRef, operation: str, units: int, row: TupleRow
) -> ReserveOutcome:
    outcome, payer, seq, version, model, amount, available, held, debt, expires_at, at = row
    match outcome:
        case "reserved" | "replayed":
            made = Reservation(
                movement=MovementRef(AccountRef(account.root_id, payer), seq),
                operation=operation,
                model=model,
                units=units,
                price_version=version,
                amount=amount,
                available=available,
                held=held,
                expires_at=expires_at,
                at=at,
            )
            return Reserved(made, replayed=outcome == "replayed")
        case "insufficient":
            return Insufficient(
                required=amount, available=available, debt=debt, price_version=version
            )
        case "over_budget":
            return OverBudget(required=amount, left=available, price_version=version)
        case "over_key_cap":
            return OverKeyCap(amount, available, version, expires_at)
        case "price_changed":
            return PriceChanged(in_force=version)
    return _REFUSALS[outcome]


_REFUSALS: Final[dict[str, ReserveOutcome]] = {
    "key_reused": KeyReused(),
    "no_account": NoSuchAccount(),
    "unknown_operation": UnknownOperation(),
    "unknown_model": UnknownModel(),
    "too_expensive": TooExpensive(),
    "frozen": Frozen(),
}


def _settle_outcome(reservation: MovementRef, row: TupleRow) -> SettleOutcome:
    outcome, seq, amount, available, held, debt, at, units = row
    ended = (seq, amount, available, held, at, units)
    match outcome:
        case "settled" | "replayed":
            ending = _ending(reservation, "settled", ended)
            return Settled(ending, replayed=outcome == "replayed")
        case "over_bound":
            return OverBound(most=amount)
        case "insufficient":
            return NotCoveredBeyond(extra=amount, available=available, debt=debt)
        case "already_settled" | "already_released" | "already_expired":
            return AlreadyEnded(_ending(reservation, outcome, ended))
    return _SETTLE_REFUSALS[outcome]


_SETTLE_REFUSALS: Final[dict[str, SettleOutcome]] = {
    "too_expensive": TooExpensive(),
    "key_reused": KeyReused(),
    "no_reservation": NoSuchReservation(),
}
_HOW: Final[dict[str, Literal["settled", "released", "expired"]]] = {
    "settled": "settled",
    "released": "released",
    "already_settled": "settled",
    "already_released": "released",
    "already_expired": "expired",
}


def _ending(reservation: MovementRef, outcome: str, ended: Sequence[Any]) -> Ending:
    seq, taken, available, held, at, units = ended
    return Ending(
        reservation=reservation,
        movement=MovementRef(reservation.account, seq),
        how=_HOW[outcome],
        taken=taken,
        available=available,
        held=held,
        at=at,
        units=units,
    )
