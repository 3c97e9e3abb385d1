"""What a request costs and whom, as the app says it: before, and while it works."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from creditd_client.asgi import Scope

_METER: Final = "creditd_client.meter"

# What a caller who hangs up pays for.
HangUpPays = Literal["answered", "begun", "received"]


@dataclass(frozen=True, slots=True)
class Metered:
    """What a request costs, and whom: the price is taken before it runs.

    `key` names the request: the same key is charged once. Give the caller's own (`caller_key`), so
    that its retry is not charged again, or None for a new one.

    `hang_up_pays` says what a caller who hangs up before the answer starts has to pay for: what the
    app has "answered" all the same, what it has "begun", or only what was "received".

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
    model: str | None = None
    hang_up_pays: HangUpPays = "answered"


@dataclass(frozen=True, slots=True)
class MeteredUpTo:
    """What a request costs at most, and whom: the price of `max_units` is held while it runs.

    The app says what it used by `metered(scope)`, and that is taken at the end; an answer that
    nothing was said of costs all that is held. Up to `over_max` credits more than is held may be
    taken. What is held expires after `expires_in` seconds and is held longer while the request
    runs, `runs_max_seconds` at most; if the process ends meanwhile, `minimum` credits are taken.

    `key` is as for Metered.
    """

    account: str
    operation: str
    max_units: int
    key: str | None = None
    model: str | None = None
    minimum: Decimal = Decimal(0)
    over_max: Decimal = Decimal(0)
    expires_in: int = 60
    runs_max_seconds: int = 3600


class Meter:
    """How much of its operation a request has used so far.

    `units` is None until something is said. `amount` is what it costs in credits, where the app
    knows that better than units do.
    """

    def __init__(self) -> None:
        self.units: int | None = None
        self.amount: Decimal | None = None

    @property
    def has_run(self) -> bool:
        """Whether anything is known to have been used."""
        return bool(self.units or self.amount)

    def used(self, units: int) -> None:
        """Say how many units have been used so far, all in all."""
        if units < 0:
            raise ValueError(f"used({units}): units are counted from 0 up")
        self.units = units

    def add(self, units: int) -> None:
        """Say that so many units more have been used."""
        self.used((self.units or 0) + units)

    def settle(self, amount: Decimal) -> None:
        """Say how many credits it costs, whatever the units."""
        if not amount.is_finite() or amount < 0:
            raise ValueError(f"settle({amount}): credits are counted from 0 up")
        self.amount = amount


def metered(scope: Scope) -> Meter:
    """Return the meter of a request. Where nothing is held for it, nobody reads it."""
    meter = scope.setdefault(_METER, Meter())
    if not isinstance(meter, Meter):
        raise TypeError(f"scope[{_METER!r}] is {meter!r}: it belongs to creditd_client")
    return meter
