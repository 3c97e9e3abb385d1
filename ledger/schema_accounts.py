"""The tables of links, organisations and overdrafts, described for reading them."""

import sqlalchemy as sa

from ledger.schema import (
    _BIGINT,
    _BYTES,
    _NOW,
    _SMALLINT,
    _TEXT,
    _TIME,
    _account,
    _check,
    _index,
    _key,
    _may,
    _must,
    _table,
    wallet,
)

sa.Index("wallet_by_address", wallet.c.address)

wallet_link = _table(
    "wallet_link",
    _must("address", _BYTES),
    *_account(),
    _must("linked_at", _TIME),
    _key("wallet_link_pkey", "address"),
    _check("wallet_link_address_is_20_bytes", "octet_length(address) = 20"),
    _index("wallet_link_by_account", "root_id, account_id"),
)

member = _table(
    "member",
    *_account(),
    _must("name", _TEXT),
    _must("joined_at", _TIME, default=_NOW),
    _may("left_at", _TIME),
    _may("moved_root", _BIGINT),
    _may("moved_account", _BIGINT),
    _key("member_pkey", "root_id, account_id"),
    _check("member_is_not_the_pool", "root_id <> account_id"),
    _check("member_name_is_short", "length(name) between 1 and 200"),
    _check(
        "member_moves_whole",
        "num_nulls(moved_root, moved_account) in (0, 2)"
        " and (moved_root is null or left_at is not null)",
    ),
    _index("member_name_is_one", "root_id, name", unique=True, where="left_at is null"),
)

budget = _table(
    "budget",
    *_account(),
    _must("period", _TEXT),
    _must("amount", _BIGINT),
    _must("levels", sa.ARRAY(_SMALLINT), default="'{}'"),
    _may("told_from", sa.Date()),
    _must("told_level", _SMALLINT, default="0"),
    _key("budget_pkey", "root_id, account_id, period"),
    _check("budget_period_is_known", "period in ('day', 'week', 'month', 'ever')"),
    _check("budget_amount_is_in_range", "amount between 0 and 4000000000000000000"),
    _check(
        "budget_levels_are_percents",
        "cardinality(levels) <= 10 and 1 <= all (levels) and 100 >= all (levels)",
    ),
)

budget_use = _table(
    "budget_use",
    *_account(),
    _must("day", sa.Date()),
    _must("used", _BIGINT),
    _key("budget_use_pkey", "root_id, account_id, day"),
    _check("budget_use_is_never_negative", "used >= 0"),
    storage={"fillfactor": 50},
)

overdraft = _table(
    "overdraft",
    *_account(),
    _must("lot_no", _BIGINT),
    _must("amount", _BIGINT),
    _key("overdraft_pkey", "root_id, account_id"),
    _check("overdraft_amount_is_in_range", "amount between 0 and 1000000000000000000"),
)
