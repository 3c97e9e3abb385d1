"""The statements of `ledger.reading` about who shares an account, each built once."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    and_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from ledger.schema import account, member, status_change, wallet, wallet_link

_ROOT: Final = bindparam("root", type_=BigInteger)
_ACCOUNT: Final = bindparam("account", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=Integer)
# Among the links of an address the one on every chain comes first.
EVERY_CHAIN: Final = -1


def _of(owned: Table) -> ColumnElement[bool]:
    return and_(owned.c.root_id == _ROOT, owned.c.account_id == _ACCOUNT)


MEMBERS: Final = (
    select(member, account.c.status)
    .join_from(
        member,
        account,
        and_(account.c.root_id == member.c.root_id, account.c.account_id == member.c.account_id),
    )
    .where(
        member.c.root_id == _ROOT,
        member.c.account_id > bindparam("after", type_=BigInteger),
    )
    .order_by(member.c.account_id)
    .limit(_LIMIT)
)

_budgets: Final = func.creditd.budgets_of(_ROOT, _ACCOUNT).table_valued(
    column("o_period", Text()),
    column("o_begins", Date()),
    column("o_amount", BigInteger()),
    column("o_used", BigInteger()),
    column("o_levels", ARRAY(SmallInteger)),
)
BUDGETS: Final = select(_budgets)

_every: Final[ColumnElement[int]] = literal_column(str(EVERY_CHAIN), BigInteger())
_links = union_all(
    select(wallet.c.address, wallet.c.chain_id, wallet.c.linked_at).where(
        wallet.c.linked_root == _ROOT, wallet.c.linked_account == _ACCOUNT
    ),
    select(wallet_link.c.address, _every.label("chain_id"), wallet_link.c.linked_at).where(
        _of(wallet_link)
    ),
).subquery("link")
LINKS: Final = (
    select(_links)
    .where(
        tuple_(_links.c.address, _links.c.chain_id)
        > tuple_(
            bindparam("after_address", type_=LargeBinary),
            bindparam("after_chain", type_=BigInteger),
        )
    )
    .order_by(_links.c.address, _links.c.chain_id)
    .limit(_LIMIT)
)

_own: Final[ColumnElement[bool]] = literal_column("true", Boolean())
_linked: Final[ColumnElement[bool]] = literal_column("false", Boolean())
_wallets = union_all(
    select(
        wallet.c.address,
        wallet.c.chain_id,
        _own.label("own"),
        literal_column("null::timestamptz", wallet.c.linked_at.type).label("linked_at"),
    ).where(_of(wallet), wallet.c.linked_root.is_(None)),
    select(_links.c.address, _links.c.chain_id, _linked.label("own"), _links.c.linked_at),
).subquery("wallets")
WALLETS: Final = (
    select(_wallets)
    .where(
        tuple_(_wallets.c.address, _wallets.c.chain_id)
        > tuple_(
            bindparam("after_address", type_=LargeBinary),
            bindparam("after_chain", type_=BigInteger),
        )
    )
    .order_by(_wallets.c.address, _wallets.c.chain_id)
    .limit(_LIMIT)
)

STATUS_CHANGES: Final = (
    select(status_change)
    .where(_of(status_change), status_change.c.change_no < bindparam("before", type_=BigInteger))
    .order_by(status_change.c.change_no.desc())
    .limit(_LIMIT)
)
