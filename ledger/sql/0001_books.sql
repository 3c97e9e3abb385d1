-- The first books. Amounts are micro-credits (1 credit = 1,000,000) unless a comment says otherwise.
-- Whatever a charge touches leads its key with the account's root, so that the same schema can be
-- distributed by that column and one organisation's spending stays on one shard.

-- Apps and their API keys -------------------------------------------------------------------------

create table creditd.app (
  app_id     integer generated always as identity constraint app_pkey primary key,
  name       text not null constraint app_name_is_free unique,
  created_at timestamptz not null default clock_timestamp(),
  constraint app_name_is_short check (length(name) between 1 and 100)
);

create table creditd.api_key (
  key_id     integer generated always as identity constraint api_key_pkey primary key,
  app_id     integer not null constraint api_key_belongs_to_an_app references creditd.app,
  digest     bytea not null constraint api_key_digest_is_one_key unique,  -- SHA-256 of the key; the key itself is shown once
  hint       text not null,                                               -- how it begins and ends, for people
  scopes     text[] not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint api_key_digest_is_sha256 check (octet_length(digest) = 32)
);

-- Accounts ----------------------------------------------------------------------------------------

create table creditd.account (
  root_id     bigint not null,
  account_id  bigint not null,
  status      text not null default 'open',
  available   bigint not null default 0,
  held        bigint not null default 0,
  debt        bigint not null default 0,
  granted     bigint not null default 0,   -- these totals only ever grow
  refunded    bigint not null default 0,
  spent       bigint not null default 0,
  expired     bigint not null default 0,
  reversed    bigint not null default 0,   -- taken back of what was left of orphaned grants
  owed        bigint not null default 0,   -- spent of orphaned grants
  repaid      bigint not null default 0,   -- of that, repaid
  seq         bigint not null default 0,   -- number of the last entry; entries have no gaps
  next_expiry timestamptz not null default 'infinity',  -- no lot with credits left expires before
  head_hash   bytea not null,              -- hash of the last entry
  last_at     timestamptz not null default clock_timestamp(),
  created_at  timestamptz not null default clock_timestamp(),
  constraint account_pkey primary key (root_id, account_id),
  constraint account_status_is_known check (status in ('open', 'frozen')),
  constraint balance_is_never_negative check (available >= 0 and held >= 0 and debt >= 0),
  constraint what_came_in_went_out_or_is_here
    check (granted + refunded - spent - expired - reversed - repaid = available + held),
  constraint debt_is_owed_and_not_yet_repaid check (owed - repaid = debt)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- What an app calls an account it opened.
create table creditd.account_name (
  app_id     integer not null constraint account_name_belongs_to_an_app references creditd.app,
  name       text not null,
  root_id    bigint not null,
  account_id bigint not null,
  constraint account_name_pkey primary key (app_id, name),
  constraint account_name_is_short check (length(name) between 1 and 200)
);

-- Which apps may reach which accounts.
create table creditd.account_access (
  root_id    bigint not null,
  account_id bigint not null,
  app_id     integer not null constraint access_belongs_to_an_app references creditd.app,
  created_at timestamptz not null default clock_timestamp(),
  constraint account_access_pkey primary key (root_id, account_id, app_id)
);

-- A wallet is an address on one chain: a contract's address may belong to others elsewhere.
create table creditd.wallet (
  chain_id   bigint not null,
  address    bytea not null,
  root_id    bigint not null,
  account_id bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint wallet_pkey primary key (chain_id, address),
  constraint wallet_address_is_20_bytes check (octet_length(address) = 20)
);
create index wallet_by_account on creditd.wallet (root_id, account_id);

-- The books ---------------------------------------------------------------------------------------

-- A grant's lot: what was granted, why, and what is left of it. Its number is that of its first entry.
create table creditd.lot (
  root_id     bigint not null,
  account_id  bigint not null,
  lot_no      bigint not null,
  source      text not null,
  rule_id     integer,
  cause       bytea not null,      -- what it was granted for: of an event, its identity
  incarnation integer not null,    -- how often the cause has come to the canonical chain
  amount      bigint not null,
  remaining   bigint not null,
  expired     bigint not null default 0,
  reversed    bigint not null default 0,
  cap_day     date,                -- the block's day (UTC) under whose caps it was granted, if any
  expires_at  timestamptz not null default 'infinity',
  state       text not null default 'live',
  created_at  timestamptz not null,
  constraint lot_pkey primary key (root_id, account_id, lot_no),
  constraint lot_source_is_known check (source in ('chain', 'refund')),
  constraint lot_state_is_known check (state in ('live', 'reversed')),
  constraint lot_amount_is_positive check (amount > 0),
  constraint lot_is_never_overdrawn
    check (remaining >= 0 and expired >= 0 and reversed >= 0 and remaining + expired + reversed <= amount),
  constraint reversed_lot_has_nothing_left check (state = 'live' or remaining = 0)
);
create unique index one_cause_one_lot on creditd.lot (root_id, account_id, rule_id, cause, incarnation);
create index lot_burn_order on creditd.lot (root_id, account_id, expires_at, lot_no) where remaining > 0;

-- Where each kind of entry takes credits from and where it puts them: double entry in one row.
create table creditd.entry_kind (
  kind      smallint constraint entry_kind_pkey primary key,
  name      text not null constraint entry_kind_name_is_one unique,
  from_side text not null,
  to_side   text not null,
  constraint entry_kind_sides_differ check (from_side <> to_side)
);
insert into creditd.entry_kind (kind, name, from_side, to_side) values
  (1, 'grant',     'issuance',  'available'),
  (2, 'charge',    'available', 'revenue'),
  (3, 'refund',    'revenue',   'available'),
  (4, 'reversal',  'available', 'issuance'),
  (5, 'debt',      'debt',      'issuance'),
  (6, 'repayment', 'available', 'debt'),
  (7, 'expiry',    'available', 'expired');

create table creditd.entry (
  root_id         bigint not null,
  account_id      bigint not null,
  seq             bigint not null,
  kind            smallint not null,
  amount          bigint not null,
  available_after bigint not null,
  debt_after      bigint not null,
  lot_no          bigint,          -- whose credits: every spent unit names its grant
  movement        bigint not null, -- the first entry of what was done in one go
  total           bigint,          -- on that first entry: the whole amount of a charge or refund
  refers_to       bigint,          -- a refund's charge, by its movement
  app_id          integer,
  key_hash        uuid,            -- first 128 bits of SHA-256 of the idempotency key
  request_hash    uuid,            -- likewise of what was asked under it
  operation_id    integer,
  units           bigint,
  price_version   integer,
  at              timestamptz not null,
  hash            bytea not null,  -- SHA-256 over the hash before and this entry's fields
  constraint entry_pkey primary key (root_id, account_id, seq),
  constraint entry_amount_is_positive check (amount > 0 or (amount = 0 and kind = 2)),
  constraint entry_names_its_lot check (lot_no is not null or amount = 0),
  constraint charge_and_refund_have_their_key
    check (total is null or (app_id is not null and key_hash is not null and request_hash is not null)),
  constraint entry_leaves_no_negative_balance check (available_after >= 0 and debt_after >= 0)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
create unique index one_key_one_movement on creditd.entry (root_id, account_id, app_id, key_hash)
  where key_hash is not null;
create index entry_by_charge on creditd.entry (root_id, account_id, refers_to) where refers_to is not null;

-- Used part of the caps of a rule. The row of day -infinity counts all days.
create table creditd.cap_use (
  root_id    bigint not null,
  account_id bigint not null,
  rule_id    integer not null,
  day        date not null,
  granted    bigint not null,
  constraint cap_use_pkey primary key (root_id, account_id, rule_id, day),
  constraint cap_use_is_never_negative check (granted >= 0)
);

-- Prices ------------------------------------------------------------------------------------------

create table creditd.operation (
  operation_id integer generated always as identity constraint operation_pkey primary key,
  name         text not null constraint operation_name_is_one unique,
  constraint operation_name_is_short check (length(name) between 1 and 100)
);

create table creditd.price (
  operation_id integer not null constraint price_belongs_to_an_operation references creditd.operation,
  version      integer not null,
  base         bigint not null,
  per_unit     bigint not null,
  unit         text not null,
  effective_at timestamptz not null default clock_timestamp(),
  constraint price_pkey primary key (operation_id, version),
  constraint price_is_never_negative check (base >= 0 and per_unit >= 0)
);

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
  cap_account     bigint,      -- most it grants one account, ever
  cap_account_day bigint,      -- and per day (UTC, by block time)
  expires_days    integer
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
);
create index event_by_block on creditd.event (chain_id, block_number);
create index event_pending on creditd.event (chain_id, block_number) where state = 'pending';
create index event_ungranted on creditd.event (chain_id, wallet, event_no) where account_id is null;
create index event_pending_again on creditd.event (root_id, account_id)
  where state = 'pending' and account_id is not null;
create index event_by_account on creditd.event (root_id, account_id, event_no) where account_id is not null;

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

-- Which functions these books are run by: one row.
create table creditd.release (
  one_row   boolean not null default true constraint release_pkey primary key,
  functions text not null,             -- SHA-256 of their text
  applied_at timestamptz not null default clock_timestamp(),
  constraint release_is_one_row check (one_row)
);
