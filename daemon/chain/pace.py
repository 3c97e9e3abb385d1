"""Not asking a node oftener than it allows."""

import asyncio
from collections.abc import Callable
from time import monotonic


class Pace:
    """At most so many calls a second, on average; None: as many as there are.

    What is asked at once goes out at once, and what comes after it waits until it is paid for. So
    whoever asks must not ask for more at once than a second allows.
    """

    def __init__(
        self, calls_per_second: int | None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds = 0.0 if calls_per_second is None else 1 / calls_per_second
        self._clock = clock
        self._free_at = clock()

    async def take(self, calls: int) -> None:
        """Wait until so many calls may go out."""
        if not self._seconds:
            return
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + calls * self._seconds
        if start > now:
            await asyncio.sleep(start - now)
