"""The statements of `ledger.account_reading` about what chains gave, each built once."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.types import Integer

from ledger.question_parts import of_asked
from ledger.schema import chain, event, linked_wallet, rule, waiting_event, wallet

_LIMIT: Final = bindparam("limit", type_=Integer)
_PENDING: Final = event.c.state == literal_column("'pending'")


# The wallets that earn for the account now (`leads_here`), or whose events it was granted before.
_own = select(
    wallet.c.chain_id, wallet.c.address, wallet.c.linked_root.is_(None).label("leads_here")
).where(of_asked(wallet))
_linked = (
    select(
        linked_wallet.c.chain_id,
        linked_wallet.c.address,
        and_(
            wallet.c.linked_root == linked_wallet.c.root_id,
            wallet.c.linked_account == linked_wallet.c.account_id,
        ).label("leads_here"),
    )
    .select_from(
        linked_wallet.join(
            wallet,
            and_(
                wallet.c.chain_id == linked_wallet.c.chain_id,
                wallet.c.address == linked_wallet.c.address,
            ),
        )
    )
    .where(of_asked(linked_wallet))
)
_earner = union_all(_own, _linked).subquery("earner")
_OF_WALLET: Final = and_(
    event.c.chain_id == _earner.c.chain_id, event.c.wallet == _earner.c.address
)
# An event that was granted once keeps its account; one that never was goes where its wallet leads.
_EARNED_HERE: Final = or_(
    of_asked(event), and_(event.c.account_id.is_(None), _earner.c.leads_here, _PENDING)
)


def _shown(wanted: ColumnElement[bool], order: ColumnElement[int]) -> Select[tuple[Any, ...]]:
    """Return the question for those of the account's earnings that are wanted, in an order.

    Of each wallet as many as are wanted at most, so that all there is is not looked at.
    """
    of_each = (
        select(event)
        .where(_OF_WALLET, _EARNED_HERE, wanted)
        .order_by(order)
        .limit(_LIMIT)
        .correlate(_earner)
        .lateral("either")
    )
    either = select(of_each).select_from(_earner.join(of_each, literal_column("true"))).subquery()
    is_newest_first = order is _NEWEST_FIRST
    number = either.c.event_no.desc() if is_newest_first else either.c.event_no.asc()
    page = select(either).order_by(number).limit(_LIMIT).subquery("page")
    granted_with = func.coalesce(waiting_event.c.due_number, page.c.block_number)
    expected = (
        func.creditd.expected_at(literal_column("chain"), granted_with)
        .table_valued(column("ready_at", TIMESTAMP(timezone=True)))
        .lateral("expected")
    )
    return (
        select(
            *(page.c[name] for name in ("event_no", "chain_id", "tx_hash", "ordinal", "role")),
            *(page.c[name] for name in ("wallet", "block_number", "block_hash", "block_time")),
            *(page.c[name] for name in ("log_index", "amount", "state", "incarnation", "lot_no")),
            case({"pending": page.c.credits}, value=page.c.state, else_=page.c.granted).label(
                "credits"
            ),
            case(
                {"reversed": 0},
                value=page.c.state,
                else_=func.greatest(chain.c.head_number - page.c.block_number, 0),
            ).label("confirmations"),
            chain.c.name.label("chain"),
            waiting_event.c.due_number.label("due_block"),
            (
                chain.c.depth
                + func.coalesce(
                    waiting_event.c.due_number - page.c.block_number, literal_column("0")
                )
            ).label("confirmations_needed"),
            rule.c.name.label("source"),
            case({"pending": expected.c.ready_at}, value=page.c.state).label("ready_at"),
        )
        .select_from(
            page.join(rule, rule.c.rule_id == page.c.rule_id)
            .join(chain, chain.c.chain_id == page.c.chain_id)
            .outerjoin(waiting_event, waiting_event.c.event_no == page.c.event_no)
            .outerjoin(expected, literal_column("true"))
        )
        .order_by(page.c.event_no.desc() if is_newest_first else page.c.event_no.asc())
    )


_NEWEST_FIRST: Final = event.c.event_no.desc()
_state = bindparam("state", type_=Text)
_source = bindparam("source", type_=Text)

EARNINGS: Final = _shown(
    and_(
        event.c.event_no < bindparam("before", type_=BigInteger),
        or_(_state.is_(None), event.c.state == _state),
        or_(
            _source.is_(None),
            event.c.rule_id
            == select(rule.c.rule_id).where(rule.c.name == _source).scalar_subquery(),
        ),
    ),
    _NEWEST_FIRST,
)
EARNINGS_AFTER: Final = _shown(
    event.c.event_no > bindparam("after", type_=BigInteger), event.c.event_no.asc()
)
EARNINGS_NAMED: Final = _shown(
    event.c.event_no == func.any(bindparam("numbers", type_=ARRAY(BigInteger))),
    event.c.event_no.asc(),
)
