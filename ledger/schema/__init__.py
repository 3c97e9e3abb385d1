"""The tables of the books, described for reading them.

The migrations make the tables and the functions write them; a test proves that this description
and the newest migration are the same to the letter. Amounts are micro-credits.
"""

from ledger.schema.accounts import (
    account,
    account_access,
    account_name,
    budget,
    budget_use,
    consent,
    linked_wallet,
    member,
    overdraft,
    status_change,
    wallet,
    wallet_link,
)
from ledger.schema.api_keys import (
    api_key,
    api_key_cap,
    api_key_cap_note,
    api_key_use,
    app,
    capped_api_key,
)
from ledger.schema.books import (
    cap_use,
    charge_cause,
    entry,
    entry_kind,
    lot,
    operation,
    price,
    release,
    reservation,
    rule_use,
)
from ledger.schema.chains import block, chain, event, rule, set_aside, waiting_event
from ledger.schema.described import metadata
from ledger.schema.operating import (
    accepted_reorg,
    alarm,
    audited,
    differing_stake,
    operator_act,
    rereading,
    upstream_status,
)
from ledger.schema.outbox import message, receiver
from ledger.schema.signing import challenge, sign_in, wallet_proof

__all__ = [
    "accepted_reorg",
    "account",
    "account_access",
    "account_name",
    "alarm",
    "api_key",
    "api_key_cap",
    "api_key_cap_note",
    "api_key_use",
    "app",
    "audited",
    "block",
    "budget",
    "budget_use",
    "cap_use",
    "capped_api_key",
    "chain",
    "challenge",
    "charge_cause",
    "consent",
    "differing_stake",
    "entry",
    "entry_kind",
    "event",
    "linked_wallet",
    "lot",
    "member",
    "message",
    "metadata",
    "operation",
    "operator_act",
    "overdraft",
    "price",
    "receiver",
    "release",
    "rereading",
    "reservation",
    "rule",
    "rule_use",
    "set_aside",
    "sign_in",
    "status_change",
    "upstream_status",
    "waiting_event",
    "wallet",
    "wallet_link",
    "wallet_proof",
]
