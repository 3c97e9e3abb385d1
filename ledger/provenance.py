"""Where a grant comes from: the event that it was made for."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ledger.causes import EventIdentity
from ledger.connecting import Role
from ledger.ids import AccountRef
from ledger.session import Session

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


async def event_of_grant(
    database_url: str, account: AccountRef, number: int, *, role: Role = "creditd_reader"
) -> GrantEvent | None:
    """Return the event that an account's grant was made for, None if it has none.

    Of credits that moved in, it is that of the grant they were of. Raises SchemaMismatch,
    LedgerUnavailable.
    """
    session = Session(database_url, role)
    try:
        await session.require_release()
        rows = await session.rows(_LOT, (*account, number))
        if rows and rows[0][4] is not None:
            rows = await session.rows(_LOT, rows[0][2:])
        identity = EventIdentity.of_cause(rows[0][0]) if rows and rows[0][0] is not None else None
        if identity is None:
            return None
        events = await session.rows(_EVENT, identity)
    finally:
        await session.close()
    if not events:
        return None
    values: list[Any] = [int(each) if isinstance(each, Decimal) else each for each in events[0]]
    return GrantEvent(*values)
