"""Requests for which credits are held while they run, and settled by what they used."""

import asyncio
import logging
import math
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from time import monotonic
from typing import Final

from creditd_client.answers import Reservation
from creditd_client.asgi import Scope
from creditd_client.async_client import AsyncCredits
from creditd_client.errors import (
    CreditsError,
    CreditsUnavailable,
    Refused,
    ReservationExceeded,
)
from creditd_client.holding import ENDING_SECONDS_MAX, AsyncHeld
from creditd_client.keys import settlement_key
from creditd_client.metering import refusals
from creditd_client.metering.asked import Meter, MeteredUpTo, metered
from creditd_client.metering.exchange import Ending
from creditd_client.metering.losses import Losses, LostSettlement
from creditd_client.metering.refusals import Refusal
from creditd_client.metering.runs import SERVER_FAILURE, Headers

# A reservation is held longer thrice within the time it has: two attempts may fail.
EXTENSIONS_PER_EXPIRY: Final = 3
SMALLEST: Final = Decimal("0.000001")  # creditd's micro-credit
_OVER_BOUND: Final = "over-bound"

_log = logging.getLogger("creditd_client")


@dataclass(frozen=True, slots=True)
class _Due:
    """What to take of a reservation: credits, or what units cost and at least so many credits."""

    amount: Decimal | None = None
    units: int | None = None
    at_least: Decimal | None = None


@dataclass
class HeldRun:
    """A request that may run, and what is held for it."""

    credits: AsyncCredits
    losses: Losses
    asked: MeteredUpTo
    held: AsyncHeld
    meter: Meter = field(default_factory=Meter)
    _open: bool = True
    _available: Decimal | None = None
    _extending: asyncio.Task[None] | None = None

    @property
    def reservation(self) -> Reservation:
        """What creditd holds."""
        return self.held.reservation

    def enter(self, scope: Scope) -> None:
        """Give the app its meter, and hold the credits as long as it works."""
        self.meter = metered(scope)
        self._extending = asyncio.create_task(self._extend())

    def comes_to_nothing(self, status: int, *, gone: bool) -> bool:  # noqa: ARG002 - what was used is due, whoever hears of it
        """Say that failures are not paid."""
        return status >= SERVER_FAILURE

    async def undo(self) -> None:
        """Release what is held."""
        if not self._open:
            return
        await self._end_extending()
        try:
            async with asyncio.timeout(ENDING_SECONDS_MAX):
                self._available = (await self.held.release()).available
        except (CreditsError, TimeoutError) as failure:
            _log.warning("%s is held until it expires: %r", self.reservation.id, failure)

    def headers(self) -> Headers:
        """Say what is available; what it costs is known at its end."""
        available = self._available
        if available is None:
            available = self.reservation.available
        return [(b"credits-balance", f"{available:f}".encode())]

    async def ended(self, ending: Ending) -> None:
        """Settle what was used; release what came to nothing."""
        if not self._open:
            return
        if ending is Ending.FAILED or (ending is Ending.ABANDONED and not self.meter.has_run):
            await self.undo()
        else:
            await self._settle(whole=ending is Ending.ANSWERED)

    async def _settle(self, *, whole: bool) -> None:
        await self._end_extending()
        due = self._due(whole=whole)
        try:
            async with asyncio.timeout(ENDING_SECONDS_MAX):
                await self._take(due)
        except BaseException as failure:
            self._lose(due, failure)
            if not isinstance(failure, CreditsError | TimeoutError):
                raise

    async def _take(self, due: _Due) -> None:
        """Take what is due, or as much of it as can be: what is beyond is lost."""
        try:
            await self.held.settle(due.amount, units=due.units, at_least=due.at_least)
        except ReservationExceeded as exceeded:
            self._lose(due, exceeded)
            await self.held.settle(self.reservation.amount)
        except Refused as refused:
            if refused.code != _OVER_BOUND or due.amount is not None:
                raise
            self._lose(due, refused)
            await self._take(_Due(amount=self._most))

    @property
    def _most(self) -> Decimal:
        return self.reservation.amount + self.asked.over_max

    def _due(self, *, whole: bool) -> _Due:
        """Return what to take: what was used, at least for one unit where it was cut short."""
        asked, units = self.asked, self.meter.units
        if self.meter.amount is not None:
            return self._due_of(
                self.meter.amount if whole else max(self.meter.amount, asked.minimum)
            )
        if not whole:
            return _Due(units=max(units or 0, 1), at_least=asked.minimum or None)
        if units is None:
            _log.warning("%s: nothing was said of what it used: all is taken", asked.operation)
            return _Due(amount=self.reservation.amount)
        return _Due(units=units)

    def _due_of(self, amount: Decimal) -> _Due:
        if amount > self._most:
            reason = f"it cost {amount:f} credits and at most {self._most:f} can be taken"
            self._lose(_Due(amount=amount), ValueError(reason))
        return _Due(amount=min(amount, self._most).quantize(SMALLEST, ROUND_CEILING))

    async def _extend(self) -> None:
        """Hold the credits longer and longer, up to the bound that the app has set."""
        asked, began = self.asked, monotonic()
        every = asked.expires_in / EXTENSIONS_PER_EXPIRY
        for _ in range(math.ceil(asked.runs_max_seconds / every)):
            await asyncio.sleep(every)
            # By creditd's clock, which gave `expires_at`, however many attempts have failed.
            until = self.reservation.expires_at + timedelta(seconds=monotonic() - began)
            try:
                await self.credits.extend(self.reservation.id, until)
            except CreditsUnavailable as failure:
                _log.warning("%s is not held longer yet: %s", self.reservation.id, failure)
            except Refused as refused:
                _log.error("%s is not held longer: %s", self.reservation.id, refused)
                return

    async def _end_extending(self) -> None:
        self._open = False
        if self._extending is not None:
            self._extending.cancel()
            await asyncio.wait({self._extending})

    def _lose(self, due: _Due, failure: BaseException) -> None:
        name = self.reservation.id
        self.losses.settlement(
            LostSettlement(
                account=self.asked.account,
                operation=self.asked.operation,
                reservation=name,
                key=settlement_key(name),
                amount=due.amount,
                units=due.units,
                at_least=due.at_least,
                reason=str(failure) or type(failure).__name__,
            )
        )


async def hold_first(
    credits: AsyncCredits,  # noqa: A002 - the word of the domain
    losses: Losses,
    asked: MeteredUpTo,
    key: str,
    *,
    beginning: AsyncCredits,
) -> HeldRun | Refusal:
    """Hold what a request may cost by `beginning`, and end it by `credits`, who may wait longer.

    Raises as AsyncCredits.reserve. What was held before under the caller's key is for an earlier
    request.
    """
    held = await beginning.reserve(
        asked.account,
        asked.operation,
        asked.max_units,
        expires_in=asked.expires_in,
        minimum=asked.minimum,
        over_max=asked.over_max,
        key=key,
        model=asked.model,
    )
    if held.reservation.replayed and asked.key is not None:
        return refusals.operation_was_reserved(held.reservation.id)
    return HeldRun(credits, losses, asked, AsyncHeld(credits, held.reservation))
