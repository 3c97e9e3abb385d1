"""The tables of the books, described for reading them.

The migrations make the tables and the functions write them; a test proves that this description
and the newest migration are the same to the letter. Amounts are micro-credits.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

metadata: Final = sa.MetaData(schema="creditd")

# Types made once: a table names dozens of them.
_INT = sa.Integer()
_BIGINT = sa.BigInteger()
_SMALLINT = sa.SmallInteger()
_TEXT = sa.Text()
_BYTES = sa.LargeBinary()
_TIME = TIMESTAMP(timezone=True)
_UUID = sa.Uuid()
_NOW = "clock_timestamp()"


def _must(
    name: str,
    type_: TypeEngine[Any],
    *args: sa.ForeignKey | sa.Identity,
    default: str | None = None,
) -> sa.Column[Any]:
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, type_, *args, nullable=False, server_default=server_default)


def _may(name: str, type_: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=True)


def _account() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return _must("root_id", _BIGINT), _must("account_id", _BIGINT)


def _totals(*names: str) -> list[sa.Column[Any]]:
    return [_must(name, _BIGINT, default="0") for name in names]


def _key(name: str, columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns.split(", "), name=name)


def _one(name: str, columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns.split(", "), name=name)


def _index(name: str, columns: str, *, where: str | None = None, unique: bool = False) -> sa.Index:
    condition = None if where is None else sa.text(where)
    return sa.Index(name, *columns.split(", "), unique=unique, postgresql_where=condition)


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=name)


def _table(name: str, *parts: SchemaItem, storage: Mapping[str, float] | None = None) -> sa.Table:
    return sa.Table(name, metadata, *parts, postgresql_with=storage)


# Apps and their API keys --------------------------------------------------------------------------

app = _table(
    "app",
    _must("app_id", _INT, sa.Identity(always=True)),
    _must("name", _TEXT),
    _must("created_at", _TIME, default=_NOW),
    _key("app_pkey", "app_id"),
    _one("app_name_is_free", "name"),
    _check("app_name_is_short", "length(name) between 1 and 100"),
)

api_key = _table(
    "api_key",
    _must("key_id", _INT, sa.Identity(always=True)),
    _must("app_id", _INT, sa.ForeignKey("creditd.app.app_id", name="api_key_belongs_to_an_app")),
    _must("digest", _BYTES),
    _must("hint", _TEXT),
    _must("scopes", sa.ARRAY(_TEXT)),
    _must("created_at", _TIME, default=_NOW),
    _may("expires_at", _TIME),
    _may("revoked_at", _TIME),
    _key("api_key_pkey", "key_id"),
    _one("api_key_digest_is_one_key", "digest"),
    _check("api_key_digest_is_sha256", "octet_length(digest) = 32"),
)

# Accounts -----------------------------------------------------------------------------------------

account = _table(
    "account",
    *_account(),
    _must("status", _TEXT, default="'open'"),
    *_totals("available", "held", "debt", "granted", "refunded", "spent"),
    *_totals("expired", "reversed", "owed", "repaid", "seq"),
    _must("next_expiry", _TIME, default="'infinity'"),
    _must("head_hash", _BYTES),
    _must("last_at", _TIME, default=_NOW),
    _must("created_at", _TIME, default=_NOW),
    _key("account_pkey", "root_id, account_id"),
    _check("account_status_is_known", "status in ('open', 'frozen')"),
    _check("balance_is_never_negative", "available >= 0 and held >= 0 and debt >= 0"),
    _check(
        "what_came_in_went_out_or_is_here",
        "granted + refunded - spent - expired - reversed - repaid = available + held",
    ),
    _check("debt_is_owed_and_not_yet_repaid", "owed - repaid = debt"),
    storage={
        "fillfactor": 50,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 2000,
    },
)

account_name = _table(
    "account_name",
    _must(
        "app_id", _INT, sa.ForeignKey("creditd.app.app_id", name="account_name_belongs_to_an_app")
    ),
    _must("name", _TEXT),
    *_account(),
    _key("account_name_pkey", "app_id, name"),
    _check("account_name_is_short", "length(name) between 1 and 200"),
)

account_access = _table(
    "account_access",
    *_account(),
    _must("app_id", _INT, sa.ForeignKey("creditd.app.app_id", name="access_belongs_to_an_app")),
    _must("created_at", _TIME, default=_NOW),
    _key("account_access_pkey", "root_id, account_id, app_id"),
)

wallet = _table(
    "wallet",
    _must("chain_id", _BIGINT),
    _must("address", _BYTES),
    *_account(),
    _must("created_at", _TIME, default=_NOW),
    _key("wallet_pkey", "chain_id, address"),
    _check("wallet_address_is_20_bytes", "octet_length(address) = 20"),
    _index("wallet_by_account", "root_id, account_id"),
)

# The books ----------------------------------------------------------------------------------------

lot = _table(
    "lot",
    *_account(),
    _must("lot_no", _BIGINT),
    _must("source", _TEXT),
    _may("rule_id", _INT),
    _must("cause", _BYTES),
    _must("incarnation", _INT),
    _must("amount", _BIGINT),
    _must("remaining", _BIGINT),
    *_totals("expired", "reversed"),
    _may("cap_day", sa.Date()),
    _must("expires_at", _TIME, default="'infinity'"),
    _must("state", _TEXT, default="'live'"),
    _must("created_at", _TIME),
    _key("lot_pkey", "root_id, account_id, lot_no"),
    _check("lot_source_is_known", "source in ('chain', 'refund')"),
    _check("lot_state_is_known", "state in ('live', 'reversed')"),
    _check("lot_amount_is_positive", "amount > 0"),
    _check(
        "lot_is_never_overdrawn",
        "remaining >= 0 and expired >= 0 and reversed >= 0"
        " and remaining + expired + reversed <= amount",
    ),
    _check("reversed_lot_has_nothing_left", "state = 'live' or remaining = 0"),
    _index("one_cause_one_lot", "root_id, account_id, rule_id, cause, incarnation", unique=True),
    _index("lot_burn_order", "root_id, account_id, expires_at, lot_no", where="remaining > 0"),
)

entry_kind = _table(
    "entry_kind",
    sa.Column("kind", _SMALLINT, nullable=False, autoincrement=False),
    _must("name", _TEXT),
    _must("from_side", _TEXT),
    _must("to_side", _TEXT),
    _key("entry_kind_pkey", "kind"),
    _one("entry_kind_name_is_one", "name"),
    _check("entry_kind_sides_differ", "from_side <> to_side"),
)

entry = _table(
    "entry",
    *_account(),
    _must("seq", _BIGINT),
    _must("kind", _SMALLINT),
    _must("amount", _BIGINT),
    _must("available_after", _BIGINT),
    _must("debt_after", _BIGINT),
    _may("lot_no", _BIGINT),
    _must("movement", _BIGINT),
    _may("total", _BIGINT),
    _may("refers_to", _BIGINT),
    _may("app_id", _INT),
    _may("key_hash", _UUID),
    _may("request_hash", _UUID),
    _may("operation_id", _INT),
    _may("units", _BIGINT),
    _may("price_version", _INT),
    _must("at", _TIME),
    _must("hash", _BYTES),
    _key("entry_pkey", "root_id, account_id, seq"),
    _check("entry_amount_is_positive", "amount > 0 or (amount = 0 and kind = 2)"),
    _check("entry_names_its_lot", "lot_no is not null or amount = 0"),
    _check(
        "charge_and_refund_have_their_key",
        "total is null or (app_id is not null and key_hash is not null"
        " and request_hash is not null)",
    ),
    _check("entry_leaves_no_negative_balance", "available_after >= 0 and debt_after >= 0"),
    _index(
        "one_key_one_movement",
        "root_id, account_id, app_id, key_hash",
        unique=True,
        where="key_hash is not null",
    ),
    _index("entry_by_charge", "root_id, account_id, refers_to", where="refers_to is not null"),
    storage={"autovacuum_vacuum_insert_scale_factor": 0.05},
)

cap_use = _table(
    "cap_use",
    *_account(),
    _must("rule_id", _INT),
    _must("day", sa.Date()),
    _must("granted", _BIGINT),
    _key("cap_use_pkey", "root_id, account_id, rule_id, day"),
    _check("cap_use_is_never_negative", "granted >= 0"),
)

# Prices -------------------------------------------------------------------------------------------

operation = _table(
    "operation",
    _must("operation_id", _INT, sa.Identity(always=True)),
    _must("name", _TEXT),
    _key("operation_pkey", "operation_id"),
    _one("operation_name_is_one", "name"),
    _check("operation_name_is_short", "length(name) between 1 and 100"),
)

price = _table(
    "price",
    _must(
        "operation_id",
        _INT,
        sa.ForeignKey("creditd.operation.operation_id", name="price_belongs_to_an_operation"),
    ),
    _must("version", _INT),
    _must("base", _BIGINT),
    _must("per_unit", _BIGINT),
    _must("unit", _TEXT),
    _must("effective_at", _TIME, default=_NOW),
    _key("price_pkey", "operation_id, version"),
    _check("price_is_never_negative", "base >= 0 and per_unit >= 0"),
)

# Chains -------------------------------------------------------------------------------------------

chain = _table(
    "chain",
    sa.Column("chain_id", _BIGINT, nullable=False, autoincrement=False),
    _must("name", _TEXT),
    _must("genesis", _BYTES),
    _must("epoch", _BIGINT, default="0"),
    _must("leader", _TEXT, default="''"),
    _must("leader_seen_at", _TIME, default=_NOW),
    _must("state", _TEXT, default="'syncing'"),
    _may("reason", _TEXT),
    _may("depth", _INT),
    _must("head_number", _BIGINT),
    _must("indexed_number", _BIGINT),
    _must("indexed_hash", _BYTES),
    _may("indexed_time", _TIME),
    _must("confirmed_number", _BIGINT),
    _must("confirmed_hash", _BYTES),
    _may("confirmed_time", _TIME),
    _must("reorgs", _BIGINT, default="0"),
    _may("last_reorg_at", _TIME),
    _may("last_reorg_depth", _BIGINT),
    _key("chain_pkey", "chain_id"),
    _one("chain_name_is_one", "name"),
    _check("chain_state_is_known", "state in ('syncing', 'following', 'halted')"),
    _check("halted_chain_says_why", "state <> 'halted' or reason is not null"),
    _check("confirmed_is_indexed", "confirmed_number <= indexed_number"),
)

block = _table(
    "block",
    _must("chain_id", _BIGINT),
    _must("number", _BIGINT),
    _must("hash", _BYTES),
    _must("parent", _BYTES),
    _must("time", _TIME),
    _key("one_block_per_height", "chain_id, number"),
    _check("block_hash_is_32_bytes", "octet_length(hash) = 32"),
)

rule = _table(
    "rule",
    _must("rule_id", _INT, sa.Identity(always=True)),
    _must("name", _TEXT),
    _must("chain_id", _BIGINT),
    _must("contract", _BYTES),
    _must("event", _TEXT),
    _must("from_block", _BIGINT),
    _may("to_block", _BIGINT),
    _may("cap_account", _BIGINT),
    _may("cap_account_day", _BIGINT),
    _may("expires_days", _INT),
    _key("rule_pkey", "rule_id"),
    _one("rule_name_is_one", "name"),
)

event = _table(
    "event",
    _must("event_no", _BIGINT, sa.Identity(always=True)),
    _must("chain_id", _BIGINT),
    _must("tx_hash", _BYTES),
    _must("ordinal", _INT),
    _must("role", _SMALLINT, default="0"),
    _must("rule_id", _INT, sa.ForeignKey("creditd.rule.rule_id", name="event_earns_by_a_rule")),
    _must("block_number", _BIGINT),
    _must("block_hash", _BYTES),
    _must("block_time", _TIME),
    _must("log_index", _INT),
    _must("wallet", _BYTES),
    _must("amount", sa.Numeric(78, 0)),
    _must("credits", _BIGINT),
    _must("state", _TEXT, default="'pending'"),
    _must("incarnation", _INT, default="1"),
    _may("root_id", _BIGINT),
    _may("account_id", _BIGINT),
    _may("lot_no", _BIGINT),
    _may("granted", _BIGINT),
    _key("event_pkey", "event_no"),
    _one("event_is_seen_once", "chain_id, tx_hash, ordinal, role"),
    _check("event_state_is_known", "state in ('pending', 'confirmed', 'reversed')"),
    _check("event_amount_is_uint256", "amount >= 0"),
    _check("event_credits_are_not_negative", "credits >= 0"),
    _index("event_by_block", "chain_id, block_number"),
    _index("event_pending", "chain_id, block_number", where="state = 'pending'"),
    _index("event_ungranted", "chain_id, wallet, event_no", where="account_id is null"),
    _index(
        "event_pending_again",
        "root_id, account_id",
        where="state = 'pending' and account_id is not null",
    ),
    _index("event_by_account", "root_id, account_id, event_no", where="account_id is not null"),
)

set_aside = _table(
    "set_aside",
    _must("chain_id", _BIGINT),
    _must("tx_hash", _BYTES),
    _must("ordinal", _INT),
    _must("block_number", _BIGINT),
    _must("block_hash", _BYTES),
    _must("log_index", _INT),
    _must("rule_id", _INT),
    _must("address", _BYTES),
    _must("topics", sa.ARRAY(_BYTES)),
    _must("data", _BYTES),
    _must("reason", _TEXT),
    _must("seen_at", _TIME, default=_NOW),
    _key("set_aside_pkey", "chain_id, tx_hash, ordinal, rule_id"),
    _index("set_aside_by_block", "chain_id, block_number"),
)

release = _table(
    "release",
    _must("one_row", sa.Boolean(), default="true"),
    _must("functions", _TEXT),
    _must("applied_at", _TIME, default=_NOW),
    _key("release_pkey", "one_row"),
    _check("release_is_one_row", "one_row"),
)
