"""The statements of `ledger.reading` about prices, each built once."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from ledger.schema import operation, price

_LIMIT: Final = bindparam("limit", type_=Integer)
# By the database's clock, where no moment is asked for.
_AT: Final = func.coalesce(
    bindparam("at", type_=TIMESTAMP(timezone=True)), func.statement_timestamp()
)
_FOREVER: Final[ColumnElement[Any]] = literal_column("timestamptz 'infinity'")


def _stands(at: ColumnElement[Any]) -> ColumnElement[bool]:
    """Say that a price is in force at a moment, or is to begin later."""
    return price.c.ends_at > func.greatest(price.c.effective_at, at)


_before = operation.alias("before")
_after = (
    select(_before.c.name)
    .where(_before.c.operation_id == bindparam("after", type_=BigInteger))
    .scalar_subquery()
)
_named = bindparam("named", type_=Text)
_priced = (
    select(operation.c.operation_id, operation.c.name)
    .where(
        operation.c.name > func.coalesce(_after, literal_column("''")),
        operation.c.name == func.coalesce(_named, operation.c.name),
        exists().where(price.c.operation_id == operation.c.operation_id, _stands(_AT)),
    )
    .order_by(operation.c.name)
    .limit(_LIMIT)
    .subquery("priced")
)

PRICES: Final = (
    select(
        _priced.c.operation_id,
        _priced.c.name.label("operation"),
        *(price.c[name] for name in ("model", "version", "base", "per_unit", "unit")),
        *(price.c[name] for name in ("tier_above", "tier_per_unit", "effective_at")),
        func.nullif(price.c.ends_at, _FOREVER).label("ends_at"),
        (price.c.effective_at <= _AT).label("is_in_force"),
    )
    .join_from(_priced, price, price.c.operation_id == _priced.c.operation_id)
    .where(_stands(_AT))
    .order_by(_priced.c.name, price.c.model, price.c.effective_at)
)

NAMES: Final = (
    select(operation.c.name)
    .where(exists().where(price.c.operation_id == operation.c.operation_id, _stands(_AT)))
    .order_by(operation.c.name)
    .limit(_LIMIT)
)

MODELS_OF: Final = (
    select(price.c.model)
    .join_from(price, operation, operation.c.operation_id == price.c.operation_id)
    .where(
        operation.c.name == bindparam("operation", type_=Text),
        and_(_stands(_AT), price.c.effective_at <= _AT),
        price.c.model != literal_column("''"),
    )
    .order_by(price.c.model)
    .limit(_LIMIT)
)
