"""Requests that are let pass while creditd does not answer, and recorded to be charged later."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from creditd_client.asgi import Scope
from creditd_client.errors import CreditsUnavailable
from creditd_client.keys import new_key
from creditd_client.metering import refusals
from creditd_client.metering.asked import Meter, Metered, MeteredUpTo, metered
from creditd_client.metering.exchange import Ending
from creditd_client.metering.refusals import Refusal
from creditd_client.metering.runs import SERVER_FAILURE, Headers
from creditd_client.passed import Passed

Record = Callable[[Passed], None]

# So many callers' keys are remembered, that nobody runs often under one while creditd is away.
KEYS_MAX: Final = 100_000

_log = logging.getLogger("creditd_client")


@dataclass
class PassedRun:
    """A request that runs although nothing was taken for it, on record since before it began."""

    record: Record
    passed: Passed
    asked: Metered | MeteredUpTo
    meter: Meter = field(default_factory=Meter)
    _open: bool = True

    def enter(self, scope: Scope) -> None:
        """Give the app its meter."""
        self.meter = metered(scope)

    def comes_to_nothing(self, status: int, *, gone: bool) -> bool:  # noqa: ARG002 - what was used is due, whoever hears of it
        """Say that failures are not paid."""
        return status >= SERVER_FAILURE

    async def undo(self) -> None:
        """Take note that nothing is due."""
        await self._end(self._failed())

    def headers(self) -> Headers:
        """Say nothing: what it costs is not known yet."""
        return []

    async def ended(self, ending: Ending) -> None:
        """Take note of what is due."""
        if ending is Ending.FAILED or (ending is Ending.ABANDONED and self._unused()):
            await self._end(self._failed())
        else:
            await self._end(self._due(whole=ending is Ending.ANSWERED))

    def _unused(self) -> bool:
        """Say whether what stopped without an answer is to be paid for nothing."""
        if isinstance(self.asked, Metered):
            return self.asked.hang_up_pays != "begun"
        return not self.meter.has_run

    def _failed(self) -> Passed:
        return replace(self.passed, state="failed")

    def _due(self, *, whole: bool) -> Passed:
        """Return what is due: what was used, at least one unit where it was cut short."""
        ended = replace(self.passed, state="ended")
        if isinstance(self.asked, Metered):
            return ended
        if self.meter.amount is not None:
            return replace(ended, units=self.asked.max_units, amount=self.meter.amount)
        units = self.meter.units
        if units is None:
            units = self.asked.max_units if whole else 1
        elif not whole:
            units = max(units, 1)
        return replace(ended, units=units) if units else self._failed()

    async def _end(self, passed: Passed) -> None:
        if not self._open:
            return
        self._open = False
        try:
            await asyncio.to_thread(self.record, passed)
        except Exception:  # noqa: BLE001 - what records is the app's: anything may come of it
            _log.exception("not recorded, and charged as it began unless mended: %s", passed)


class Passing:
    """Lets requests pass that cannot be charged now; `record` keeps what is to be charged."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._keys: OrderedDict[str, None] = OrderedDict()

    async def begin(
        self, asked: Metered | MeteredUpTo, key: str, failure: CreditsUnavailable
    ) -> PassedRun | Refusal:
        """Put a request on record, and let it run; refuse it where that cannot be done."""
        name = f"{asked.account} {key}"
        if name in self._keys:
            return refusals.operation_was_passed()
        self._remember(name)
        up_to = isinstance(asked, MeteredUpTo)
        passed = Passed(
            # A key under which credits may be held already cannot be charged.
            key=new_key() if up_to else key,
            account=asked.account,
            operation=asked.operation,
            units=1 if isinstance(asked, MeteredUpTo) else asked.units,
            at=datetime.now(UTC),
            state="begun",
            maybe_taken=failure.maybe_taken and not up_to,
            model=asked.model,
        )
        try:
            await asyncio.to_thread(self._record, passed)
        except Exception:  # noqa: BLE001 - what records is the app's: anything may come of it
            _log.exception("not let pass, as it cannot be recorded: %s", passed)
            del self._keys[name]
            return refusals.metering_unavailable(failure)
        _log.warning("let pass, to be charged later: %s (%s)", passed, failure)
        return PassedRun(self._record, passed, asked)

    def _remember(self, name: str) -> None:
        self._keys[name] = None
        if len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)
