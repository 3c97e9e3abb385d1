"""Apps, and the API keys of apps, people and operators: what each may do, and what it did."""

import sqlalchemy as sa

from ledger.schema.described import (
    BIGINT,
    BYTES,
    INT,
    NOW,
    TEXT,
    TIME,
    UUID,
    check,
    index,
    key,
    may,
    must,
    one,
    table,
    totals,
)

app = table(
    "app",
    must("app_id", INT, sa.Identity(always=True)),
    must("name", TEXT),
    must("created_at", TIME, default=NOW),
    key("app_pkey", "app_id"),
    one("app_name_is_free", "name"),
    check("app_name_is_short", "length(name) between 1 and 100"),
)

api_key = table(
    "api_key",
    must("key_id", INT, sa.Identity(always=True)),
    must("app_id", INT, sa.ForeignKey("creditd.app.app_id", name="api_key_belongs_to_an_app")),
    must("digest", BYTES),
    must("hint", TEXT),
    must("scopes", sa.ARRAY(TEXT)),
    must("created_at", TIME, default=NOW),
    may("expires_at", TIME),
    may("revoked_at", TIME),
    must("kind", TEXT, default="'app'"),
    may("root_id", BIGINT),
    may("account_id", BIGINT),
    may("operations", sa.ARRAY(TEXT)),
    must("family", INT),
    may("replaced_by", INT),
    may("made_by", INT),
    may("rate_requests", INT),
    may("rate_seconds", INT),
    may("made_under", UUID),
    may("made_asked", UUID),
    key("api_key_pkey", "key_id"),
    one("api_key_digest_is_one_key", "digest"),
    check("api_key_digest_is_sha256", "octet_length(digest) = 32"),
    check("api_key_kind_is_known", "kind in ('app', 'personal', 'operator')"),
    check(
        "personal_api_key_has_its_account",
        "num_nulls(root_id, account_id) in (0, 2)"
        " and (kind = 'personal') = (account_id is not null)",
    ),
    check(
        "api_key_rate_is_in_range",
        "num_nulls(rate_requests, rate_seconds) in (0, 2)"
        " and rate_requests between 1 and 1000000 and rate_seconds between 1 and 86400",
    ),
    check("api_key_says_what_it_was_asked_for", "(made_under is null) = (made_asked is null)"),
    index("api_key_is_made_once", "made_under", unique=True, where="made_under is not null"),
    index("api_key_by_account", "root_id, account_id", where="root_id is not null"),
    index("api_key_by_app", "app_id, key_id"),
)

capped_api_key = table(
    "capped_api_key",
    sa.Column("key_id", INT, nullable=False, autoincrement=False),
    must("family", INT),
    key("capped_api_key_pkey", "key_id"),
)

api_key_cap = table(
    "api_key_cap",
    must("family", INT),
    must("period", TEXT),
    must("amount", BIGINT),
    must("begins", sa.Date(), default="'-infinity'"),
    *totals("used"),
    key("api_key_cap_pkey", "family, period"),
    check("api_key_cap_period_is_known", "period in ('day', 'week', 'month', 'ever')"),
    check("api_key_cap_amount_is_in_range", "amount between 0 and 4000000000000000000"),
    check("api_key_cap_is_never_negative", "used >= 0"),
    storage={"fillfactor": 50},
)

api_key_cap_note = table(
    "api_key_cap_note",
    must("note_no", BIGINT, sa.Identity(always=True)),
    must("family", INT),
    must("at", TIME),
    must("amount", BIGINT),
    key("api_key_cap_note_pkey", "note_no"),
    index("api_key_cap_note_by_family", "family"),
)

api_key_use = table(
    "api_key_use",
    must("key_id", INT),
    must("day", sa.Date()),
    must("slot", INT),
    *totals("charges", "spent", "refunded"),
    must("last_at", TIME),
    key("api_key_use_pkey", "key_id, day, slot"),
    check("api_key_use_is_never_negative", "charges >= 0 and spent >= 0 and refunded >= 0"),
    storage={"fillfactor": 50},
)
