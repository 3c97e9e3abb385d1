"""The statements of `ledger.reading` about chains and alarms, each built once."""

from typing import Final

from sqlalchemy import column, func, select
from sqlalchemy.dialects.postgresql import TIMESTAMP

from ledger.schema import chain

CHAINS: Final = select(
    *(chain.c[name] for name in ("chain_id", "name", "state", "reason", "head_number")),
    *(chain.c[name] for name in ("indexed_number", "confirmed_number")),
    *(chain.c[name] for name in ("indexed_time", "confirmed_time")),
    *(chain.c[name] for name in ("reorgs", "last_reorg_at", "last_reorg_depth", "leader_seen_at")),
).order_by(chain.c.chain_id)

_alarms = func.creditd.alarms().table_valued(
    "chain_id", "chain", "kind", "said", "remedy", column("since", TIMESTAMP(timezone=True))
)
ALARMS: Final = select(_alarms)
