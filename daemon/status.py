"""How the chains are followed, for a terminal and for scripts."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.config import Chain
from ledger.reading import ChainRow, Reading

# A watcher that leads a chain is heard of at every turn and every step. The slowest step, hundreds
# of full blocks from a slow node that needs every try, stays below this.
STEP_SECONDS_MAX: Final = 120
WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The chains of the configuration, and whatever else the books follow, at one moment."""

    configured: Sequence[Chain]
    rows: Sequence[ChainRow]
    now: datetime

    @property
    def well(self) -> bool:
        """Whether every chain is followed: none halted, none without a live watcher."""
        return not self._troubles()

    def as_json(self) -> dict[str, Any]:
        """Return the report for scripts: block numbers as numbers, times as RFC 3339."""
        troubles = self._troubles()
        chains: dict[str, Any] = {
            row.name: {
                "chain_id": row.chain_id,
                "configured": self._chain(row) is not None,
                "state": row.state,
                "trouble": troubles.get(row.chain_id),
                "head": row.head_number,
                "indexed": row.indexed_number,
                "confirmed": row.confirmed_number,
                "lag": _lag(row),
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
        return {"well": not troubles, "chains": chains}

    def render(self) -> str:
        """Return the report as a table, and below it what is wrong."""
        table = Table("chain", "state", "head", "indexed", "confirmed", "lag", "reorgs", "seen")
        for row in self.rows:
            table.add_row(
                f"{row.name} ({row.chain_id})",
                row.state,
                *(str(number) for number in (row.head_number, row.indexed_number)),
                str(row.confirmed_number),
                str(_lag(row)),
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
        for row in self.rows:
            if self._chain(row) is None:
                console.print(Text(f"{row.name}: not in this configuration"))
        return text.getvalue().rstrip()

    def _troubles(self) -> dict[int, str]:
        """Return what is wrong, by chain id."""
        found = {row.chain_id: self._trouble(row) for row in self.rows}
        for chain in self._unfollowed():
            found[chain.chain_id] = (
                "never followed: start `creditd up` or `creditd watch`; if it runs, its log says"
                " what it waits for"
            )
        return {chain_id: trouble for chain_id, trouble in found.items() if trouble is not None}

    def _trouble(self, row: ChainRow) -> str | None:
        if row.state == "halted":
            return f"halted: {row.reason}"
        chain = self._chain(row)
        silent_seconds = self._silent_seconds(row)
        if chain is None or silent_seconds <= STEP_SECONDS_MAX + chain.poll_ms / 1000:
            return None
        return (
            f"no watcher has been seen for {int(silent_seconds)} s: it does not run, or its node"
            " does not answer; start `creditd up` or `creditd watch`, or look at its log"
        )

    def _silent_seconds(self, row: ChainRow) -> float:
        return max(0.0, (self.now - row.leader_seen_at).total_seconds())

    def _chain(self, row: ChainRow) -> Chain | None:
        return next((each for each in self.configured if each.chain_id == row.chain_id), None)

    def _unfollowed(self) -> list[Chain]:
        followed = {row.chain_id for row in self.rows}
        return [chain for chain in self.configured if chain.chain_id not in followed]


def _lag(row: ChainRow) -> int:
    # A head from before the last blocks read is no negative lag.
    return max(0, row.head_number - row.indexed_number)


async def read_status(database_url: str, configured: Sequence[Chain]) -> StatusReport:
    """Read the report. Raises LedgerUnavailable, SchemaMismatch."""
    async with Reading.open(database_url, role="creditd_reader") as reading:
        await reading.ready()
        return StatusReport(configured, await reading.chains(), datetime.now(UTC))
