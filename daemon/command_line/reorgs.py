"""`creditd reorg`: what a chain left, what stands there now, and an operator's word on it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.chain.known_chains import Trust
from daemon.chain.reading import Unprovable, Violated, read_hash
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable
from daemon.command_line.exposure_report import exposure_as_text, total_as_json
from daemon.configuration.config import Chain
from daemon.watching.chain_nodes import nodes_of
from ledger.exposure import ExposureReport, exposure
from ledger.operating import ReorgDecision
from ledger.reorgs import ReorgRow, read_reorg


@dataclass(frozen=True, slots=True)
class Shown:
    """What a node shows at one height just now: a hash, or why there is none."""

    node: str
    hash: bytes | None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class ReorgReport:
    """A chain's halt, what its nodes show just now, and what accepting it would take back."""

    chain: str
    row: ReorgRow
    shown: Sequence[Shown]
    exposure: ExposureReport | None

    @property
    def is_halted(self) -> bool:
        """Whether the chain stands still, for whatever reason."""
        return self.row.state == "halted"

    def as_json(self) -> str:
        """Return the report for scripts."""
        row = self.row
        document: dict[str, Any] = {
            "chain": self.chain,
            "state": row.state,
            "reason": row.reason,
            "block": row.granted_number,
            "left_hash": _hex(row.granted_hash),
            "new_hash": _hex(row.other_hash),
            "last_in_common": row.ancestor,
            "accepted": None
            if row.accepted_at is None
            else {
                "by": row.accepted_by,
                "reason": row.accepted_why,
                "at": row.accepted_at.isoformat(),
            },
            "nodes": [
                {"node": each.node, "hash": _hex(each.hash), "trouble": each.trouble}
                for each in self.shown
            ],
            "would_be": None if self.exposure is None else total_as_json(self.exposure),
        }
        return json.dumps(document, indent=2)

    def render(self) -> str:
        """Return the report for a person."""
        row = self.row
        if not self.is_halted:
            return f"{self.chain} is {row.state}: there is nothing to accept"
        lines = [f"{self.chain} is halted: {row.reason}", ""]
        lines.append(f"block {row.granted_number}, the last one whose events are granted:")
        lines.append(f"  the books      {_hex(row.granted_hash)}")
        lines += [
            f"  {each.node}  {_hex(each.hash) or each.trouble or 'no such block yet'}"
            for each in self.shown
        ]
        if row.ancestor is None:
            lines += ["", "It left no confirmed block: there is nothing to accept."]
            return "\n".join(lines)
        if self.exposure is not None:
            lines += ["", f"if all above block {row.ancestor} is taken back (credits):"]
            lines.append(exposure_as_text(self.exposure))
        lines += ["", self._what_next()]
        return "\n".join(lines)

    def _what_next(self) -> str:
        row = self.row
        if row.accepted_at is not None:
            return (
                f"{row.accepted_by} accepted {_hex(row.other_hash)} at"
                f" {row.accepted_at:%Y-%m-%d %H:%M:%S} UTC ({row.accepted_why}): the watcher takes"
                " the grants back once its nodes show it, linked to the books"
            )
        if row.other_hash is None:
            return "The new history does not reach that block yet: wait, then look again."
        return (
            "If the new history is true:\n"
            f"  creditd reorg accept {self.chain} --block {row.granted_number}"
            f" --hash {_hex(row.other_hash)} --by WHO --reason WHY"
        )


async def read_report(database_url: str, chain: Chain) -> ReorgReport | None:
    """Return how it stands, asking the chain's nodes too; None if it was never followed.

    Raises SchemaMismatch, LedgerUnavailable.
    """
    row = await read_reorg(database_url, chain.name)
    if row is None:
        return None
    nodes = nodes_of(chain) if row.state == "halted" else []
    shown = await asyncio.gather(*(_shown(each, row.granted_number, chain.trust) for each in nodes))
    report = None
    if row.ancestor is not None:
        report = await exposure(database_url, chain.name, row.ancestor + 1, role="creditd_reader")
    return ReorgReport(chain.name, row, shown, report)


async def _shown(of: Node, number: int, trust: Trust) -> Shown:
    async with of as node:
        try:
            return Shown(node.endpoint, await read_hash(node, max(number, 0), trust))
        except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
            return Shown(node.endpoint, None, str(error))


def decided(chain: str, decision: ReorgDecision) -> tuple[int, str]:
    """Return the exit code and the line that tell what became of an operator's word."""
    number, new_hash = decision.number, _hex(decision.new_hash)
    at = "" if decision.at is None else f" at {decision.at:%Y-%m-%d %H:%M:%S} UTC"
    said = {
        "accepted": f"accepted: block {number} of {chain} is {new_hash}, not"
        f" {_hex(decision.left_hash)}; the watcher takes back what the left blocks granted as soon"
        " as its nodes show it, linked to the books",
        "replayed": f"accepted already, by {decision.accepted_by}{at}",
        "no_chain": f"the books know no chain {chain}",
        "not_halted": f"{chain} is not halted: there is nothing to accept",
        "no_reorg": f"{chain} is halted, but no other block is known to stand where its last"
        f" confirmed one was: `creditd reorg show {chain}` says why",
        "another_block": f"the halt of {chain} is about block {number}, not the one given",
        "another_hash": f"at block {number} of {chain} the node showed {new_hash}, not the hash"
        f" given: look again by `creditd reorg show {chain}`",
    }
    return int(decision.outcome not in ("accepted", "replayed")), said[decision.outcome]


def _hex(block: bytes | None) -> str | None:
    return None if block is None else f"0x{block.hex()}"
