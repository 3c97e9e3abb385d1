"""The calls an app makes to creditd without a loop."""

import time
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal
from threading import Event
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
from creditd_client.holding import Held
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


class Credits:
    """An app's way to creditd: a pool of connections, closed by `with` or `close`.

    A call makes up to four attempts under one idempotency key, each bounded by `timeout_seconds`
    for each part of it: connecting, sending, waiting, and reading the answer. It tries again after
    a broken connection, a 429 and a 5xx, and not where creditd wants a wait longer than five
    seconds. Where creditd has not answered for a while, calls fail at once (`breaker`).

    Every call raises Refused where creditd says no, CreditsUnavailable where it does not answer.
    Several threads may use it at once.
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
        self._closed = Event()
        self._http = httpx2.Client(
            base_url=connections.checked_url(base_url),
            headers=connections.headers(api_key),
            limits=connections.limits(),
            follow_redirects=False,
            trust_env=trust_env,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._closed.set()
        self._http.close()

    def within(self, seconds: float) -> Self:
        """Return this client with another bound for a whole call, all its attempts and waits."""
        other = copy(self)
        other._within_seconds = seconds  # noqa: SLF001 - of the same class
        return other

    def charge(
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
        return self._call(
            requests.charge(
                account, operation, units, key=key, model=model, price_version=price_version
            )
        )

    def charge_many(self, items: Sequence[ChargeItem]) -> list[Charged | CreditsError]:
        """Take the price of each of up to 100 items, once per key of its own.

        Returns for each in its place the charge, or the error that `charge` would have raised: ask
        again with the same items where that is CreditsUnavailable.
        """
        return self._call(requests.charge_many(items))

    def refund(
        self, charge_id: str, *, key: str | None = None, amount: Decimal | None = None
    ) -> Refunded:
        """Give back so many credits of a charge, or all that is left of it, once per key."""
        return self._call(requests.refund(charge_id, key=key, amount=amount))

    def find_charge(self, charge_id: str) -> ChargeRecord:
        """Look a charge up, and how much of it was given back."""
        return self._call(requests.find_charge(charge_id))

    def quote(
        self, account: str, operation: str, units: int = 1, *, model: str | None = None
    ) -> Quote:
        """Ask what units of an operation cost now, and how many the account can pay."""
        return self._call(requests.quote(account, operation, units, model=model))

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
    ) -> Held:
        """Hold the price of `units` of an operation for `expires_in` seconds, once per key.

        Used with `with`, what is held is released on leaving, unless it was settled. If neither
        happens, `minimum` credits are taken when it expires. It may be
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

        return Held(self, self._call(request))

    def find_reservation(self, reservation_id: str) -> ReservationRecord:
        """Look a reservation up, and what was taken of it."""
        return self._call(requests.find_reservation(reservation_id))

    def settle(
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
        return self._call(
            requests.settle(reservation_id, amount, units=units, at_least=at_least, key=key)
        )

    def release(self, reservation_id: str, *, key: str | None = None) -> Ended:
        """Give back all that is held, once per key. Raises as `settle`."""
        return self._call(requests.release(reservation_id, key=key))

    def extend(self, reservation_id: str, until: datetime) -> datetime:
        """Let an open reservation last until a moment, and return until when it does."""
        return self._call(requests.extend(reservation_id, until))

    def balance(self, account: str) -> Balance:
        """Look up what an account can spend."""
        return self._call(requests.balance(account))

    def open_account(self, name: str) -> str:
        """Return the app's account of a name, opened if there is none yet."""
        return self._call(requests.open_account(name))

    def open_wallet_account(self, chain_id: int, address: str) -> str:
        """Return the account of a wallet, opened if there is none yet."""
        return self._call(requests.open_wallet_account(chain_id, address))

    def _call(self, request: Request[Meaning]) -> Meaning:
        call = Call(request, str(self._http.base_url), self._breaker, self._within_seconds)
        while True:  # until `after` raises, at the latest at ATTEMPTS_MAX
            step: float | Pause | Done[Meaning] = call.before()
            if isinstance(step, float):
                seconds = min(self._timeout_seconds, step)
                step = call.after(self._attempt(request, seconds))
            if isinstance(step, Done):
                return step.meaning
            self._closed.wait(step.seconds)

    def _attempt(self, request: Request[Meaning], seconds: float) -> Answer | Unanswered:
        # Half the time for connecting: what never got through is then known not to have arrived.
        connect_seconds = min(seconds, self._timeout_seconds / 2)
        sent = self._http.build_request(
            request.method,
            request.path,
            content=request.content,
            headers=request.headers(),
            timeout=httpx2.Timeout(seconds, connect=connect_seconds, pool=connect_seconds),
        )
        ends_at = time.monotonic() + seconds
        try:
            response = self._http.send(sent, stream=True)
            try:
                content = _content(response, ends_at)
            finally:
                response.close()
        except (httpx2.RequestError, TimeoutError) as failure:
            return connections.broken(failure, seconds)
        return outcome_of(response.status_code, dict(response.headers), content, request.key)


def _content(response: httpx2.Response, ends_at: float) -> bytes:
    content = b""
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            return b""  # not creditd's: no JSON
        if time.monotonic() > ends_at:
            raise TimeoutError
    return content
