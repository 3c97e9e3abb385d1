"""The statements of `ledger.reading` about prices and chains, each built once."""

from typing import Final

from sqlalchemy import Integer, Text, and_, bindparam, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import TIMESTAMP, distinct_on

from ledger.schema import chain, operation, price

# The moment of the question, by the database's clock; stable, so that an index can look it up.
_NOW: Final = func.statement_timestamp()

_is_in_force = and_(price.c.effective_at <= _NOW, price.c.ends_at > _NOW)
_in_force = (
    select(price)
    .ext(distinct_on(price.c.operation_id))
    .where(_is_in_force)
    .order_by(price.c.operation_id, price.c.model)
    .subquery("in_force")
)

OPERATIONS: Final = (
    select(
        operation.c.name.label("operation"),
        _in_force.c.version,
        _in_force.c.base.label("base_micro"),
        _in_force.c.per_unit.label("per_unit_micro"),
        _in_force.c.unit,
        _in_force.c.effective_at,
    )
    .join_from(_in_force, operation, operation.c.operation_id == _in_force.c.operation_id)
    .order_by(operation.c.name)
)

MODELS_OF: Final = (
    select(price.c.model)
    .join_from(price, operation, operation.c.operation_id == price.c.operation_id)
    .where(
        operation.c.name == bindparam("operation", type_=Text),
        _is_in_force,
        price.c.model != literal_column("''"),
    )
    .order_by(price.c.model)
    .limit(bindparam("limit", type_=Integer))
)

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
