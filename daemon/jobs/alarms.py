"""Telling of alarms: to the log, to receivers, and of what only the leader knows to the books."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from daemon.watching.follower import Follower
from ledger.alarms import Alarms
from ledger.errors import LedgerError

# An alarm is told of so soon at the latest; what halts a chain is told of at once.
ALARM_SECONDS: Final = 5

log = structlog.get_logger()


@dataclass(slots=True)
class AlarmTeller:
    """The job of a watcher that tells of alarms, whether it leads a chain or not."""

    alarms: Alarms
    followers: Sequence[Follower]

    async def turn(self) -> None:
        """Note how the nodes of the chains fare, and tell what has begun and what is over."""
        try:
            for follower in self.followers:
                await follower.note_watch(self.alarms)
            changes = await self.alarms.tell()
        except LedgerError as error:  # the next turn meets it too
            log.warning("alarms wait", trouble=str(error))
            return
        for change in changes:
            if change.begins:
                log.error(
                    "alarm",
                    chain=change.chain,
                    alarm=change.kind,
                    said=change.said,
                    remedy=change.remedy,
                )
            else:
                log.info("alarm over", chain=change.chain, alarm=change.kind, said=change.said)
