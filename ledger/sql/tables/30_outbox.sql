-- The outbox ---------------------------------------------------------------------------------------

-- Who is told of what. Where it is reached and what it is signed with is in the configuration.
create table creditd.receiver (
  receiver_id integer generated always as identity constraint receiver_pkey primary key,
  name        text not null constraint receiver_name_is_one unique,
  topics      text[] not null,
  entered_at  timestamptz not null default clock_timestamp(),
  left_at     timestamptz,                 -- no longer configured: nothing more is written for it
  constraint receiver_name_is_short check (length(name) between 1 and 64)
);

-- What a receiver is told, one row for each receiver: rows are taken by being there, not by a number
-- that a cursor is past, so that one which commits late is as good as any other. Its place is that of
-- the account's last entry, and which message of that entry it is.
create table creditd.message (
  root_id     bigint not null,
  account_id  bigint not null,
  seq         bigint not null,
  place       integer not null,
  receiver_id integer not null,            -- without a foreign key: every announcement would lock the one row
  message_id  uuid not null,               -- the same for every receiver and every try
  topic       text not null,
  body        jsonb not null,
  at          timestamptz not null,
  state       text not null default 'waiting',
  tries       integer not null default 0,
  next_try_at timestamptz not null,
  tried_at    timestamptz,
  said        text,                        -- what was wrong with the last try
  ended_at    timestamptz,
  constraint message_pkey primary key (root_id, account_id, seq, place, receiver_id),
  constraint message_state_is_known check (state in ('waiting', 'delivered', 'dead')),
  constraint message_body_is_an_object check (jsonb_typeof(body) = 'object'),
  constraint message_ends_once check ((state = 'waiting') = (ended_at is null))
) with (fillfactor = 80);
create index message_due on creditd.message (receiver_id, next_try_at) where state = 'waiting';
create index message_line on creditd.message (receiver_id, root_id, account_id, seq, place) where state = 'waiting';
create index message_ended on creditd.message (state, ended_at) where state <> 'waiting';
