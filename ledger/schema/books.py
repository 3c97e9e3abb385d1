"""The books: lots, entries, reservations, prices, and what caps have let through."""

import sqlalchemy as sa

from ledger.schema.described import (
    BIGINT,
    BIGINTS,
    BYTES,
    INT,
    NOW,
    SMALLINT,
    TEXT,
    TIME,
    UUID,
    check,
    index,
    key,
    may,
    must,
    of_account,
    one,
    table,
    totals,
)

# The books ----------------------------------------------------------------------------------------

lot = table(
    "lot",
    *of_account(),
    must("lot_no", BIGINT),
    must("source", TEXT),
    may("rule_id", INT),
    may("cause", BYTES),
    may("incarnation", INT),
    may("reason", TEXT),
    must("amount", BIGINT),
    must("remaining", BIGINT),
    *totals("held", "expired", "reversed", "moved", "absorbed"),
    must("priority", SMALLINT, default="100"),
    must("effective_at", TIME, default="'-infinity'"),
    must("expires_at", TIME, default="'infinity'"),
    may("operations", sa.ARRAY(INT)),
    may("cap_day", sa.Date()),
    may("origin_root", BIGINT),
    may("origin_account", BIGINT),
    may("origin_lot", BIGINT),
    must("state", TEXT, default="'live'"),
    must("created_at", TIME),
    key("lot_pkey", "root_id, account_id, lot_no"),
    check(
        "lot_source_is_known",
        "source in ('mining', 'staking', 'purchased', 'promotional', 'refund', 'plan',"
        " 'adjustment', 'overdraft')",
    ),
    check("lot_state_is_known", "state in ('live', 'reversed')"),
    check("lot_amount_is_positive", "amount > 0 or (amount = 0 and source = 'overdraft')"),
    check(
        "lot_is_never_overdrawn",
        "least(remaining, held, expired, reversed, moved, absorbed) >= 0"
        " and remaining + held + expired + reversed + moved <= amount",
    ),
    check("lot_lives_before_it_ends", "effective_at < expires_at"),
    check(
        "moved_lot_has_its_origin", "num_nulls(origin_root, origin_account, origin_lot) in (0, 3)"
    ),
    check("reversed_lot_has_nothing_left", "state = 'live' or remaining = 0"),
    index(
        "lot_burn_order",
        "root_id, account_id, priority, expires_at, lot_no",
        where="remaining > 0",
    ),
    index(
        "lot_by_origin",
        "origin_root, origin_account, origin_lot",
        where="origin_root is not null",
    ),
    storage={"fillfactor": 70},
)

entry_kind = table(
    "entry_kind",
    sa.Column("kind", SMALLINT, nullable=False, autoincrement=False),
    must("name", TEXT),
    must("from_side", TEXT),
    must("to_side", TEXT),
    key("entry_kind_pkey", "kind"),
    one("entry_kind_name_is_one", "name"),
    check("entry_kind_sides_differ", "from_side <> to_side"),
)

entry = table(
    "entry",
    *of_account(),
    must("seq", BIGINT),
    must("kind", SMALLINT),
    must("amount", BIGINT),
    must("available_after", BIGINT),
    must("held_after", BIGINT),
    must("debt_after", BIGINT),
    may("lot_no", BIGINT),
    must("movement", BIGINT),
    may("total", BIGINT),
    may("refers_to", BIGINT),
    may("peer_root", BIGINT),
    may("peer_account", BIGINT),
    may("member_id", BIGINT),
    may("app_id", INT),
    may("key_hash", UUID),
    may("request_hash", UUID),
    may("operation_id", INT),
    may("units", BIGINT),
    may("price_version", INT),
    must("at", TIME),
    must("hash", BYTES),
    may("api_key_id", INT),
    key("entry_pkey", "root_id, account_id, seq"),
    check("entry_amount_is_positive", "amount > 0 or (amount = 0 and kind in (2, 8, 9))"),
    check("entry_names_its_lot", "lot_no is not null or amount = 0 or kind in (15, 16)"),
    check("key_says_what_it_asked", "(key_hash is null) = (request_hash is null)"),
    check(
        "entry_leaves_no_negative_balance", "least(available_after, held_after, debt_after) >= 0"
    ),
    index("one_key_one_movement", "root_id, key_hash", unique=True, where="key_hash is not null"),
    index("entry_by_charge", "root_id, account_id, refers_to", where="refers_to is not null"),
    storage={"autovacuum_vacuum_insert_scale_factor": 0.05},
)

reservation = table(
    "reservation",
    *of_account(),
    must("reservation_no", BIGINT),
    may("member_id", BIGINT),
    must("app_id", INT),
    must("amount", BIGINT),
    must("over_max", BIGINT),
    must("minimum", BIGINT),
    must("state", TEXT, default="'open'"),
    may("settled", BIGINT),
    must("expires_at", TIME),
    may("ended_by", BIGINT),
    must("created_at", TIME),
    key("reservation_pkey", "root_id, account_id, reservation_no"),
    check("reservation_state_is_known", "state in ('open', 'settled', 'released', 'expired')"),
    check(
        "reservation_takes_within_its_bounds",
        "amount >= 0 and over_max >= 0 and minimum between 0 and amount"
        " and settled between 0 and amount + over_max",
    ),
    check("ended_reservation_says_how", "state = 'open' or settled is not null"),
    index("reservation_open", "root_id, account_id, expires_at", where="state = 'open'"),
    index("reservation_due", "expires_at", where="state = 'open'"),
)

cap_use = table(
    "cap_use",
    *of_account(),
    must("rule_id", INT),
    must("day", sa.Date()),
    must("granted", BIGINT),
    key("cap_use_pkey", "root_id, account_id, rule_id, day"),
    check("cap_use_is_never_negative", "granted >= 0"),
)

charge_cause = table(
    "charge_cause",
    *of_account(),
    must("seq", BIGINT),
    must("granted", BIGINT),
    *totals("unbacked"),
    key("charge_cause_pkey", "root_id, account_id, seq"),
    check("charge_cause_is_never_negative", "granted >= 0"),
    check("charge_cause_unbacked_is_never_negative", "unbacked >= 0"),
    index("charge_cause_unbacked", "root_id, account_id", where="unbacked > 0"),
)

rule_use = table(
    "rule_use",
    must("rule_id", INT),
    must("day", sa.Date()),
    must("granted", BIGINT),
    key("rule_use_pkey", "rule_id, day"),
    check("rule_use_is_never_negative", "granted >= 0"),
)

# Prices -------------------------------------------------------------------------------------------

operation = table(
    "operation",
    must("operation_id", INT, sa.Identity(always=True)),
    must("name", TEXT),
    key("operation_pkey", "operation_id"),
    one("operation_name_is_one", "name"),
    check("operation_name_is_short", "length(name) between 1 and 100"),
)

price = table(
    "price",
    must(
        "operation_id",
        INT,
        sa.ForeignKey("creditd.operation.operation_id", name="price_belongs_to_an_operation"),
    ),
    must("version", INT),
    must("base", BIGINT),
    must("per_unit", BIGINT),
    must("unit", TEXT),
    must("effective_at", TIME, default=NOW),
    must("model", TEXT, default="''"),
    must("tier_above", BIGINTS, default="'{}'"),
    must("tier_per_unit", BIGINTS, default="'{}'"),
    must("ends_at", TIME, default="'infinity'"),
    key("price_pkey", "operation_id, version"),
    check("price_is_never_negative", "base >= 0 and per_unit >= 0"),
    check("price_model_is_short", "length(model) <= 100"),
    check("price_ends_after_it_begins", "ends_at >= effective_at"),
    check(
        "price_tiers_are_whole",
        "cardinality(tier_above) = cardinality(tier_per_unit) and 0 < all (tier_above)"
        " and 0 <= all (tier_per_unit)",
    ),
    index("price_by_model", "operation_id, model, ends_at"),
)

release = table(
    "release",
    must("one_row", sa.Boolean(), default="true"),
    must("functions", TEXT),
    must("applied_at", TIME, default=NOW),
    key("release_pkey", "one_row"),
    check("release_is_one_row", "one_row"),
)
