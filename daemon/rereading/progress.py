"""How far work has come that takes long, for the log."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import structlog

# Oftener would fill a log, more seldom looks like a program that hangs.
PROGRESS_SECONDS: Final = 5.0

log = structlog.get_logger()


@dataclass(slots=True)
class Progress:
    """Blocks `first` to `last` are gone through; says so from time to time, with rate and ETA."""

    what: str
    chain: str
    first: int
    last: int
    _began: float = field(default_factory=monotonic)
    _told: float = field(default_factory=monotonic)

    def at(self, number: int) -> None:
        """Say how far it is: up to block `number`."""
        now = monotonic()
        if now - self._told < PROGRESS_SECONDS:
            return
        self._told = now
        rate = (number - self.first + 1) / (now - self._began)
        log.info(
            self.what,
            chain=self.chain,
            block=number,
            of=self.last,
            percent=100 * (number - self.first + 1) // (self.last - self.first + 1),
            blocks_per_second=round(rate, 1),
            seconds_left=round((self.last - number) / rate),
        )
