"""An ASGI middleware that charges for requests, before they run or by what they used."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Literal

from creditd_client.asgi import App, Receive, Scope, Send
from creditd_client.async_client import AsyncCredits
from creditd_client.errors import CreditsUnavailable, InsufficientCredits, OverBudget, Refused
from creditd_client.finishing import finish
from creditd_client.keys import is_key, new_key
from creditd_client.metering import refusals
from creditd_client.metering.asked import Metered, MeteredUpTo
from creditd_client.metering.charging import charge_first, lost_refund
from creditd_client.metering.losses import Losses, LostRefund, LostSettlement
from creditd_client.metering.passing import Passing
from creditd_client.metering.refusals import Refusal
from creditd_client.metering.reserving import hold_first
from creditd_client.metering.runs import Run, carry_out
from creditd_client.passed import Passed

# Problems of creditd that are the caller's affair; any other is the app's to mend.
CALLERS_FAULT: Final = frozenset({"idempotency-key-reused", "account-frozen"})

# How long a caller waits before its request passes: charges take milliseconds.
PASS_AFTER_SECONDS: Final = 1.0

_log = logging.getLogger("creditd_client")


class Metering:
    """Wraps an ASGI app: requests that `price` gives a price pay it.

    `price` is asked for every HTTP request, after whatever middleware authenticates it: Metered is
    paid before the app sees the request, MeteredUpTo is held meanwhile and settled afterwards; None
    lets the request pass free, as everything that is not HTTP does. A caller who cannot pay gets
    creditd's 402. The credits are given back, before the failure is answered, if the app raises,
    answers 500 or above, or the caller hangs up and nothing is answered.

    Where creditd does not answer, requests are refused with a 503; with `on_unavailable="pass"`
    they run after at most `pass_after_seconds`, and `passed` (a PassedFile, or a function called
    from other threads) is given each of them, to be charged later.

    `on_lost_refund` and `on_lost_settlement` hear of what creditd could not be told.
    The API key of `credits` needs the scopes charge:write and balance:read.
    """

    def __init__(
        self,
        app: App,
        *,
        credits: AsyncCredits,  # noqa: A002 - the word of the domain
        price: Callable[[Scope], Metered | MeteredUpTo | None],
        on_lost_refund: Callable[[LostRefund], None] | None = None,
        on_lost_settlement: Callable[[LostSettlement], None] | None = None,
        on_unavailable: Literal["refuse", "pass"] = "refuse",
        passed: Callable[[Passed], None] | None = None,
        pass_after_seconds: float = PASS_AFTER_SECONDS,
    ) -> None:
        if (on_unavailable == "pass") != (passed is not None):
            raise ValueError(
                'on_unavailable="pass" and passed=… go together: what is let pass is recorded'
            )
        self._app = app
        self._credits = credits
        self._beginning = credits if passed is None else credits.within(pass_after_seconds)
        self._price = price
        self._losses = Losses(on_lost_refund, on_lost_settlement)
        self._passing = None if passed is None else Passing(passed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what a request costs and run it, or answer in the app's place."""
        asked = self._price(scope) if scope["type"] == "http" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        beginning = asyncio.create_task(self._begin(asked))
        try:
            outcome = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await finish(_undo(beginning))
            raise
        if isinstance(outcome, Refusal):
            await outcome.send(send)
        else:
            await carry_out(outcome, self._app, scope, receive, send)

    async def _begin(self, asked: Metered | MeteredUpTo) -> Run | Refusal:
        key = new_key() if asked.key is None else asked.key
        if not is_key(key):
            return refusals.key_invalid()
        try:
            return await self._take(asked, key)
        except (InsufficientCredits, OverBudget) as unpaid:
            return refusals.passed_on(unpaid)
        except Refused as refused:
            if refused.code in CALLERS_FAULT:
                return refusals.passed_on(refused)
            _log.error("creditd refuses to charge %s: %s", asked.operation, refused)
            return refusals.metering_unavailable()
        except CreditsUnavailable as failure:
            return await self._unpaid(asked, key, failure)

    async def _take(self, asked: Metered | MeteredUpTo, key: str) -> Run | Refusal:
        purse, first, losses = self._credits, self._beginning, self._losses
        if isinstance(asked, Metered):
            return await charge_first(purse, losses, asked, key, beginning=first)
        return await hold_first(purse, losses, asked, key, beginning=first)

    async def _unpaid(
        self, asked: Metered | MeteredUpTo, key: str, failure: CreditsUnavailable
    ) -> Run | Refusal:
        # Whoever sends more than creditd takes is not to run for nothing.
        if self._passing is not None and not failure.busy:
            return await self._passing.begin(asked, key, failure)
        _log.warning("creditd cannot be asked to charge %s: %s", asked.operation, failure)
        if failure.maybe_taken and isinstance(asked, Metered):
            self._losses.refund(lost_refund(asked, key, None, failure))
        return refusals.metering_unavailable(failure)


async def _undo(beginning: asyncio.Task[Run | Refusal]) -> None:
    outcome = await beginning
    if not isinstance(outcome, Refusal):
        await outcome.undo()
