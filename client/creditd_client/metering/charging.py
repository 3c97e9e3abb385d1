"""Requests whose price is taken before they run, and given back where they come to nothing."""

import asyncio
from dataclasses import dataclass

from creditd_client.answers import Charged, Refunded
from creditd_client.asgi import Scope
from creditd_client.async_client import AsyncCredits
from creditd_client.errors import CreditsError, CreditsUnavailable
from creditd_client.holding import ENDING_SECONDS_MAX
from creditd_client.keys import refund_key
from creditd_client.metering import refusals
from creditd_client.metering.asked import Metered
from creditd_client.metering.exchange import Ending
from creditd_client.metering.losses import Losses, LostRefund
from creditd_client.metering.refusals import Refusal
from creditd_client.metering.runs import SERVER_FAILURE, Headers


@dataclass
class ChargedRun:
    """A request that may run, and the charge it runs under.

    `refundable` unless it repeats an earlier request: that one may have been answered, so what
    becomes of the repetition is no reason to give its charge back.
    """

    credits: AsyncCredits
    losses: Losses
    metered: Metered
    key: str
    charged: Charged
    refundable: bool
    refunded: Refunded | None = None

    def enter(self, scope: Scope) -> None:
        """Nothing more is needed."""

    def comes_to_nothing(self, status: int, *, gone: bool) -> bool:
        """Say that failures are not paid, nor what nobody received where that is the rule."""
        pays = self.metered.hang_up_pays
        failed = status >= SERVER_FAILURE and not (gone and pays == "begun")
        return failed or (gone and pays == "received")

    async def undo(self) -> None:
        """Give the charge back."""
        if not self.refundable or self.charged.cost == 0:
            return
        self.refundable = False
        charge_id = self.charged.id
        try:
            async with asyncio.timeout(ENDING_SECONDS_MAX):
                self.refunded = await self.credits.refund(charge_id, key=refund_key(charge_id))
        except BaseException as failure:
            self.losses.refund(lost_refund(self.metered, self.key, self.charged, failure))
            if not isinstance(failure, CreditsError | TimeoutError):
                raise

    def headers(self) -> Headers:
        """Say what it cost, and what is left."""
        cost, balance = self.charged.cost, self.charged.available
        if self.refunded is not None:
            cost, balance = cost - self.refunded.amount, self.refunded.available
        return [
            (b"credits-cost", f"{cost:f}".encode()),
            (b"credits-balance", f"{balance:f}".encode()),
        ]

    async def ended(self, ending: Ending) -> None:
        """Give back what came to nothing."""
        abandoned = ending is Ending.ABANDONED and self.metered.hang_up_pays != "begun"
        if ending is Ending.FAILED or abandoned:
            await self.undo()


async def charge_first(
    credits: AsyncCredits,  # noqa: A002 - the word of the domain
    losses: Losses,
    metered: Metered,
    key: str,
    *,
    beginning: AsyncCredits,
) -> ChargedRun | Refusal:
    """Charge for a request by `beginning`, and give it back by `credits`, who may wait longer.

    Raises as AsyncCredits.charge.
    """
    try:
        charged = await beginning.charge(
            metered.account, metered.operation, metered.units, key=key, model=metered.model
        )
    except asyncio.CancelledError as stopped:
        losses.refund(lost_refund(metered, key, None, stopped))
        raise
    paid = ChargedRun(credits, losses, metered, key, charged, refundable=True)
    if not charged.replayed or metered.key is None:
        return paid
    return await _repeated(paid)


async def _repeated(paid: ChargedRun) -> ChargedRun | Refusal:
    """Decide about a charge that paid for an earlier request under the caller's key.

    It is not run again. Where that request's answer was lost, probably nobody has run it; but
    several requests under one key may each believe so.
    """
    charged, metered = paid.charged, paid.metered
    try:
        record = await paid.credits.find_charge(charged.id)
    except BaseException as failure:
        if charged.ours:
            paid.losses.refund(lost_refund(metered, paid.key, charged, failure))
        if isinstance(failure, CreditsUnavailable):
            return refusals.metering_unavailable(failure)
        raise
    if record.undone:
        return refusals.operation_was_refunded(charged.id)
    if metered.repeatable:
        paid.refundable = False
        return paid
    if charged.ours:
        lost = ConnectionError("the answer to the charge was lost")
        paid.losses.refund(lost_refund(metered, paid.key, charged, lost))
    return refusals.operation_was_charged(charged.id)


def lost_refund(
    metered: Metered, key: str, charged: Charged | None, failure: BaseException
) -> LostRefund:
    """Return what was lost by a failure."""
    return LostRefund(
        account=metered.account,
        operation=metered.operation,
        units=metered.units,
        key=key,
        charge_id=None if charged is None else charged.id,
        cost=None if charged is None else charged.cost,
        reason=str(failure) or type(failure).__name__,
    )
