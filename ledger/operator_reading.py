"""What operators read: sources, logs set aside, what operators did, the last audit."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Row,
    Text,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from ledger.asking import bounded, page
from ledger.ids import AccountRef
from ledger.reading import Reading
from ledger.schema import audited, chain, event, operator_act, rule, set_aside

ActKind = Literal["adjustment", "take_back", "link", "unlink", "freeze", "unfreeze", "replay"]

_LIMIT: Final = bindparam("limit", type_=Integer)
_CHAIN: Final = bindparam("chain", type_=Text)
_SOURCE: Final = bindparam("source", type_=Text)
_confirmed: ColumnElement[str] = literal_column("'confirmed'")
_pending: ColumnElement[str] = literal_column("'pending'")

# Counted over all events: operators look at it now and then, programs do not poll it.
_seen = (
    select(
        event.c.rule_id,
        func.count().label("seen"),
        func.count().filter(event.c.state == _pending).label("pending"),
        func.count().filter(event.c.state == _confirmed).label("confirmed"),
        func.coalesce(
            func.sum(event.c.granted).filter(event.c.state == _confirmed), literal_column("0")
        ).label("granted"),
    )
    .group_by(event.c.rule_id)
    .subquery("seen")
)
_aside = (
    select(set_aside.c.rule_id, func.count().label("aside"))
    .group_by(set_aside.c.rule_id)
    .subquery("aside")
)
_SOURCES: Final = (
    select(
        rule.c.name.label("source"),
        chain.c.name.label("chain"),
        *(rule.c[name] for name in ("contract", "event", "from_block", "to_block", "is_left")),
        rule.c.source.label("kind"),
        *(chain.c[name] for name in ("chain_id", "indexed_number", "confirmed_number")),
        func.coalesce(_seen.c.seen, literal_column("0")).label("seen"),
        func.coalesce(_seen.c.pending, literal_column("0")).label("pending"),
        func.coalesce(_seen.c.confirmed, literal_column("0")).label("confirmed"),
        func.coalesce(_seen.c.granted, literal_column("0")).label("granted"),
        func.coalesce(_aside.c.aside, literal_column("0")).label("aside"),
    )
    .join_from(rule, chain, chain.c.chain_id == rule.c.chain_id)
    .outerjoin(_seen, _seen.c.rule_id == rule.c.rule_id)
    .outerjoin(_aside, _aside.c.rule_id == rule.c.rule_id)
    .where(rule.c.rule_id > bindparam("after", type_=Integer))
    .add_columns(rule.c.rule_id)
    .order_by(rule.c.rule_id)
    .limit(_LIMIT)
)
_PLACE: Final = tuple_(
    set_aside.c.chain_id, set_aside.c.tx_hash, set_aside.c.ordinal, set_aside.c.rule_id
)
_SET_ASIDE: Final = (
    select(
        set_aside,
        chain.c.name.label("chain"),
        rule.c.name.label("source"),
        (set_aside.c.block_number <= chain.c.confirmed_number).label("is_final"),
    )
    .join_from(set_aside, chain, chain.c.chain_id == set_aside.c.chain_id)
    .join(rule, rule.c.rule_id == set_aside.c.rule_id)
    .where(
        tuple_(
            bindparam("after_chain", type_=BigInteger),
            bindparam("after_tx", type_=LargeBinary),
            bindparam("after_ordinal", type_=Integer),
            bindparam("after_rule", type_=Integer),
        )
        < _PLACE,
        or_(_CHAIN.is_(None), chain.c.name == _CHAIN),
        or_(_SOURCE.is_(None), rule.c.name == _SOURCE),
    )
    .order_by(set_aside.c.chain_id, set_aside.c.tx_hash, set_aside.c.ordinal, set_aside.c.rule_id)
    .limit(_LIMIT)
)
_ACTS: Final = (
    select(operator_act, rule.c.name.label("source"))
    .outerjoin(rule, rule.c.rule_id == operator_act.c.rule_id)
    .where(operator_act.c.act_no < bindparam("before", type_=BigInteger))
    .order_by(operator_act.c.act_no.desc())
    .limit(_LIMIT)
)
_AUDITED: Final = select(audited.c.at, audited.c.breaches, audited.c.said)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source: what it follows, how far, and what came of it. Amounts are micro-credits."""

    rule_id: int
    source: str
    kind: Literal["mining", "staking"]
    chain: str
    chain_id: int
    contract: bytes
    event: str
    from_block: int
    to_block: int | None
    is_left: bool
    indexed_number: int
    confirmed_number: int
    seen: int
    pending: int
    confirmed: int
    granted: int
    aside: int


@dataclass(frozen=True, slots=True)
class AsidePlace:
    """Where a log stands among those set aside: chain, transaction, ordinal and rule."""

    chain_id: int
    tx_hash: bytes
    ordinal: int
    rule_id: int


FIRST_PLACE: Final = AsidePlace(-1, b"", -1, 0)


@dataclass(frozen=True, slots=True)
class SetAsideRow:
    """A log that was set aside, and why."""

    place: AsidePlace
    chain: str
    source: str
    block_number: int
    block_hash: bytes
    log_index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    reason: str
    seen_at: datetime
    is_final: bool


@dataclass(frozen=True, slots=True)
class ActRow:
    """What an operator did, who, by which API key (None: by a command), and why.

    To an `account`; a replay is of the logs of a `source` in blocks `first_block` to `last_block`
    (None: in all from the first on).
    """

    number: int
    kind: ActKind
    account: AccountRef | None
    source: str | None
    first_block: int | None
    last_block: int | None
    entry: int | None
    amount: int | None
    chain_id: int | None
    address: bytes | None
    api_key_id: int | None
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditedRow:
    """What the last audit of all books found: how many breaches, and of which checks."""

    at: datetime
    breaches: int
    said: str


async def sources(reading: Reading, *, after: int, limit: int) -> list[SourceRow]:
    """Return at most `limit` (up to PAGE_MAX) sources, after one by its number."""
    rows = await reading.ask(_SOURCES, {"after": after, "limit": bounded(limit)})
    return [SourceRow(**{**row._asdict(), "granted": int(row.granted)}) for row in rows]


async def logs_set_aside(
    reading: Reading, *, chain: str | None, source: str | None, after: AsidePlace, limit: int
) -> list[SetAsideRow]:
    """Return at most `limit` (up to PAGE_MAX) logs, of one chain or source, or of all."""
    asked = {
        "chain": chain,
        "source": source,
        "limit": bounded(limit),
        "after_chain": after.chain_id,
        "after_tx": after.tx_hash,
        "after_ordinal": after.ordinal,
        "after_rule": after.rule_id,
    }
    return [_aside_row(row) for row in await reading.ask(_SET_ASIDE, asked)]


async def operator_acts(reading: Reading, *, before: int | None, limit: int) -> list[ActRow]:
    """Return at most `limit` (up to PAGE_MAX) of what operators did, newest first."""
    return [
        ActRow(
            number=row.act_no,
            kind=row.kind,
            account=None if row.root_id is None else AccountRef(row.root_id, row.account_id),
            source=row.source,
            first_block=row.first_block,
            last_block=row.last_block,
            entry=row.entry,
            amount=row.amount,
            chain_id=row.chain_id,
            address=row.address,
            api_key_id=row.api_key_id,
            by=row.signed_by,
            reason=row.reason,
            at=row.at,
        )
        for row in await reading.ask(_ACTS, page(before, limit))
    ]


async def last_audit(reading: Reading) -> AuditedRow | None:
    """Return what the last audit of all books found, None if there was none."""
    for row in await reading.ask(_AUDITED, {}):
        return AuditedRow(row.at, row.breaches, row.said)
    return None


def _aside_row(row: Row[Any]) -> SetAsideRow:
    return SetAsideRow(
        place=AsidePlace(row.chain_id, row.tx_hash, row.ordinal, row.rule_id),
        chain=row.chain,
        source=row.source,
        block_number=row.block_number,
        block_hash=row.block_hash,
        log_index=row.log_index,
        address=row.address,
        topics=tuple(row.topics),
        data=row.data,
        reason=row.reason,
        seen_at=row.seen_at,
        is_final=row.is_final,
    )
