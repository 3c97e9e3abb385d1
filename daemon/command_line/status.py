"""How the chains are followed, for a terminal and for scripts."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.configuration.config import Chain
from ledger.reading import Alarm, ChainRow, Reading

WIDTH: Final = 100
BOOKS: Final = 0  # stands for the books where a chain's id stands else


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The chains of the configuration, and whatever else the books follow, at one moment."""

    configured: Sequence[Chain]
    rows: Sequence[ChainRow]
    alarms: Sequence[Alarm]
    now: datetime

    @property
    def well(self) -> bool:
        """Whether every chain is followed, and there is nothing that somebody has to look at."""
        return not self._troubles() and not self._alarms()

    def as_json(self) -> dict[str, Any]:
        """Return the report for scripts: block numbers as numbers, times as RFC 3339."""
        troubles = self._troubles() | {
            each.chain_id: _title(each) for each in reversed(self._alarms())
        }
        chains: dict[str, Any] = {
            row.name: {
                "chain_id": row.chain_id,
                "configured": self._chain(row) is not None,
                "state": row.state,
                "trouble": troubles.get(row.chain_id),
                "head": row.head_number,
                "indexed": row.indexed_number,
                "confirmed": row.confirmed_number,
                "lag": row.lag_blocks,
                "reorgs": row.reorgs,
                "last_reorg_depth": row.last_reorg_depth,
                "leader_seen_at": row.leader_seen_at.isoformat(),
            }
            for row in self.rows
        }
        for chain in self._unfollowed():
            chains[chain.name] = {
                "chain_id": chain.chain_id,
                "configured": True,
                "state": None,
                "trouble": troubles.get(chain.chain_id),
            }
        alarms = [
            {
                "chain": each.chain,
                "alarm": each.kind,
                "said": each.said,
                "remedy": each.remedy,
                "since": each.since.isoformat(),
            }
            for each in self._alarms()
        ]
        return {"well": self.well, "chains": chains, "alarms": alarms}

    def render(self) -> str:
        """Return the report as a table, and below it what is wrong."""
        table = Table("chain", "state", "head", "indexed", "confirmed", "lag", "reorgs", "seen")
        for row in self.rows:
            table.add_row(
                f"{row.name} ({row.chain_id})",
                row.state,
                *(str(number) for number in (row.head_number, row.indexed_number)),
                str(row.confirmed_number),
                str(row.lag_blocks),
                str(row.reorgs),
                f"{int(self._silent_seconds(row))} s ago",
            )
        for chain in self._unfollowed():
            table.add_row(f"{chain.name} ({chain.chain_id})", "never followed")
        text = io.StringIO()
        console = Console(file=text, width=WIDTH)
        console.print(table)
        names = {chain.chain_id: chain.name for chain in self.configured}
        names |= {row.chain_id: row.name for row in self.rows}
        for chain_id, trouble in self._troubles().items():
            console.print(Text(f"{names[chain_id]}: {trouble}"))
        for each in self._alarms():
            console.print(Text(f"{each.chain or 'the books'}: {_title(each)}"))
            console.print(Text(f"  remedy: {each.remedy}"))
        for row in self.rows:
            if self._chain(row) is None:
                console.print(Text(f"{row.name}: not in this configuration"))
        return text.getvalue().rstrip()

    def _troubles(self) -> dict[int, str]:
        """Return what is wrong where the books cannot tell yet, by chain id."""
        return {
            chain.chain_id: "never followed: start `creditd up` or `creditd watch`; if it runs, its"
            " log says what it waits for"
            for chain in self._unfollowed()
        }

    def _alarms(self) -> list[Alarm]:
        """Return what somebody has to look at: of chains that are not configured, halts alone."""
        ours = {chain.chain_id for chain in self.configured} | {BOOKS}
        return [each for each in self.alarms if each.chain_id in ours or each.kind == "halted"]

    def _silent_seconds(self, row: ChainRow) -> float:
        return max(0.0, (self.now - row.leader_seen_at).total_seconds())

    def _chain(self, row: ChainRow) -> Chain | None:
        return next((each for each in self.configured if each.chain_id == row.chain_id), None)

    def _unfollowed(self) -> list[Chain]:
        followed = {row.chain_id for row in self.rows}
        return [chain for chain in self.configured if chain.chain_id not in followed]


def _title(alarm: Alarm) -> str:
    return f"halted: {alarm.said}" if alarm.kind == "halted" else alarm.said


async def read_status(database_url: str, configured: Sequence[Chain]) -> StatusReport:
    """Read the report. Raises LedgerUnavailable, SchemaMismatch."""
    async with Reading.open(database_url, role="creditd_reader") as reading:
        await reading.ready()
        chains, alarms = await reading.chains(), await reading.alarms()
        return StatusReport(configured, chains, alarms, datetime.now(UTC))
