"""Telling so many histories that one wants to know how far it is."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import monotonic

from simulation.telling import require_balance, tell

# The books of so many histories are in one database, and audited together.
BATCH = 250
TOLD_EVERY_SECONDS = 10.0


class Progress:
    """How many of so many are done, how fast, and how long the others will take."""

    def __init__(self, of: int, say: Callable[[str], None]) -> None:
        self._of = of
        self._say = say
        self._began = self._said = monotonic()
        self._done = 0

    def one_more(self, failed: int) -> None:
        self._done += 1
        now = monotonic()
        if now - self._said < TOLD_EVERY_SECONDS and self._done < self._of:
            return
        self._said = now
        rate = self._done / (now - self._began)
        left = (self._of - self._done) / rate
        self._say(
            f"{self._done} of {self._of} histories, {rate:.1f} a second, {left / 60:.0f} min left,"
            f" {failed} failed"
        )


def soak(
    seeds: Sequence[int],
    database: Callable[[], AbstractContextManager[str]],
    say: Callable[[str], None],
) -> tuple[Counter[str], list[int]]:
    """Tell all histories, whichever fail; return what happened, counted, and who failed."""
    counted: Counter[str] = Counter()
    failed: list[int] = []
    progress = Progress(len(seeds), say)
    for first in range(0, len(seeds), BATCH):
        with database() as url:
            for seed in seeds[first : first + BATCH]:
                try:
                    counted.update(tell(seed, url).told)
                except Exception as error:  # noqa: BLE001 - told, and the others go on
                    failed.append(seed)
                    say("\n".join([f"seed {seed}: {error!r}", *error.__notes__]))
                progress.one_more(len(failed))
            require_balance(url)
    return counted, failed
