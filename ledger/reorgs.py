"""A reorg past confirmation, as a halted chain's books have it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.session import opened

# While stakes are granted what they earned before a block, that block is the one a reorg is about.
_REORG: Final = """
select c.state, c.reason, g.number, g.hash, c.parted_number, c.other_hash,
  a.accepted_by, a.reason, a.at
from creditd.chain c
  cross join lateral (
    select coalesce(b.number, c.confirmed_number) as number,
      coalesce(b.hash, c.confirmed_hash) as hash
    from (select) one left join creditd.block b
      on b.chain_id = c.chain_id and b.number = c.accruing_number) g
  left join creditd.accepted_reorg a
    on (a.chain_id, a.number, a.left_hash, a.new_hash, a.reorgs)
      = (c.chain_id, g.number, g.hash, c.other_hash, c.reorgs)
where c.name = %s"""


@dataclass(frozen=True, slots=True)
class ReorgRow:
    """Whether a chain is halted and why, and the last block of which something has been granted.

    `ancestor` is the last block that the node had too, and `other_hash` what it showed at
    `granted_number`: both are None unless a reorg is the reason, and `other_hash` as long as the
    new history does not reach that far. `accepted_by`, `accepted_why` and `accepted_at` tell of an
    operator who accepted it, None if nobody has.
    """

    state: str
    reason: str | None
    granted_number: int
    granted_hash: bytes
    ancestor: int | None
    other_hash: bytes | None
    accepted_by: str | None
    accepted_why: str | None
    accepted_at: datetime | None


async def read_reorg(database_url: str, chain: str) -> ReorgRow | None:
    """Return how it stands with a chain, None if the books know none of the name.

    Raises SchemaMismatch, LedgerUnavailable.
    """
    async with opened(database_url, "creditd_reader") as session:
        rows = await session.rows(_REORG, (chain,))
    return ReorgRow(*rows[0]) if rows else None
