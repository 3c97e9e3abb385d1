"""The statements of `ledger.account_reading`, each built once.

What an index's condition says is written out as it stands there: a parameter in its place would
hide from a generic plan that the index serves.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Numeric,
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

from ledger.kinds import EntryKind
from ledger.question_parts import of_asked, total
from ledger.requests import BIGINT_MAX
from ledger.rows import APPS_MAX
from ledger.schema import (
    account,
    account_access,
    consent,
    entry,
    event,
    lot,
    operation,
    price,
    reservation,
    rule,
)

_BEFORE: Final = bindparam("before", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=Integer)
_KINDS: Final = bindparam("kinds", type_=ARRAY(Integer))

# The moment of the question, by the database's clock; stable, so that an index can look it up.
_NOW: Final = func.statement_timestamp()


def _kind(kind: EntryKind) -> ColumnElement[bool]:
    return entry.c.kind == literal_column(str(int(kind)))


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
    select(total(_left))
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
        total(_due.c.credits).label("pending"),
        # Where nobody can say of a part, nobody can say of all.
        case((func.count() == func.count(_due.c.ready_at), func.max(_due.c.ready_at))).label(
            "pending_ready_at"
        ),
    )
    .select_from(_due)
    .lateral("pending_of")
)

_apps = union_all(
    select(account_access.c.app_id)
    .where(
        account_access.c.root_id == _found.c.root_id,
        account_access.c.account_id == _found.c.account_id,
    )
    .correlate(_found),
    select(consent.c.app_id)
    .where(
        consent.c.root_id == _found.c.root_id,
        consent.c.account_id == _found.c.account_id,
        consent.c.withdrawn_at.is_(None),
    )
    .correlate(_found),
).limit(literal_column(str(APPS_MAX)))

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
    (_found.c.reversed + _found.c.owed + _found.c.absorbed).label("taken_back"),
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

_entries = (
    select(entry)
    .where(
        of_asked(entry),
        entry.c.seq < _BEFORE,
        entry.c.seq > bindparam("after", type_=BigInteger),
        or_(_KINDS.is_(None), entry.c.kind == func.any(_KINDS)),
    )
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

_leg = entry.alias("leg")
_refunded = (
    select(total(_leg.c.amount))
    .where(
        _leg.c.root_id == entry.c.root_id,
        _leg.c.account_id == entry.c.account_id,
        _leg.c.refers_to == entry.c.seq,
        _leg.c.kind == literal_column(str(int(EntryKind.REFUND))),
    )
    .scalar_subquery()
)

# A settlement's first entry says what was taken and how much used, its reservation's what for.
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
        _asked_for.c.price_version,
        *(entry.c[name] for name in ("units", "total", "app_id", "at")),
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
        of_asked(entry),
        entry.c.seq == bindparam("seq", type_=BigInteger),
        entry.c.movement == entry.c.seq,
        or_(_kind(EntryKind.CHARGE), _kind(EntryKind.SETTLEMENT)),
    )
)

_ending = entry.alias("ending")

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
        _ending.c.units.label("used"),
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
        .outerjoin(
            _ending,
            and_(
                _ending.c.root_id == reservation.c.root_id,
                _ending.c.account_id == reservation.c.account_id,
                _ending.c.seq == reservation.c.ended_by,
            ),
        )
        .join(operation, operation.c.operation_id == entry.c.operation_id)
        .join(price, _priced(entry))
    )
    .where(
        of_asked(reservation), reservation.c.reservation_no == bindparam("seq", type_=BigInteger)
    )
)

_past = func.creditd.balance_as_of(
    bindparam("root", type_=BigInteger),
    bindparam("account", type_=BigInteger),
    bindparam("at", type_=TIMESTAMP(timezone=True)),
).table_valued("o_seq", "o_available", "o_held", "o_debt")

BALANCE_AS_OF: Final = select(_past).where(_past.c.o_seq.is_not(None))

_window = func.creditd.entries_before(
    bindparam("root", type_=BigInteger),
    bindparam("account", type_=BigInteger),
    bindparam("at", type_=TIMESTAMP(timezone=True)),
)
ENTRIES_BEFORE: Final = select(_window.label("entries"))

_used = (
    func.creditd.usage_of(
        bindparam("root", type_=BigInteger),
        bindparam("account", type_=BigInteger),
        bindparam("by", type_=Text),
        bindparam("after", type_=BigInteger),
        bindparam("to", type_=BigInteger),
    )
    .table_valued(
        column("used_by", Text()),
        column("charges", BigInteger()),
        column("units", Numeric()),
        column("spent", Numeric()),
        column("refunded", Numeric()),
    )
    .alias("used")
)
USAGE: Final = select(_used).order_by(_used.c.used_by.asc().nulls_last()).limit(_LIMIT)
