"""Alarms: what somebody has to look at, as the books say it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.findings import AuditReport
from ledger.session import Session, opened

KINDS: Final = (
    *("halted", "unwatched", "behind", "still", "finality", "node", "set_aside", "reread"),
    *("stakes", "books"),
)
"""What an alarm can be about; all but the last one are about a chain."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong, and what helps. `chain` is None where it is the books themselves.

    `kind` is one of KINDS. `since` is when it was first told of, or now.
    """

    chain_id: int
    chain: str | None
    kind: str
    said: str
    remedy: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm that has begun (`begins`), or is over: then it has no remedy."""

    chain: str | None
    kind: str
    said: str
    remedy: str | None
    begins: bool


class Alarms:
    """A session that tells of alarms, and notes what they come of. Made by `Alarms.open`.

    Every method raises LedgerUnavailable if the database does not answer.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Alarms"]:
        """Open a session. It connects when it is first used, and again after an outage."""
        session = Session(database_url, "creditd_watcher")
        try:
            yield cls(session)
        finally:
            await session.close()

    async def tell(self) -> list[AlarmChange]:
        """Tell receivers of what has begun and of what is over. Each change is returned once."""
        rows = await self._session.rows("select * from creditd.tell_alarms()")
        return [AlarmChange(*row) for row in rows]

    async def note_watch(
        self,
        chain_id: int,
        epoch: int,
        *,
        cursor_seconds: int,
        finality_seconds: int,
        head_seconds: int | None,
        nodes: Mapping[str, str | None],
    ) -> None:
        """Note the troubles of a chain's nodes (None: it serves), for the watcher that leads it.

        The cursor may stand still, finality lag and the head be the same (None: for ever) for so
        many seconds before it is an alarm.
        Raises Deposed if this watcher leads no more.
        """
        await self._session.rows(
            "select creditd.note_watch(%s, %s, %s, %s, %s, %s::text[], %s::text[])",
            (
                *(chain_id, epoch, cursor_seconds, finality_seconds, head_seconds),
                list(nodes),
                list(nodes.values()),
            ),
        )


async def note_audit(database_url: str, report: AuditReport) -> None:
    """Note what an audit of all books found: an alarm if that is anything.

    Raises SchemaMismatch, LedgerUnavailable.
    """
    breaches = sum(check.breaches_total for check in report.checks)
    said = ", ".join(check.name for check in report.checks if check.breaches_total)
    async with opened(database_url, "creditd_operator") as session:
        await session.rows("select creditd.note_audit(%s, %s)", (breaches, said))
