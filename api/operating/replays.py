"""How logs that were set aside are decoded again. Whoever puts the process together hands it in.

The API knows no chain, and charges do not wait while blocks are proven: another process does that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from api.problems.refusals import (
    Refused,
    ReplayCutShort,
    ReplayNotCarriedOut,
    ReplaysNotOffered,
    ReplayUnderWay,
    Stopping,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A log that stays set aside, and why. Of what is no log `ordinal` is below zero."""

    tx_hash: bytes
    ordinal: int
    block_number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """So many events were entered and granted; so many logs stay, `kept` are some of them."""

    granted_events: int
    kept_count: int
    kept: Sequence[Kept]


ReplayOutcome = Replayed | ReplayCutShort | ReplayNotCarriedOut
RunReplay = Callable[[str, int, int | None], Awaitable[ReplayOutcome]]
"""Decodes the logs of a source again, of some blocks: the first, the last (None: without an end).

Cancelled, it leaves nothing running.
"""


class Replays:
    """The replays of one process: one at a time, as each takes a process of its own beside it.

    Several at once would prove the same blocks, and take the machine from what charges.
    """

    def __init__(self, run: RunReplay | None, draining: asyncio.Event) -> None:
        """Do them by `run`; None: not at all. One that goes on when `draining` is set is ended."""
        self._run = run
        self._draining = draining
        self._turn = asyncio.Lock()

    async def replay(
        self,
        source: str,
        first: int,
        last: int | None,
        *,
        begin: Callable[[], Awaitable[None]],
    ) -> ReplayOutcome:
        """Decode a source's logs again, after `begin`, which may refuse.

        Raises Refused: ReplaysNotOffered, ReplayUnderWay, Stopping.
        """
        if self._run is None:
            raise Refused(ReplaysNotOffered())
        if self._draining.is_set():
            raise Refused(Stopping())
        if self._turn.locked():
            raise Refused(ReplayUnderWay())
        async with self._turn:
            await begin()
            return await self._unless_draining(self._run(source, first, last))

    async def _unless_draining(self, replaying: Awaitable[ReplayOutcome]) -> ReplayOutcome:
        work = asyncio.ensure_future(replaying)
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((work, draining), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Refused(Stopping())
        finally:
            draining.cancel()
            work.cancel()
            await asyncio.wait((work,))
