"""The breaker: after failures in a row, calls are not sent for a while, and one tries the way."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

FAILURES_MAX: Final = 8  # two calls' worth of attempts: one call alone never opens the breaker
OPEN_SECONDS: Final = 1.0  # creditd restarts within seconds: it is to be noticed as soon


class Breaker:
    """Closed while creditd answers, open for `open_seconds` after `failures_max` failures in a row.

    Then one attempt is let through to probe: its success closes the breaker, its failure opens it
    again. It may be used by several threads. `now` is a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        *,
        failures_max: int = FAILURES_MAX,
        open_seconds: float = OPEN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures_max < 1:
            raise ValueError(f"failures_max is {failures_max}: it takes at least one to tell")
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._now = now
        self._lock = Lock()
        self._failures = 0
        self._next_try_at: float | None = None  # None while closed

    def wait_seconds(self) -> float | None:
        """Return None if an attempt may be made now, otherwise how long not to.

        An attempt that may be made while open is the probe: the next one is `open_seconds` later,
        should nothing be heard of this one.
        """
        with self._lock:
            if self._next_try_at is None:
                return None
            now = self._now()
            if now < self._next_try_at:
                return self._next_try_at - now
            self._next_try_at = now + self._open_seconds
            return None

    def answered(self) -> None:
        """Take note that creditd answered an attempt."""
        with self._lock:
            self._failures = 0
            self._next_try_at = None

    def failed(self) -> None:
        """Take note that an attempt was not answered."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._failures_max:
                self._next_try_at = self._now() + self._open_seconds
