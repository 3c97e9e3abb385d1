"""The calls an app makes to creditd from a loop."""

import asyncio
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from creditd_client.answers import (
    Balance,
    Charged,
    ChargeRecord,
    Ended,
    Quote,
    Refunded,
    ReservationRecord,
)
from creditd_client.errors import CreditsError
from creditd_client.holding import AsyncHeld, Reserving
from creditd_client.wire import connections, requests
from creditd_client.wire.attempts import (
    ANSWER_BYTES_MAX,
    CALL_SECONDS_MAX,
    Call,
    Done,
    Pause,
    Unanswered,
    outcome_of,
)
from creditd_client.wire.breaker import Breaker
from creditd_client.wire.reading import Answer
from creditd_client.wire.requests import ChargeItem, Request

Meaning = TypeVar("Meaning")


class AsyncCredits:
    """An app's way to creditd: a pool of connections, closed by `async with` or `aclose`.

    A call makes up to four attempts under one idempotency key, each bounded by `timeout_seconds`
    from connecting to the last byte of the answer. It tries again after a broken connection, a 429
    and a 5xx, and not where creditd wants a wait longer than five seconds. Where creditd has not
    answered for a while, calls fail at once (`breaker`).

    Every call raises Refused where creditd says no, CreditsUnavailable where it does not answer.
    Proxies and certificates named in the environment are used with `trust_env` alone.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_seconds: float = connections.TIMEOUT_SECONDS,
        breaker: Breaker | None = None,
        trust_env: bool = False,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._within_seconds = CALL_SECONDS_MAX
        self._breaker = breaker or Breaker()
        # Half the time for connecting: what never got through is then known not to have arrived.
        connect_seconds = timeout_seconds / 2
        self._http = httpx2.AsyncClient(
            base_url=connections.checked_url(base_url),
            headers=connections.headers(api_key),
            timeout=httpx2.Timeout(None, connect=connect_seconds, pool=connect_seconds),
            limits=connections.limits(),
            follow_redirects=False,
            trust_env=trust_env,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        await self._http.aclose()

    def within(self, seconds: float) -> Self:
        """Return this client with another bound for a whole call, all its attempts and waits."""
        other = copy(self)
        other._within_seconds = seconds  # noqa: SLF001 - of the same class
        return other

    async def charge(
        self,
        account: str,
        operation: str,
        units: int = 1,
        *,
        key: str | None = None,
        model: str | None = None,
        price_version: int | None = None,
    ) -> Charged:
        """Take the price of `units` of an operation from an account, once per key.

        A key is made where none is given. Raises InsufficientCredits where the balance does not
        cover the price, OverBudget where a member's budget does not: nothing is taken then, and
        the key may be used again.
        """
        return await self._call(
            requests.charge(
                account, operation, units, key=key, model=model, price_version=price_version
            )
        )

    async def charge_many(self, items: Sequence[ChargeItem]) -> list[Charged | CreditsError]:
        """Take the price of each of up to 100 items, once per key of its own.

        Returns for each in its place the charge, or the error that `charge` would have raised: ask
        again with the same items where that is CreditsUnavailable.
        """
        return await self._call(requests.charge_many(items))

    async def refund(
        self, charge_id: str, *, key: str | None = None, amount: Decimal | None = None
    ) -> Refunded:
        """Give back so many credits of a charge, or all that is left of it, once per key."""
        return await self._call(requests.refund(charge_id, key=key, amount=amount))

    async def find_charge(self, charge_id: str) -> ChargeRecord:
        """Look a charge up, and how much of it was given back."""
        return await self._call(requests.find_charge(charge_id))

    async def quote(
        self, account: str, operation: str, units: int = 1, *, model: str | None = None
    ) -> Quote:
        """Ask what units of an operation cost now, and how many the account can pay."""
        return await self._call(requests.quote(account, operation, units, model=model))

    def reserve(
        self,
        account: str,
        operation: str,
        units: int = 1,
        *,
        expires_in: int,
        minimum: Decimal = Decimal(0),
        over_max: Decimal = Decimal(0),
        key: str | None = None,
        model: str | None = None,
        price_version: int | None = None,
    ) -> Reserving:
        """Hold the price of `units` of an operation for `expires_in` seconds, once per key.

        Await it, or use it with `async with`: what is held is then released on leaving, unless it
        was settled. If neither happens, `minimum` credits are taken when it expires. It may be
        settled for up to `over_max` credits more than is held. Raises as `charge`.
        """
        request = requests.reserve(
            account,
            operation,
            units,
            expires_in=expires_in,
            minimum=minimum,
            over_max=over_max,
            key=key,
            model=model,
            price_version=price_version,
        )

        async def hold() -> AsyncHeld:
            return AsyncHeld(self, await self._call(request))

        return Reserving(hold)

    async def find_reservation(self, reservation_id: str) -> ReservationRecord:
        """Look a reservation up, and what was taken of it."""
        return await self._call(requests.find_reservation(reservation_id))

    async def settle(
        self,
        reservation_id: str,
        amount: Decimal | None = None,
        *,
        units: int | None = None,
        at_least: Decimal | None = None,
        key: str | None = None,
    ) -> Ended:
        """Take `amount` credits of what is held and give back the rest, once per key.

        Or take what `units` cost at the price that they were reserved at, and `at_least` so many
        credits. Raises ReservationEnded where that has happened, ReservationExceeded where what it
        costs beyond what is held is not there.
        """
        return await self._call(
            requests.settle(reservation_id, amount, units=units, at_least=at_least, key=key)
        )

    async def release(self, reservation_id: str, *, key: str | None = None) -> Ended:
        """Give back all that is held, once per key. Raises as `settle`."""
        return await self._call(requests.release(reservation_id, key=key))

    async def extend(self, reservation_id: str, until: datetime) -> datetime:
        """Let an open reservation last until a moment, and return until when it does."""
        return await self._call(requests.extend(reservation_id, until))

    async def balance(self, account: str) -> Balance:
        """Look up what an account can spend."""
        return await self._call(requests.balance(account))

    async def open_account(self, name: str) -> str:
        """Return the app's account of a name, opened if there is none yet."""
        return await self._call(requests.open_account(name))

    async def open_wallet_account(self, chain_id: int, address: str) -> str:
        """Return the account of a wallet, opened if there is none yet."""
        return await self._call(requests.open_wallet_account(chain_id, address))

    async def _call(self, request: Request[Meaning]) -> Meaning:
        call = Call(request, str(self._http.base_url), self._breaker, self._within_seconds)
        while True:  # until `after` raises, at the latest at ATTEMPTS_MAX
            step: float | Pause | Done[Meaning] = call.before()
            if isinstance(step, float):
                seconds = min(self._timeout_seconds, step)
                step = call.after(await self._attempt(request, seconds))
            if isinstance(step, Done):
                return step.meaning
            await asyncio.sleep(step.seconds)

    async def _attempt(self, request: Request[Meaning], seconds: float) -> Answer | Unanswered:
        sent = self._http.build_request(
            request.method, request.path, content=request.content, headers=request.headers()
        )
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.send(sent, stream=True)
                try:
                    content = await _content(response)
                finally:
                    await response.aclose()
        except (httpx2.RequestError, TimeoutError) as failure:
            return connections.broken(failure, seconds)
        return outcome_of(response.status_code, dict(response.headers), content, request.key)


async def _content(response: httpx2.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            return b""  # not creditd's: no JSON
    return content
