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
    Text,
    bindparam,
    column,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from ledger.question_parts import ACCOUNT, MEMBERS, ROOT, of_asked
from ledger.schema import member, status_change, wallet, wallet_link

_LIMIT: Final = bindparam("limit", type_=Integer)
# Among the links of an address the one on every chain comes first.
EVERY_CHAIN: Final = -1


NEXT_MEMBERS: Final = (
    MEMBERS.where(
        member.c.root_id == ROOT,
        member.c.account_id > bindparam("after", type_=BigInteger),
    )
    .order_by(member.c.account_id)
    .limit(_LIMIT)
)

_budgets: Final = func.creditd.budgets_of(ROOT, ACCOUNT).table_valued(
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
        wallet.c.linked_root == ROOT, wallet.c.linked_account == ACCOUNT
    ),
    select(wallet_link.c.address, _every.label("chain_id"), wallet_link.c.linked_at).where(
        of_asked(wallet_link)
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
    ).where(of_asked(wallet), wallet.c.linked_root.is_(None)),
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
    .where(
        of_asked(status_change), status_change.c.change_no < bindparam("before", type_=BigInteger)
    )
    .order_by(status_change.c.change_no.desc())
    .limit(_LIMIT)
)
