"""The outbox: who is told of what, and what is still to be told."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ledger.schema.described import (
    BIGINT,
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
    of_account,
    one,
    table,
)

receiver = table(
    "receiver",
    must("receiver_id", INT, sa.Identity(always=True)),
    must("name", TEXT),
    must("topics", sa.ARRAY(TEXT)),
    must("entered_at", TIME, default=NOW),
    may("left_at", TIME),
    key("receiver_pkey", "receiver_id"),
    one("receiver_name_is_one", "name"),
    check("receiver_name_is_short", "length(name) between 1 and 64"),
)

message = table(
    "message",
    *of_account(),
    must("seq", BIGINT),
    must("place", INT),
    must("receiver_id", INT),
    must("message_id", UUID),
    must("topic", TEXT),
    must("body", JSONB()),
    must("at", TIME),
    must("state", TEXT, default="'waiting'"),
    must("tries", INT, default="0"),
    must("next_try_at", TIME),
    may("tried_at", TIME),
    may("said", TEXT),
    may("ended_at", TIME),
    key("message_pkey", "root_id, account_id, seq, place, receiver_id"),
    check("message_state_is_known", "state in ('waiting', 'delivered', 'dead')"),
    check("message_body_is_an_object", "jsonb_typeof(body) = 'object'"),
    check("message_ends_once", "(state = 'waiting') = (ended_at is null)"),
    index("message_due", "receiver_id, next_try_at", where="state = 'waiting'"),
    index(
        "message_line",
        "receiver_id, root_id, account_id, seq, place",
        where="state = 'waiting'",
    ),
    index("message_ended", "state, ended_at", where="state <> 'waiting'"),
    storage={"fillfactor": 80},
)
