"""How the chains are followed, for a terminal and for scripts."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ledger.reading import ChainRow, Reading

# A watcher says at every turn that it is alive; turns are ten minutes apart at the very most.
SILENT_SECONDS_MAX: Final = 660


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All chains of the books at one moment."""

    chains: tuple[ChainRow, ...]
    now: datetime

    @property
    def well(self) -> bool:
        """Whether every chain is followed: none halted, none without a live watcher."""
        return all(self.trouble(chain) is None for chain in self.chains)

    def trouble(self, chain: ChainRow) -> str | None:
        """Return what is wrong with a chain, None if nothing is."""
        if chain.state == "halted":
            return f"halted: {chain.reason}"
        silent = self.now - chain.leader_seen_at
        if silent.total_seconds() > SILENT_SECONDS_MAX:
            return f"no watcher has been seen for {int(silent.total_seconds())} s"
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the report for scripts: block numbers as numbers, times as RFC 3339."""
        return {
            "well": self.well,
            "chains": {
                chain.name: {
                    "chain_id": chain.chain_id,
                    "state": chain.state,
                    "trouble": self.trouble(chain),
                    "head": chain.head_number,
                    "indexed": chain.indexed_number,
                    "confirmed": chain.confirmed_number,
                    "lag": chain.head_number - chain.indexed_number,
                    "reorgs": chain.reorgs,
                    "last_reorg_depth": chain.last_reorg_depth,
                    "leader_seen_at": chain.leader_seen_at.isoformat(),
                }
                for chain in self.chains
            },
        }

    def render(self) -> str:
        """Return the report as a table."""
        if not self.chains:
            return "no chain is followed yet: start `creditd up` or `creditd watch`"
        table = Table("chain", "state", "head", "indexed", "confirmed", "lag", "reorgs")
        for chain in self.chains:
            table.add_row(
                f"{chain.name} ({chain.chain_id})",
                chain.state,
                *(str(n) for n in (chain.head_number, chain.indexed_number)),
                str(chain.confirmed_number),
                str(chain.head_number - chain.indexed_number),
                str(chain.reorgs),
            )
        text = io.StringIO()
        console = Console(file=text, width=100)
        console.print(table)
        for chain in self.chains:
            trouble = self.trouble(chain)
            if trouble is not None:
                console.print(f"{chain.name}: {trouble}", markup=False)
        return text.getvalue().rstrip()


async def read_status(database_url: str) -> StatusReport:
    """Read the report. Raises LedgerUnavailable, SchemaMismatch."""
    async with Reading.open(database_url, role="creditd_reader") as reading:
        await reading.ready()
        return StatusReport(tuple(await reading.chains()), datetime.now(UTC))
