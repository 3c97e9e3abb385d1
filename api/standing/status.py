"""How the process and the chains are, for those who run them."""

from collections.abc import Mapping

from api.caching import NO_STORE
from api.calling.calls import Answer, Document, Process
from api.metrics import MEDIA_TYPE
from api.problems.refusals import Draining, Refused
from api.standing import wire
from ledger.errors import LedgerError
from ledger.reading import ChainRow


async def healthz(_parts: Process, _path: Mapping[str, str]) -> Answer:
    """Answer: the process runs. Says nothing of the database, whose outage no restart mends."""
    return Answer(200, wire.Health())


async def readyz(parts: Process, _path: Mapping[str, str]) -> Answer:
    """Answer if the ledger does and the process is to go on.

    A chain that lags stops no charge, so it does not count here.
    """
    if parts.draining.is_set():
        raise Refused(Draining())
    await parts.reading.ready()
    return Answer(200, wire.Ready())


async def status(parts: Process, _path: Mapping[str, str]) -> Answer:
    """Return how far every chain has been followed, and the alarms."""
    chains = [_chain(row) for row in await parts.reading.chains()]
    alarms = [
        wire.AlarmStatus(each.chain, each.kind, each.said, each.remedy, each.since)
        for each in await parts.reading.alarms()
    ]
    return Answer(200, wire.Status(chains, alarms), (NO_STORE,))


async def metrics(parts: Process, _path: Mapping[str, str]) -> Document:
    """Return the process's counters, and the chains as the books have them now."""
    try:
        chains = await parts.reading.chains()
        alarms = await parts.reading.alarms()
    except LedgerError:
        # An outage of the ledger is when the counters are wanted most: `creditd_ledger_up` says it.
        return Document(MEDIA_TYPE, parts.metrics.render(None))
    return Document(MEDIA_TYPE, parts.metrics.render(chains, alarms))


def _chain(row: ChainRow) -> wire.ChainStatus:
    reorg = None
    if row.last_reorg_at is not None and row.last_reorg_depth is not None:
        reorg = wire.Reorg(row.last_reorg_at, row.last_reorg_depth)
    return wire.ChainStatus(
        chain_id=row.chain_id,
        chain=row.name,
        state=row.state,
        reason=row.reason,
        head_number=row.head_number,
        indexed_number=row.indexed_number,
        confirmed_number=row.confirmed_number,
        lag_blocks=row.lag_blocks,
        indexed_time=row.indexed_time,
        confirmed_time=row.confirmed_time,
        reorgs=row.reorgs,
        last_reorg=reorg,
        watcher_seen_at=row.leader_seen_at,
    )
