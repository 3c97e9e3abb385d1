"""Credits held for work that is still to be done, in the hands of an app."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Protocol, Self

from creditd_client.answers import Ended, Reservation
from creditd_client.errors import CreditsError
from creditd_client.finishing import finish
from creditd_client.keys import release_key, settlement_key

# A shutdown, and the answer to a request that failed, wait for what ends a reservation at creditd:
# longer than creditd takes to restart, shorter than the 30 s after which supervisors usually kill.
ENDING_SECONDS_MAX: Final = 10

_log = logging.getLogger("creditd_client")


class _AsyncEnding(Protocol):
    """What an AsyncHeld asks of its client."""

    def within(self, seconds: float) -> Self: ...

    def settle(
        self,
        reservation_id: str,
        amount: Decimal | None,
        *,
        units: int | None,
        at_least: Decimal | None,
        key: str | None,
    ) -> Coroutine[Any, Any, Ended]: ...

    def release(self, reservation_id: str, *, key: str | None) -> Coroutine[Any, Any, Ended]: ...

    async def extend(self, reservation_id: str, until: datetime) -> datetime: ...


class _Ending(Protocol):
    """What a Held asks of its client."""

    def settle(
        self,
        reservation_id: str,
        amount: Decimal | None,
        *,
        units: int | None,
        at_least: Decimal | None,
        key: str | None,
    ) -> Ended: ...

    def release(self, reservation_id: str, *, key: str | None) -> Ended: ...

    def extend(self, reservation_id: str, until: datetime) -> datetime: ...


class AsyncHeld:
    """Credits held by `reservation`, to be settled or released, each once whoever repeats it.

    The keys of both are made of the reservation's id. Leaving `async with` releases what was never
    tried to be settled. Where a settlement was tried and failed, it stays held until it expires:
    settle it again, in the same way.
    """

    def __init__(self, credits: _AsyncEnding, reservation: Reservation) -> None:  # noqa: A002 - the word of the domain
        self._credits = credits
        self._expires_at = reservation.expires_at
        self._to_release = True
        self.reservation = reservation

    async def settle(
        self,
        amount: Decimal | None = None,
        *,
        units: int | None = None,
        at_least: Decimal | None = None,
    ) -> Ended:
        """Take `amount` credits of what is held, and give back the rest.

        Or take what `units` cost at the price that they were reserved at, and `at_least` so many
        credits.
        """
        self._to_release = False
        name = self.reservation.id
        ending = self._credits.within(ENDING_SECONDS_MAX)
        return await finish(
            ending.settle(name, amount, units=units, at_least=at_least, key=settlement_key(name))
        )

    async def release(self) -> Ended:
        """Give back all that is held."""
        name = self.reservation.id
        ending = self._credits.within(ENDING_SECONDS_MAX)
        ended = await finish(ending.release(name, key=release_key(name)))
        self._to_release = False
        return ended

    async def extend(self, seconds: float) -> datetime:
        """Hold it so much longer than it is held now, by creditd's clock; return until when."""
        until = self._expires_at + timedelta(seconds=seconds)
        self._expires_at = await self._credits.extend(self.reservation.id, until)
        return self._expires_at

    async def leave(self) -> None:
        """Release what was never tried to be settled. A failure is logged: it expires anyway."""
        if not self._to_release:
            return
        try:
            await self.release()
        except CreditsError as failure:
            _log.warning("%s is held until it expires: %s", self.reservation.id, failure)


class Reserving:
    """A reservation to be: await it for an AsyncHeld, or enter it with `async with`."""

    def __init__(self, hold: Callable[[], Awaitable[AsyncHeld]]) -> None:
        self._hold = hold
        self._held: AsyncHeld | None = None

    def __await__(self) -> Generator[object, None, AsyncHeld]:
        return self._begun().__await__()

    async def __aenter__(self) -> AsyncHeld:
        self._held = await self._begun()
        return self._held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held is not None:
            await finish(self._held.leave())

    async def _begun(self) -> AsyncHeld:
        """Reserve. Cancelled meanwhile, it releases what is held by then."""
        begun: list[AsyncHeld] = []

        async def begin() -> None:
            begun.append(await self._hold())

        try:
            await finish(begin())
        except BaseException:
            for held in begun:
                await finish(held.leave())
            raise
        return begun[0]


class Held:
    """Credits held by `reservation`, to be settled or released, each once whoever repeats it.

    The keys of both are made of the reservation's id. Leaving `with` releases what was never tried
    to be settled. Where a settlement was tried and failed, it stays held until it expires: settle
    it again, in the same way.
    """

    def __init__(self, credits: _Ending, reservation: Reservation) -> None:  # noqa: A002 - the word of the domain
        self._credits = credits
        self._expires_at = reservation.expires_at
        self._to_release = True
        self.reservation = reservation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._to_release:
            return
        try:
            self.release()
        except CreditsError as failure:
            _log.warning("%s is held until it expires: %s", self.reservation.id, failure)

    def settle(
        self,
        amount: Decimal | None = None,
        *,
        units: int | None = None,
        at_least: Decimal | None = None,
    ) -> Ended:
        """Take `amount` credits of what is held, and give back the rest.

        Or take what `units` cost at the price that they were reserved at, and `at_least` so many
        credits.
        """
        self._to_release = False
        name = self.reservation.id
        return self._credits.settle(
            name, amount, units=units, at_least=at_least, key=settlement_key(name)
        )

    def release(self) -> Ended:
        """Give back all that is held."""
        name = self.reservation.id
        ended = self._credits.release(name, key=release_key(name))
        self._to_release = False
        return ended

    def extend(self, seconds: float) -> datetime:
        """Hold it so much longer than it is held now, by creditd's clock; return until when."""
        until = self._expires_at + timedelta(seconds=seconds)
        self._expires_at = self._credits.extend(self.reservation.id, until)
        return self._expires_at
