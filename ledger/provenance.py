"""Where a grant comes from: the event that it was made for, and the stake that earned it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ledger.causes import EventIdentity
from ledger.ids import AccountRef
from ledger.session import opened
from ledger.sightings import StakeTerms

_LOT: Final = (
    "select l.cause, l.amount, l.origin_root, l.origin_account, l.origin_lot from creditd.lot l"
    " where l.root_id = %s and l.account_id = %s and l.lot_no = %s"
)
_EVENT: Final = """
select c.name, e.chain_id, r.name, e.block_number, e.block_hash, e.tx_hash, e.ordinal, e.role,
  e.log_index, e.wallet, e.amount, e.credits, e.granted, e.state
from creditd.event e join creditd.rule r using (rule_id)
  join creditd.chain c on c.chain_id = e.chain_id
where e.chain_id = %s and e.tx_hash = %s and e.ordinal = %s and e.role = %s"""
_TERMS: Final = """
select r.divisor, r.rates_from, r.rates_micro, r.period_seconds, r.hold_seconds,
  (select coalesce(sum(e.credits), 0) from creditd.event e
   where e.wallet = %s and e.rule_id = r.rule_id and e.ordinal = -1 and e.state = 'confirmed'
     and e.tx_hash < %s)
from creditd.rule r where r.name = %s"""
# A block that ends a period is confirmed after what was earned before it is granted.
_CHANGES: Final = """
select e.block_number, e.block_hash, floor(extract(epoch from e.block_time))::bigint, e.tx_hash,
  e.ordinal, e.role, e.amount
from creditd.event e join creditd.rule r using (rule_id)
where e.wallet = %s and e.chain_id = %s and e.block_number < %s and r.name = %s and e.role > 0
  and e.state = 'confirmed'
order by e.block_number, e.log_index, e.role limit %s"""


@dataclass(frozen=True, slots=True)
class StakeChange:
    """An event that changed a stake, as the books have it.

    `amount` is base units, added or taken as `role` says; `block_time` is in unix seconds.
    """

    block_number: int
    block_hash: bytes
    block_time: int
    tx_hash: bytes
    ordinal: int
    role: int
    amount: int


@dataclass(frozen=True, slots=True)
class StakeHistory:
    """What a stake earned a grant by: its rule's terms, and its changes in chain order.

    `granted_before` is what it stands credited with for earlier periods, in micro-credits and
    before caps.
    """

    terms: StakeTerms
    granted_before: int
    changes: Sequence[StakeChange]


@dataclass(frozen=True, slots=True)
class GrantEvent:
    """The event that a grant was made for, as the books have it.

    `amount` is base units, `credits` what the rule gives for it and `granted` what caps left of
    that, both in micro-credits. `state` is "confirmed", or "reversed" if its block left the chain.
    Of what the protocol gave `tx_hash` and `ordinal` are as `SeenEvent` has them.
    """

    chain: str
    chain_id: int
    source: str
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    ordinal: int
    role: int
    log_index: int
    wallet: bytes
    amount: int
    credits: int
    granted: int
    state: str


async def event_of_grant(database_url: str, account: AccountRef, number: int) -> GrantEvent | None:
    """Return the event that an account's grant was made for, None if it has none.

    Of credits that moved in, it is that of the grant they were of. Raises SchemaMismatch,
    LedgerUnavailable.
    """
    async with opened(database_url, "creditd_reader") as session:
        rows = await session.rows(_LOT, (*account, number))
        if rows and rows[0][4] is not None:
            rows = await session.rows(_LOT, rows[0][2:])
        identity = EventIdentity.of_cause(rows[0][0]) if rows and rows[0][0] is not None else None
        if identity is None:
            return None
        events = await session.rows(_EVENT, identity)
    if not events:
        return None
    return GrantEvent(*_exact(events[0]))


async def stake_behind(database_url: str, event: GrantEvent, most: int) -> StakeHistory:
    """Return what a stake earned `event` by: its changes below the block that ends the period.

    Of them the first `most` only. Raises SchemaMismatch, LedgerUnavailable.
    """
    async with opened(database_url, "creditd_reader") as session:
        ((divisor, since, micro, period, hold, before),) = await session.rows(
            _TERMS, (event.wallet, event.tx_hash, event.source)
        )
        rows = await session.rows(
            _CHANGES, (event.wallet, event.chain_id, event.block_number, event.source, most)
        )
    rates = tuple(zip(since, micro, strict=True))
    return StakeHistory(
        StakeTerms(int(divisor), rates, period, hold),
        int(before),
        [StakeChange(*_exact(row)) for row in rows],
    )


def _exact(row: Sequence[Any]) -> list[Any]:
    return [int(each) if isinstance(each, Decimal) else each for each in row]
