-- Chains ------------------------------------------------------------------------------------------

create table creditd.chain (
  chain_id         bigint constraint chain_pkey primary key,
  name             text not null constraint chain_name_is_one unique,
  genesis          bytea not null,     -- hash of block 0: a chain is its id and its genesis
  epoch            bigint not null default 0,   -- which leader may write
  leader           text not null default '',
  leader_seen_at   timestamptz not null default clock_timestamp(),
  state            text not null default 'syncing',
  reason           text,
  depth            integer,            -- blocks needed on top; null: the chain's finalized tag decides
  head_number      bigint not null,
  indexed_number   bigint not null,    -- the cursor: last block read and proven
  indexed_hash     bytea not null,
  indexed_time     timestamptz,
  confirmed_number bigint not null,    -- last block whose events are granted
  confirmed_hash   bytea not null,
  confirmed_time   timestamptz,
  reorgs           bigint not null default 0,
  last_reorg_at    timestamptz,
  last_reorg_depth bigint,
  constraint chain_state_is_known check (state in ('syncing', 'following', 'halted')),
  constraint halted_chain_says_why check (state <> 'halted' or reason is not null),
  constraint confirmed_is_indexed check (confirmed_number <= indexed_number)
);

-- The canonical blocks we remember, without gaps up to the cursor.
create table creditd.block (
  chain_id bigint not null,
  number   bigint not null,
  hash     bytea not null,
  parent   bytea not null,
  time     timestamptz not null,
  constraint one_block_per_height primary key (chain_id, number),
  constraint block_hash_is_32_bytes check (octet_length(hash) = 32)
);

create table creditd.rule (
  rule_id         integer generated always as identity constraint rule_pkey primary key,
  name            text not null constraint rule_name_is_one unique,
  chain_id        bigint not null,
  contract        bytea not null,
  event           text not null,
  from_block      bigint not null,
  to_block        bigint,      -- how far it is, or was, followed; null: it is, without an end
  source          text not null default 'staking',
  on_reversal     text not null default 'debt',   -- what becomes of what was spent of an orphaned grant
  priority        smallint not null default 100,
  operations      integer[],   -- that may burn what it grants; null: all
  cap_account     bigint,      -- most it grants one account, ever
  cap_account_day bigint,      -- and per day (UTC, by block time)
  cap_day         bigint,      -- most it grants all accounts together per day
  cap_total       bigint,      -- and ever
  expires_days    integer,
  constraint rule_source_is_known check (source in ('mining', 'staking')),
  constraint rule_reversal_is_known check (on_reversal in ('debt', 'absorb', 'freeze'))
);

-- What the chain said, by an identity that survives re-inclusion in another block.
create table creditd.event (
  event_no     bigint generated always as identity constraint event_pkey primary key,
  chain_id     bigint not null,
  tx_hash      bytea not null,
  ordinal      integer not null,   -- place of the log among those of its transaction
  role         smallint not null default 0,
  rule_id      integer not null constraint event_earns_by_a_rule references creditd.rule,
  block_number bigint not null,
  block_hash   bytea not null,
  block_time   timestamptz not null,
  log_index    integer not null,
  wallet       bytea not null,
  amount       numeric(78, 0) not null,   -- base units of the token
  credits      bigint not null,           -- what the rule gives for it, before caps over events
  state        text not null default 'pending',
  incarnation  integer not null default 1,
  root_id      bigint,                    -- fixed at the first grant
  account_id   bigint,
  lot_no       bigint,
  granted      bigint,
  constraint event_is_seen_once unique (chain_id, tx_hash, ordinal, role),
  constraint event_state_is_known check (state in ('pending', 'confirmed', 'reversed')),
  constraint event_amount_is_uint256 check (amount >= 0),
  constraint event_credits_are_not_negative check (credits >= 0)
) with (fillfactor = 50);
create index event_by_block on creditd.event (chain_id, block_number);
create index event_by_wallet on creditd.event (wallet, event_no);
create index event_by_wallet_and_block on creditd.event (wallet, chain_id, block_number);

-- Logs of a watched contract that are not exactly what was configured: never guessed at, never lost.
create table creditd.set_aside (
  chain_id     bigint not null,
  tx_hash      bytea not null,
  ordinal      integer not null,
  block_number bigint not null,
  block_hash   bytea not null,
  log_index    integer not null,
  rule_id      integer not null,
  address      bytea not null,
  topics       bytea[] not null,
  data         bytea not null,
  reason       text not null,
  seen_at      timestamptz not null default clock_timestamp(),
  constraint set_aside_pkey primary key (chain_id, tx_hash, ordinal, rule_id)
);
create index set_aside_by_block on creditd.set_aside (chain_id, block_number);
