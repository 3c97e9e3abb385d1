"""The statements of `ledger.account_reading`, each built once.

What an index's condition says is written out as it stands there: a parameter in its place would
hide from a generic plan that the index serves.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Numeric,
    Table,
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

from ledger.kinds import EntryKind
from ledger.requests import BIGINT_MAX
from ledger.rows import APPS_MAX
from ledger.schema import (
    account,
    account_access,
    chain,
    entry,
    event,
    linked_wallet,
    lot,
    operation,
    price,
    reservation,
    rule,
    waiting_event,
    wallet,
)

_BEFORE: Final = bindparam("before", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=Integer)

# The moment of the question, by the database's clock; stable, so that an index can look it up.
_NOW: Final = func.statement_timestamp()


def _of(owned: Table) -> ColumnElement[bool]:
    return and_(
        owned.c.root_id == bindparam("root", type_=BigInteger),
        owned.c.account_id == bindparam("account", type_=BigInteger),
    )


def _kind(kind: EntryKind) -> ColumnElement[bool]:
    return entry.c.kind == literal_column(str(int(kind)))


def _total(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), literal_column("0"))


_PENDING: Final = event.c.state == literal_column("'pending'")
# Each account is looked up by its whole key, however many a planner thinks there are.
_asked = (
    func.unnest(
        bindparam("roots", type_=ARRAY(BigInteger)), bindparam("accounts", type_=ARRAY(BigInteger))
    )
    .table_valued(column("root_id", BigInteger()), column("account_id", BigInteger()))
    .render_derived(name="asked")
)
_found = (
    select(account)
    .where(account.c.root_id == _asked.c.root_id, account.c.account_id == _asked.c.account_id)
    .limit(literal_column("1"))
    .correlate(_asked)
    .lateral("found")
)
# Of the lot that is being burned the account's row says what is left.
_left = case((lot.c.lot_no == _found.c.head_lot, _found.c.head_left), else_=lot.c.remaining)
_out_of_time = (
    select(_total(_left))
    .where(
        lot.c.root_id == _found.c.root_id,
        lot.c.account_id == _found.c.account_id,
        lot.c.remaining > literal_column("0"),
        or_(lot.c.expires_at <= _NOW, lot.c.effective_at > _NOW),
    )
    .correlate(_found)
    .scalar_subquery()
)


_due = (
    func.creditd.pending_of(_found.c.root_id, _found.c.account_id)
    .table_valued(column("credits", Numeric()), column("ready_at", TIMESTAMP(timezone=True)))
    .lateral("due")
)
_pending = (
    select(
        _total(_due.c.credits).label("pending"),
        # Where nobody can say of a part, nobody can say of all.
        case((func.count() == func.count(_due.c.ready_at), func.max(_due.c.ready_at))).label(
            "pending_ready_at"
        ),
    )
    .select_from(_due)
    .lateral("pending_of")
)

_apps = (
    select(account_access.c.app_id)
    .where(
        account_access.c.root_id == _found.c.root_id,
        account_access.c.account_id == _found.c.account_id,
    )
    .limit(literal_column(str(APPS_MAX)))
    .correlate(_found)
)

BALANCES: Final = select(
    _asked.c.root_id,
    _asked.c.account_id,
    (_found.c.available - _out_of_time).label("available"),
    _found.c.held,
    _pending.c.pending,
    _pending.c.pending_ready_at,
    _found.c.debt,
    _found.c.granted,
    _found.c.spent,
    _found.c.seq,
    (_found.c.status != literal_column("'open'")).label("frozen"),
    case(
        (
            _found.c.valid_until < literal_column("'infinity'"),
            func.extract("epoch", _found.c.valid_until - _NOW),
        )
    ).label("holds_seconds"),
    func.array(_apps.scalar_subquery(), type_=ARRAY(Integer)).label("apps"),
).select_from(_asked.join(_found, literal_column("true")).join(_pending, literal_column("true")))

_parts = (
    func.creditd.pending_of(
        bindparam("root", type_=BigInteger), bindparam("account", type_=BigInteger)
    )
    .table_valued(column("credits", Numeric()), column("ready_at", TIMESTAMP(timezone=True)))
    .alias("part")
)
PENDING: Final = select(_parts).order_by(_parts.c.ready_at.asc().nulls_last()).limit(_LIMIT)

# The wallets that earn for the account now (`leads_here`), or whose events it was granted before.
_own = select(
    wallet.c.chain_id, wallet.c.address, wallet.c.linked_root.is_(None).label("leads_here")
).where(_of(wallet))
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
    .where(_of(linked_wallet))
)
_earner = union_all(_own, _linked).subquery("earner")
_OF_WALLET: Final = and_(
    event.c.chain_id == _earner.c.chain_id, event.c.wallet == _earner.c.address
)
# An event that was granted once keeps its account; one that never was goes where its wallet leads.
_EARNED_HERE: Final = or_(
    _of(event), and_(event.c.account_id.is_(None), _earner.c.leads_here, _PENDING)
)

_entries = (
    select(entry)
    .where(_of(entry), entry.c.seq < _BEFORE)
    .order_by(entry.c.seq.desc())
    .limit(_LIMIT)
    .subquery("page")
)


def _priced(asked: FromClause) -> ColumnElement[bool]:
    """Say that a price is the one that an entry names."""
    return and_(
        price.c.operation_id == asked.c.operation_id, price.c.version == asked.c.price_version
    )


# Whose price it is; null: of any model.
_model = func.nullif(price.c.model, literal_column("''")).label("model")

ENTRIES: Final = (
    select(
        *(_entries.c[name] for name in ("seq", "kind", "amount", "available_after", "debt_after")),
        *(_entries.c[name] for name in ("movement", "refers_to", "units", "price_version", "at")),
        operation.c.name.label("operation"),
        _model,
        rule.c.name.label("source"),
        lot.c.cause,
        lot.c.incarnation,
    )
    .select_from(
        _entries.outerjoin(operation, operation.c.operation_id == _entries.c.operation_id)
        .outerjoin(price, _priced(_entries))
        .outerjoin(
            lot,
            and_(
                _entries.c.kind == literal_column(str(int(EntryKind.GRANT))),
                lot.c.root_id == _entries.c.root_id,
                lot.c.account_id == _entries.c.account_id,
                lot.c.lot_no == _entries.c.lot_no,
            ),
        )
        .outerjoin(rule, rule.c.rule_id == lot.c.rule_id)
    )
    .order_by(_entries.c.seq.desc())
)

# Of each wallet the newest ones, so that a page is a page of each and not all there is.
_of_each = (
    select(event)
    .where(_OF_WALLET, _EARNED_HERE, event.c.event_no < _BEFORE)
    .order_by(event.c.event_no.desc())
    .limit(_LIMIT)
    .correlate(_earner)
    .lateral("either")
)
_either = select(_of_each).select_from(_earner.join(_of_each, literal_column("true"))).subquery()
_earnings = select(_either).order_by(_either.c.event_no.desc()).limit(_LIMIT).subquery("page")

EARNINGS: Final = (
    select(
        *(
            _earnings.c[name]
            for name in ("event_no", "chain_id", "tx_hash", "ordinal", "role", "wallet")
        ),
        *(_earnings.c[name] for name in ("block_number", "block_hash", "block_time", "amount")),
        _earnings.c.state,
        _earnings.c.incarnation,
        case(
            {"pending": _earnings.c.credits}, value=_earnings.c.state, else_=_earnings.c.granted
        ).label("credits"),
        case(
            {"reversed": 0},
            value=_earnings.c.state,
            else_=func.greatest(chain.c.head_number - _earnings.c.block_number, 0),
        ).label("confirmations"),
        chain.c.name.label("chain"),
        waiting_event.c.due_number.label("due_block"),
        (
            chain.c.depth
            + func.coalesce(
                waiting_event.c.due_number - _earnings.c.block_number, literal_column("0")
            )
        ).label("confirmations_needed"),
        rule.c.name.label("source"),
    )
    .join_from(_earnings, rule, rule.c.rule_id == _earnings.c.rule_id)
    .join(chain, chain.c.chain_id == _earnings.c.chain_id)
    .outerjoin(waiting_event, waiting_event.c.event_no == _earnings.c.event_no)
    .order_by(_earnings.c.event_no.desc())
)

_leg = entry.alias("leg")
_refunded = (
    select(_total(_leg.c.amount))
    .where(
        _leg.c.root_id == entry.c.root_id,
        _leg.c.account_id == entry.c.account_id,
        _leg.c.refers_to == entry.c.seq,
        _leg.c.kind == literal_column(str(int(EntryKind.REFUND))),
    )
    .scalar_subquery()
)

# A settlement's first entry says what was taken, its reservation's what for.
_asked_for = entry.alias("asked_for")
# Entries of one movement follow one another: it ends where the next one begins.
_later = entry.alias("later")
_next = (
    select(_later.c.seq)
    .where(
        _later.c.root_id == entry.c.root_id,
        _later.c.account_id == entry.c.account_id,
        _later.c.seq > entry.c.seq,
        _later.c.movement != entry.c.movement,
    )
    .order_by(_later.c.seq)
    .limit(literal_column("1"))
    .correlate(entry)
    .scalar_subquery()
)
_last = entry.alias("last")
_available_after = (
    select(_last.c.available_after)
    .where(
        _last.c.root_id == entry.c.root_id,
        _last.c.account_id == entry.c.account_id,
        _last.c.seq < func.coalesce(_next, literal_column(str(BIGINT_MAX))),
    )
    .order_by(_last.c.seq.desc())
    .limit(literal_column("1"))
    .correlate(entry)
    .scalar_subquery()
)

CHARGE: Final = (
    select(
        *(_asked_for.c[name] for name in ("units", "price_version")),
        *(entry.c[name] for name in ("total", "app_id", "at")),
        case({int(EntryKind.SETTLEMENT): entry.c.refers_to}, value=entry.c.kind, else_=None).label(
            "reservation_no"
        ),
        operation.c.name.label("operation"),
        _model,
        _available_after.label("available"),
        _refunded.label("refunded"),
    )
    .select_from(
        entry.join(
            _asked_for,
            and_(
                _asked_for.c.root_id == entry.c.root_id,
                _asked_for.c.account_id == entry.c.account_id,
                _asked_for.c.seq
                == case(
                    {int(EntryKind.SETTLEMENT): entry.c.refers_to},
                    value=entry.c.kind,
                    else_=entry.c.seq,
                ),
            ),
        )
        .join(operation, operation.c.operation_id == _asked_for.c.operation_id)
        .join(price, _priced(_asked_for))
    )
    .where(
        _of(entry),
        entry.c.seq == bindparam("seq", type_=BigInteger),
        entry.c.movement == entry.c.seq,
        or_(_kind(EntryKind.CHARGE), _kind(EntryKind.SETTLEMENT)),
    )
)

RESERVATION: Final = (
    select(
        *(reservation.c[name] for name in ("member_id", "app_id", "amount", "settled")),
        *(reservation.c[name] for name in ("expires_at", "ended_by")),
        case(
            (
                and_(
                    reservation.c.state == literal_column("'open'"),
                    reservation.c.expires_at <= _NOW,
                ),
                literal_column("'expired'"),
            ),
            else_=reservation.c.state,
        ).label("state"),
        *(entry.c[name] for name in ("units", "price_version", "at")),
        operation.c.name.label("operation"),
        _model,
    )
    .select_from(
        reservation.join(
            entry,
            and_(
                entry.c.root_id == reservation.c.root_id,
                entry.c.account_id == reservation.c.account_id,
                entry.c.seq == reservation.c.reservation_no,
            ),
        )
        .join(operation, operation.c.operation_id == entry.c.operation_id)
        .join(price, _priced(entry))
    )
    .where(_of(reservation), reservation.c.reservation_no == bindparam("seq", type_=BigInteger))
)

_past = func.creditd.balance_as_of(
    bindparam("root", type_=BigInteger),
    bindparam("account", type_=BigInteger),
    bindparam("at", type_=TIMESTAMP(timezone=True)),
).table_valued("o_seq", "o_available", "o_held", "o_debt")

BALANCE_AS_OF: Final = select(_past).where(_past.c.o_seq.is_not(None))
