"""Accounts: who holds credits, by which names and wallets, and who shares them."""

import sqlalchemy as sa

from ledger.schema.described import (
    BIGINT,
    BYTES,
    INT,
    NOW,
    SMALLINT,
    TEXT,
    TIME,
    check,
    index,
    key,
    may,
    must,
    of_account,
    table,
    totals,
)

# Accounts -----------------------------------------------------------------------------------------

account = table(
    "account",
    *of_account(),
    must("kind", TEXT, default="'user'"),
    must("status", TEXT, default="'open'"),
    *totals("available", "held", "debt", "granted", "refunded", "spent", "expired", "reversed"),
    *totals("owed", "repaid", "absorbed", "recovered", "moved", "debt_moved", "line", "seq"),
    may("head_lot", BIGINT),
    *totals("head_left"),
    must("valid_until", TIME, default="'infinity'"),
    must("is_special", sa.Boolean(), default="false"),
    may("alert_below", BIGINT),
    must("head_hash", BYTES),
    must("last_at", TIME, default=NOW),
    must("created_at", TIME, default=NOW),
    key("account_pkey", "root_id, account_id"),
    check("account_kind_is_known", "kind in ('user', 'wallet', 'organisation', 'member')"),
    check("account_status_is_known", "status in ('open', 'frozen', 'indebted', 'closed')"),
    check("balance_is_never_negative", "available >= 0 and held >= 0 and debt >= 0"),
    check(
        "what_came_in_went_out_or_is_here",
        "granted + refunded + moved + line - spent - expired - reversed - repaid - recovered"
        " = available + held",
    ),
    check("debt_is_owed_and_not_yet_repaid", "owed + debt_moved - repaid = debt"),
    check("head_is_within_what_is_available", "head_left between 0 and available"),
    storage={
        "fillfactor": 50,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 2000,
        "autovacuum_vacuum_cost_delay": 0,
    },
)

account_name = table(
    "account_name",
    must("app_id", INT, sa.ForeignKey("creditd.app.app_id", name="account_name_belongs_to_an_app")),
    must("name", TEXT),
    *of_account(),
    must("is_organisation", sa.Boolean(), default="false"),
    key("account_name_pkey", "app_id, name"),
    check("account_name_is_short", "length(name) between 1 and 200"),
    index("organisation_by_name", "app_id, name", where="is_organisation"),
    index("account_name_by_account", "root_id, account_id"),
)

account_access = table(
    "account_access",
    *of_account(),
    must("app_id", INT, sa.ForeignKey("creditd.app.app_id", name="access_belongs_to_an_app")),
    must("created_at", TIME, default=NOW),
    key("account_access_pkey", "root_id, account_id, app_id"),
)

consent = table(
    "consent",
    *of_account(),
    must("consent_no", INT),
    must("app_id", INT, sa.ForeignKey("creditd.app.app_id", name="consent_is_for_an_app")),
    must("may_spend", sa.Boolean()),
    must("given_by", TEXT),
    must("given_at", TIME),
    may("withdrawn_by", TEXT),
    may("withdrawn_at", TIME),
    key("consent_pkey", "root_id, account_id, consent_no"),
    check(
        "consent_is_signed",
        "length(given_by) between 1 and 100 and length(withdrawn_by) between 1 and 100",
    ),
    check("consent_is_withdrawn_whole", "num_nulls(withdrawn_by, withdrawn_at) in (0, 2)"),
    index(
        "consent_stands_once",
        "root_id, account_id, app_id",
        where="withdrawn_at is null",
        unique=True,
    ),
    index("consent_by_app", "app_id, root_id, account_id", where="withdrawn_at is null"),
)

wallet = table(
    "wallet",
    must("chain_id", BIGINT),
    must("address", BYTES),
    *of_account(),
    may("linked_root", BIGINT),
    may("linked_account", BIGINT),
    may("linked_at", TIME),
    must("created_at", TIME, default=NOW),
    key("wallet_pkey", "chain_id, address"),
    check("wallet_address_is_20_bytes", "octet_length(address) = 20"),
    check("wallet_is_linked_whole", "num_nulls(linked_root, linked_account, linked_at) in (0, 3)"),
    index("wallet_by_account", "root_id, account_id", unique=True),
    index("wallet_by_link", "linked_root, linked_account", where="linked_root is not null"),
    index("wallet_by_address", "address"),
)

wallet_link = table(
    "wallet_link",
    must("address", BYTES),
    *of_account(),
    must("linked_at", TIME),
    key("wallet_link_pkey", "address"),
    check("wallet_link_address_is_20_bytes", "octet_length(address) = 20"),
    index("wallet_link_by_account", "root_id, account_id"),
)

member = table(
    "member",
    *of_account(),
    must("name", TEXT),
    must("joined_at", TIME, default=NOW),
    may("left_at", TIME),
    may("moved_root", BIGINT),
    may("moved_account", BIGINT),
    key("member_pkey", "root_id, account_id"),
    check("member_is_not_the_pool", "root_id <> account_id"),
    check("member_name_is_short", "length(name) between 1 and 200"),
    check(
        "member_moves_whole",
        "num_nulls(moved_root, moved_account) in (0, 2)"
        " and (moved_root is null or left_at is not null)",
    ),
    index("member_name_is_one", "root_id, name", unique=True, where="left_at is null"),
)

budget = table(
    "budget",
    *of_account(),
    must("period", TEXT),
    must("amount", BIGINT),
    must("levels", sa.ARRAY(SMALLINT), default="'{}'"),
    may("told_from", sa.Date()),
    must("told_level", SMALLINT, default="0"),
    key("budget_pkey", "root_id, account_id, period"),
    check("budget_period_is_known", "period in ('day', 'week', 'month', 'ever')"),
    check("budget_amount_is_in_range", "amount between 0 and 4000000000000000000"),
    check(
        "budget_levels_are_percents",
        "cardinality(levels) <= 10 and 1 <= all (levels) and 100 >= all (levels)",
    ),
)

budget_use = table(
    "budget_use",
    *of_account(),
    must("day", sa.Date()),
    must("used", BIGINT),
    key("budget_use_pkey", "root_id, account_id, day"),
    check("budget_use_is_never_negative", "used >= 0"),
    storage={"fillfactor": 50},
)

overdraft = table(
    "overdraft",
    *of_account(),
    must("lot_no", BIGINT),
    must("amount", BIGINT),
    key("overdraft_pkey", "root_id, account_id"),
    check("overdraft_amount_is_in_range", "amount between 0 and 1000000000000000000"),
)

status_change = table(
    "status_change",
    *of_account(),
    must("change_no", BIGINT),
    must("status", TEXT),
    must("changed_by", TEXT),
    must("reason", TEXT),
    must("at", TIME),
    key("status_change_pkey", "root_id, account_id, change_no"),
    check("status_change_is_known", "status in ('open', 'frozen')"),
    check("status_change_is_signed", "length(changed_by) between 1 and 100"),
    check("status_change_has_a_reason", "length(reason) between 1 and 500"),
)

linked_wallet = table(
    "linked_wallet",
    *of_account(),
    must("chain_id", BIGINT),
    must("address", BYTES),
    key("linked_wallet_pkey", "root_id, account_id, chain_id, address"),
)
