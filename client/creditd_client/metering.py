"""An ASGI middleware that charges for requests before they run."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from creditd_client import refusals
from creditd_client.answers import Charged, Refunded
from creditd_client.calls import Credits
from creditd_client.errors import (
    CreditsError,
    CreditsUnavailable,
    InsufficientCredits,
    OverBudget,
    Refused,
)
from creditd_client.exchange import App, Exchange, Message, Receive, Scope, Send
from creditd_client.keys import is_key, new_key, refund_key
from creditd_client.refusals import Refusal

# The answer to a failed request and a shutdown wait for its refund: longer than creditd takes to
# restart, shorter than the 30 s after which supervisors usually kill.
REFUND_SECONDS_MAX: Final = 10

# Problems of creditd that are the caller's affair; any other is the app's to mend.
CALLERS_FAULT: Final = frozenset({"idempotency-key-reused", "account-frozen"})
SERVER_FAILURE: Final = 500

_log = logging.getLogger("creditd_client")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Metered:
    """What a request costs, and whom.

    `key` names the request: the same key is charged once. Give the caller's own (`caller_key`), so
    that its retry is not charged again, or None for a new one.

    A request whose key was charged before is not run again, unless it is `repeatable`: the app
    itself answers a repeated key from what it keeps, and does not begin the operation while an
    earlier request under the key is running. Never say so of an operation that would simply run
    again, or one charge pays for as many as the caller likes.
    """

    account: str
    operation: str
    units: int = 1
    key: str | None = None
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class LostRefund:
    """Credits that were to be given back and were not, as far as is known.

    Where `charge_id` is known, refunding it under `refund_key(charge_id)` puts that right, however
    late and however often. Where it is None, it is not known whether anything was taken, and for a
    caller's own key, whether a later request under it was answered: that is for people to judge.
    """

    account: str
    operation: str
    units: int
    key: str
    charge_id: str | None
    cost: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class Paid:
    """A request that may run, and the charge it runs under.

    `refundable` unless it repeats an earlier request: that one may have been answered, so what
    becomes of the repetition is no reason to give its charge back.
    """

    metered: Metered
    key: str
    charged: Charged
    refundable: bool


class Metering:
    """Wraps an ASGI app: requests that `price` gives a price pay it before the app sees them.

    `price` is asked for every HTTP request, after whatever middleware authenticates it; None lets
    the request pass free, as everything that is not HTTP does. A caller who cannot pay gets
    creditd's 402; where creditd does not answer, a 503. The credits are given back, before the
    failure is answered, if the app raises, answers 500 or above, or the caller hangs up before
    the response starts. `on_lost_refund` hears of each refund that could not be made.

    The API key of `credits` needs the scopes charge:write and balance:read.
    """

    def __init__(
        self,
        app: App,
        *,
        credits: Credits,  # noqa: A002 - the word of the domain
        price: Callable[[Scope], Metered | None],
        on_lost_refund: Callable[[LostRefund], None] | None = None,
    ) -> None:
        self._app = app
        self._credits = credits
        self._price = price
        self._on_lost_refund = on_lost_refund

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Charge for a request and run it, or answer in the app's place."""
        metered = self._price(scope) if scope["type"] == "http" else None
        if metered is None:
            await self._app(scope, receive, send)
            return
        paying = asyncio.create_task(self._pay(metered))
        try:
            outcome = await asyncio.shield(paying)
        except asyncio.CancelledError:
            await _finish(self._undo(paying))
            raise
        match outcome:
            case Paid():
                await self._run(outcome, scope, receive, send)
            case Refusal():
                await outcome.send(send)

    async def _pay(self, metered: Metered) -> Paid | Refusal:
        key = new_key() if metered.key is None else metered.key
        if not is_key(key):
            return refusals.key_invalid()
        try:
            return await self._admit(metered, key, await self._charge(metered, key))
        except (InsufficientCredits, OverBudget) as unpaid:
            return refusals.passed_on(unpaid)
        except Refused as refused:
            if _code(refused) in CALLERS_FAULT:
                return refusals.passed_on(refused)
            _log.error("creditd refuses to charge %s: %s", metered.operation, refused)
            return refusals.metering_unavailable()
        except CreditsUnavailable as failure:
            _log.warning("creditd cannot be asked to charge %s: %s", metered.operation, failure)
            return refusals.metering_unavailable(failure)

    async def _charge(self, metered: Metered, key: str) -> Charged:
        try:
            return await self._credits.charge(
                metered.account, metered.operation, metered.units, key=key
            )
        except CreditsUnavailable as failure:
            if failure.maybe_taken:
                self._lose(metered, key, None, failure)
            raise
        except asyncio.CancelledError as stopped:
            self._lose(metered, key, None, stopped)
            raise

    async def _admit(self, metered: Metered, key: str, charged: Charged) -> Paid | Refusal:
        """Decide whether a request may run under a charge.

        A replayed charge paid for an earlier request under the caller's key: it is not run again.
        """
        if not charged.replayed or metered.key is None:
            return Paid(metered, key, charged, refundable=True)
        try:
            record = await self._credits.find_charge(charged.id)
        except BaseException as failure:
            if charged.ours:
                self._lose(metered, key, charged, failure)
            raise
        if record.undone:
            return refusals.operation_was_refunded(charged.id)
        if metered.repeatable:
            return Paid(metered, key, charged, refundable=False)
        if charged.ours:
            # Probably nobody has run it; but several requests under one key may each believe so.
            self._lose(metered, key, charged, ConnectionError("the answer to the charge was lost"))
        return refusals.operation_was_charged(charged.id)

    async def _run(self, paid: Paid, scope: Scope, receive: Receive, send: Send) -> None:
        due = paid.refundable

        async def before_start(message: Message) -> None:
            nonlocal due
            refunded = None
            if due and (message["status"] >= SERVER_FAILURE or exchange.hung_up):
                due = False
                refunded = await _finish(self._give_back(paid))
            message["headers"] = [*message.get("headers", ()), *_headers(paid.charged, refunded)]

        exchange = Exchange(receive, send, before_start)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as failure:
            if due and exchange.failed(failure):
                await _finish(self._give_back(paid))
            raise
        else:
            if due and not exchange.started:
                await _finish(self._give_back(paid))
        finally:
            await exchange.close()

    async def _undo(self, paying: asyncio.Task[Paid | Refusal]) -> None:
        outcome = await paying
        if isinstance(outcome, Paid) and outcome.refundable:
            await self._give_back(outcome)

    async def _give_back(self, paid: Paid) -> Refunded | None:
        if paid.charged.cost == 0:
            return None
        charge_id = paid.charged.id
        try:
            async with asyncio.timeout(REFUND_SECONDS_MAX):
                return await self._credits.refund(charge_id, key=refund_key(charge_id))
        except BaseException as failure:
            self._lose(paid.metered, paid.key, paid.charged, failure)
            if isinstance(failure, CreditsError | TimeoutError):
                return None
            raise

    def _lose(
        self, metered: Metered, key: str, charged: Charged | None, failure: BaseException
    ) -> None:
        lost = LostRefund(
            account=metered.account,
            operation=metered.operation,
            units=metered.units,
            key=key,
            charge_id=None if charged is None else charged.id,
            cost=None if charged is None else charged.cost,
            reason=str(failure) or type(failure).__name__,
        )
        _log.error("credits were not given back: %s", lost)
        if self._on_lost_refund is None:
            return
        try:
            self._on_lost_refund(lost)
        except Exception:  # noqa: BLE001 - the callback is the app's: anything may come of it
            # What is under way is the failure of a request: it must not give way to this one.
            _log.exception("on_lost_refund failed for %s", lost)


async def _finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end, even while being cancelled; only then let the cancellation through.

    The work has a bound of its own.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        raise cancelled
    return task.result()


def _code(refused: Refused) -> str:
    return str(refused.problem.get("type")).rpartition("/")[2]


def _headers(charged: Charged, refunded: Refunded | None) -> list[tuple[bytes, bytes]]:
    cost, balance = charged.cost, charged.available
    if refunded is not None:
        cost, balance = cost - refunded.amount, refunded.available
    return [
        (b"credits-cost", f"{cost:f}".encode()),
        (b"credits-balance", f"{balance:f}".encode()),
    ]
