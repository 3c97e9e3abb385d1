"""Parts that the statements of several subjects are put together from."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)

from ledger.schema import account, member

ROOT: Final = bindparam("root", type_=BigInteger)
ACCOUNT: Final = bindparam("account", type_=BigInteger)
# Members with the status of their accounts.
MEMBERS: Final = select(member, account.c.status).join_from(
    member,
    account,
    and_(account.c.root_id == member.c.root_id, account.c.account_id == member.c.account_id),
)


def of_asked(owned: Table) -> ColumnElement[bool]:
    """Return whether a row is of the account that `root` and `account` name."""
    return and_(owned.c.root_id == ROOT, owned.c.account_id == ACCOUNT)


def total(counted: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the sum of a column: of no rows 0."""
    return func.coalesce(func.sum(counted), literal_column("0"))
