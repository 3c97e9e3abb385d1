"""What operators decide about chains, and how the watchers of these fare."""

import sqlalchemy as sa

from ledger.schema.described import (
    BIGINT,
    BYTES,
    INT,
    TEXT,
    TIME,
    check,
    index,
    key,
    may,
    must,
    table,
)

accepted_reorg = table(
    "accepted_reorg",
    must("chain_id", BIGINT),
    must("number", BIGINT),
    must("left_hash", BYTES),
    must("new_hash", BYTES),
    must("reorgs", BIGINT),
    must("accepted_by", TEXT),
    must("reason", TEXT),
    must("at", TIME),
    key("accepted_reorg_pkey", "chain_id, number, left_hash, new_hash, reorgs"),
    check("accepted_reorg_is_another_block", "left_hash <> new_hash"),
    check("accepted_reorg_is_signed", "length(accepted_by) between 1 and 100"),
    check("accepted_reorg_has_a_reason", "length(reason) between 1 and 500"),
)

operator_act = table(
    "operator_act",
    must("act_no", BIGINT, sa.Identity(always=True)),
    must("kind", TEXT),
    may("root_id", BIGINT),
    may("account_id", BIGINT),
    may("entry", BIGINT),
    may("amount", BIGINT),
    may("chain_id", BIGINT),
    may("address", BYTES),
    may("api_key_id", INT),
    must("signed_by", TEXT),
    must("reason", TEXT),
    must("at", TIME),
    may("rule_id", INT),
    may("first_block", BIGINT),
    may("last_block", BIGINT),
    key("operator_act_pkey", "act_no"),
    check(
        "operator_act_is_known",
        "kind in ('adjustment', 'take_back', 'link', 'unlink', 'freeze', 'unfreeze', 'replay')",
    ),
    check(
        "operator_act_is_about_an_account_or_a_source",
        "kind = 'replay' and num_nulls(rule_id, first_block) = 0"
        " and num_nonnulls(root_id, account_id) = 0"
        " or kind <> 'replay' and num_nulls(root_id, account_id) = 0"
        " and num_nonnulls(rule_id, first_block, last_block) = 0",
    ),
    check("operator_act_is_signed", "length(signed_by) between 1 and 100"),
    check("operator_act_has_a_reason", "length(reason) between 1 and 500"),
    index("operator_act_by_account", "root_id, account_id, act_no"),
)

upstream_status = table(
    "upstream_status",
    must("chain_id", BIGINT),
    must("node", TEXT),
    may("trouble", TEXT),
    must("since", TIME),
    key("upstream_status_pkey", "chain_id, node"),
)

alarm = table(
    "alarm",
    must("chain_id", BIGINT),
    must("kind", TEXT),
    must("said", TEXT),
    must("since", TIME),
    key("alarm_pkey", "chain_id, kind"),
)

rereading = table(
    "rereading",
    sa.Column("chain_id", BIGINT, nullable=False, autoincrement=False),
    must("next_number", BIGINT),
    must("rounds", BIGINT, default="0"),
    may("found", TEXT),
    may("found_first", BIGINT),
    may("found_last", BIGINT),
    key("rereading_pkey", "chain_id"),
)

differing_stake = table(
    "differing_stake",
    must("rule_id", INT),
    must("wallet", BYTES),
    must("block_number", BIGINT),
    must("said", sa.Numeric()),
    must("booked", sa.Numeric()),
    key("differing_stake_pkey", "rule_id, wallet"),
)

audited = table(
    "audited",
    must("one_row", sa.Boolean(), default="true"),
    must("at", TIME),
    must("breaches", INT),
    must("said", TEXT),
    key("audited_pkey", "one_row"),
    check("audited_is_one_row", "one_row"),
)
