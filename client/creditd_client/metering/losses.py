"""What could not be done for the want of creditd's answer, told to the app."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

_log = logging.getLogger("creditd_client")


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
class LostSettlement:
    """Credits that were to be taken of a reservation and were not, as far as is known.

    It is `amount` credits, or what `units` cost, `at_least` so many credits:
    `credits.settle(reservation, amount, units=units, at_least=at_least, key=key)` puts that right,
    however often, as long as the reservation is open. Once it has expired, its minimum was taken
    and this was not. Where the reason is that it cost more than may be taken, what may be was
    taken: the rest is for people to judge.
    """

    account: str
    operation: str
    reservation: str
    key: str
    amount: Decimal | None
    units: int | None
    at_least: Decimal | None
    reason: str


class Losses:
    """Logs what was lost and hands it to the app's callbacks."""

    def __init__(
        self,
        on_lost_refund: Callable[[LostRefund], None] | None,
        on_lost_settlement: Callable[[LostSettlement], None] | None,
    ) -> None:
        self._on_lost_refund = on_lost_refund
        self._on_lost_settlement = on_lost_settlement

    def refund(self, lost: LostRefund) -> None:
        """Tell of credits that were not given back."""
        _log.error("credits were not given back: %s", lost)
        if self._on_lost_refund is None:
            return
        try:
            self._on_lost_refund(lost)
        except Exception:  # noqa: BLE001 - the callback is the app's: anything may come of it
            # What is under way is the failure of a request: it must not give way to this one.
            _log.exception("on_lost_refund failed for %s", lost)

    def settlement(self, lost: LostSettlement) -> None:
        """Tell of credits that were not taken."""
        _log.error("credits were not taken: %s", lost)
        if self._on_lost_settlement is None:
            return
        try:
            self._on_lost_settlement(lost)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("on_lost_settlement failed for %s", lost)
