"""What tables are described with."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

metadata: Final = sa.MetaData(schema="creditd")

# Types made once: a table names dozens of them.
INT = sa.Integer()
BIGINT = sa.BigInteger()
SMALLINT = sa.SmallInteger()
BIGINTS = sa.ARRAY(BIGINT)
TEXT = sa.Text()
BYTES = sa.LargeBinary()
TIME = TIMESTAMP(timezone=True)
UUID = sa.Uuid()
NOW = "clock_timestamp()"


def must(
    name: str,
    type_: TypeEngine[Any],
    *args: sa.ForeignKey | sa.Identity,
    default: str | None = None,
) -> sa.Column[Any]:
    """Return a column that is never null."""
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, type_, *args, nullable=False, server_default=server_default)


def may(name: str, type_: TypeEngine[Any]) -> sa.Column[Any]:
    """Return a column that may be null."""
    return sa.Column(name, type_, nullable=True)


def of_account() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the columns that name an account, as new ones."""
    return must("root_id", BIGINT), must("account_id", BIGINT)


def totals(*names: str) -> list[sa.Column[Any]]:
    """Return columns of amounts that begin at zero."""
    return [must(name, BIGINT, default="0") for name in names]


def key(name: str, columns: str) -> sa.PrimaryKeyConstraint:
    """Return a primary key over `columns`, a list with commas."""
    return sa.PrimaryKeyConstraint(*columns.split(", "), name=name)


def one(name: str, columns: str) -> sa.UniqueConstraint:
    """Return a unique constraint over `columns`, a list with commas."""
    return sa.UniqueConstraint(*columns.split(", "), name=name)


def index(name: str, columns: str, *, where: str | None = None, unique: bool = False) -> sa.Index:
    """Return an index over `columns`, a list with commas."""
    condition = None if where is None else sa.text(where)
    return sa.Index(name, *columns.split(", "), unique=unique, postgresql_where=condition)


def check(name: str, condition: str) -> sa.CheckConstraint:
    """Return a check constraint."""
    return sa.CheckConstraint(condition, name=name)


def table(name: str, *parts: SchemaItem, storage: Mapping[str, float] | None = None) -> sa.Table:
    """Return a table of the books; `storage` are its storage parameters."""
    return sa.Table(name, metadata, *parts, postgresql_with=storage)
