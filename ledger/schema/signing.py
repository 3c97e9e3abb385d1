"""Signing in by a wallet, and what wallets were linked by."""

import sqlalchemy as sa

from ledger.schema.described import (
    BIGINT,
    BYTES,
    INT,
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
)

challenge = table(
    "challenge",
    must("digest", BYTES),
    must("challenge_no", BIGINT, sa.Identity(always=True)),
    must("purpose", TEXT),
    must("chain_id", BIGINT),
    must("address", BYTES),
    may("app_id", INT),
    may("root_id", BIGINT),
    may("account_id", BIGINT),
    must("tries", SMALLINT, default="0"),
    must("expires_at", TIME),
    key("challenge_pkey", "digest"),
    check("challenge_digest_is_sha256", "octet_length(digest) = 32"),
    check("challenge_address_is_20_bytes", "octet_length(address) = 20"),
    check("challenge_purpose_is_known", "purpose in ('sign_in', 'link')"),
    check(
        "challenge_of_a_link_names_its_account",
        "num_nulls(app_id, root_id, account_id) in (0, 3)"
        " and (purpose = 'link') = (account_id is not null)",
    ),
    index("challenge_by_age", "challenge_no", unique=True),
)

sign_in = table(
    "sign_in",
    must("digest", BYTES),
    *of_account(),
    must("chain_id", BIGINT),
    must("address", BYTES),
    must("created_at", TIME),
    must("seen_at", TIME),
    must("ends_at", TIME),
    may("ended_at", TIME),
    key("sign_in_pkey", "digest"),
    check("sign_in_digest_is_sha256", "octet_length(digest) = 32"),
    check("sign_in_address_is_20_bytes", "octet_length(address) = 20"),
    check("sign_in_ends_later", "created_at <= seen_at and created_at < ends_at"),
    index("sign_in_by_account", "root_id, account_id, created_at"),
    index("sign_in_by_end", "ends_at"),
)

wallet_proof = table(
    "wallet_proof",
    *of_account(),
    must("proof_no", BIGINT, sa.Identity(always=True)),
    must("app_id", INT),
    may("chain_id", BIGINT),
    must("address", BYTES),
    must("message", TEXT),
    must("signature", BYTES),
    must("linked_at", TIME),
    key("wallet_proof_pkey", "root_id, account_id, proof_no"),
    check("wallet_proof_address_is_20_bytes", "octet_length(address) = 20"),
    index("wallet_proof_by_address", "address"),
)
