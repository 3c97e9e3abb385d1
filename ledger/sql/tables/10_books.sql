-- Amounts are micro-credits (1 credit = 1,000,000) unless a comment says otherwise.
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
  kind        text not null default 'user',
  status      text not null default 'open',
  available   bigint not null default 0,   -- in lots: those of other operations and of later times too
  held        bigint not null default 0,   -- reserved
  debt        bigint not null default 0,
  granted     bigint not null default 0,   -- these totals only ever grow
  refunded    bigint not null default 0,
  spent       bigint not null default 0,
  expired     bigint not null default 0,
  reversed    bigint not null default 0,   -- taken back of what was left of orphaned grants
  owed        bigint not null default 0,   -- spent of orphaned grants
  repaid      bigint not null default 0,   -- of what was owed
  absorbed    bigint not null default 0,   -- spent of orphaned grants and borne by the operator
  recovered   bigint not null default 0,   -- of that, taken from grants that came back
  moved       bigint not null default 0,   -- credits that came from other accounts less those that went
  debt_moved  bigint not null default 0,   -- debt that came less debt that went
  line        bigint not null default 0,   -- what the overdraft puts into `available`
  seq         bigint not null default 0,   -- number of the last entry; entries have no gaps
  head_lot    bigint,                      -- the lot being burned, while nothing may come before it
  head_left   bigint not null default 0,   -- what is left of it: its row is behind
  valid_until timestamptz not null default 'infinity',  -- no lot ends or comes into effect before
  is_special  boolean not null default false,           -- has lots that not every operation may burn
  alert_below bigint,                      -- whoever falls below it is told of
  head_hash   bytea not null,              -- hash of the last entry
  last_at     timestamptz not null default clock_timestamp(),
  created_at  timestamptz not null default clock_timestamp(),
  constraint account_pkey primary key (root_id, account_id),
  constraint account_kind_is_known check (kind in ('user', 'wallet', 'organisation', 'member')),
  constraint account_status_is_known check (status in ('open', 'frozen', 'indebted', 'closed')),
  constraint balance_is_never_negative check (available >= 0 and held >= 0 and debt >= 0),
  constraint what_came_in_went_out_or_is_here
    check (granted + refunded + moved + line - spent - expired - reversed - repaid - recovered = available + held),
  constraint debt_is_owed_and_not_yet_repaid check (owed + debt_moved - repaid = debt),
  constraint head_is_within_what_is_available check (head_left between 0 and available)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

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

-- A wallet is an address on one chain: a contract's address may belong to others elsewhere. `account_id`
-- is its own account, which it earned for before anybody signed up; a link sends later earnings on.
create table creditd.wallet (
  chain_id       bigint not null,
  address        bytea not null,
  root_id        bigint not null,
  account_id     bigint not null,
  linked_root    bigint,
  linked_account bigint,
  linked_at      timestamptz,
  created_at     timestamptz not null default clock_timestamp(),
  constraint wallet_pkey primary key (chain_id, address),
  constraint wallet_address_is_20_bytes check (octet_length(address) = 20),
  constraint wallet_is_linked_whole check (num_nulls(linked_root, linked_account, linked_at) in (0, 3))
);
create unique index wallet_by_account on creditd.wallet (root_id, account_id);
create index wallet_by_link on creditd.wallet (linked_root, linked_account) where linked_root is not null;

-- The books ---------------------------------------------------------------------------------------

-- A grant's lot: what was granted, why, and what is left of it. Its number is that of its first entry.
-- Of the lot being burned, `remaining` is behind: the account's row has it.
create table creditd.lot (
  root_id        bigint not null,
  account_id     bigint not null,
  lot_no         bigint not null,
  source         text not null,
  rule_id        integer,
  cause          bytea,            -- what it was granted for: of an event, its identity
  incarnation    integer,          -- how often the cause has come to the canonical chain
  reason         text,             -- why, in the words of whoever granted it
  amount         bigint not null,
  remaining      bigint not null,
  held           bigint not null default 0,
  expired        bigint not null default 0,
  reversed       bigint not null default 0,
  moved          bigint not null default 0,   -- gone to other accounts
  absorbed       bigint not null default 0,   -- of a reversed one: spent, and borne by the operator
  priority       smallint not null default 100,
  effective_at   timestamptz not null default '-infinity',
  expires_at     timestamptz not null default 'infinity',
  operations     integer[],        -- that may burn it; null: all
  cap_day        date,             -- the block's day (UTC) under whose caps it was granted, if any
  origin_root    bigint,           -- a moved lot's first account and lot
  origin_account bigint,
  origin_lot     bigint,
  state          text not null default 'live',
  created_at     timestamptz not null,
  constraint lot_pkey primary key (root_id, account_id, lot_no),
  constraint lot_source_is_known
    check (source in ('mining', 'staking', 'purchased', 'promotional', 'refund', 'plan', 'adjustment', 'overdraft')),
  constraint lot_state_is_known check (state in ('live', 'reversed')),
  constraint lot_amount_is_positive check (amount > 0 or (amount = 0 and source = 'overdraft')),
  constraint lot_is_never_overdrawn
    check (least(remaining, held, expired, reversed, moved, absorbed) >= 0
           and remaining + held + expired + reversed + moved <= amount),
  constraint lot_lives_before_it_ends check (effective_at < expires_at),
  constraint moved_lot_has_its_origin check (num_nulls(origin_root, origin_account, origin_lot) in (0, 3)),
  constraint reversed_lot_has_nothing_left check (state = 'live' or remaining = 0)
) with (fillfactor = 70);
create index lot_burn_order on creditd.lot (root_id, account_id, priority, expires_at, lot_no) where remaining > 0;
create index lot_by_origin on creditd.lot (origin_root, origin_account, origin_lot) where origin_root is not null;

-- Where each kind of entry takes credits from and where it puts them: double entry in one row.
create table creditd.entry_kind (
  kind      smallint constraint entry_kind_pkey primary key,
  name      text not null constraint entry_kind_name_is_one unique,
  from_side text not null,
  to_side   text not null,
  constraint entry_kind_sides_differ check (from_side <> to_side)
);
insert into creditd.entry_kind (kind, name, from_side, to_side) values
  (1,  'grant',       'issuance',  'available'),
  (2,  'charge',      'available', 'revenue'),
  (3,  'refund',      'revenue',   'available'),
  (4,  'reversal',    'available', 'issuance'),
  (5,  'debt',        'debt',      'issuance'),
  (6,  'repayment',   'available', 'debt'),
  (7,  'expiry',      'available', 'expired'),
  (8,  'reserve',     'available', 'held'),
  (9,  'settlement',  'held',      'revenue'),
  (10, 'release',     'held',      'available'),
  (11, 'absorption',  'loss',      'issuance'),
  (12, 'recovery',    'available', 'loss'),
  (13, 'move_out',    'available', 'moved'),
  (14, 'move_in',     'moved',     'available'),
  (15, 'debt_out',    'moved',     'debt'),
  (16, 'debt_in',     'debt',      'moved'),
  (17, 'credit_line', 'line',      'available'),
  (18, 'line_cut',    'available', 'line');

create table creditd.entry (
  root_id         bigint not null,
  account_id      bigint not null,
  seq             bigint not null,
  kind            smallint not null,
  amount          bigint not null,
  available_after bigint not null,
  held_after      bigint not null,
  debt_after      bigint not null,
  lot_no          bigint,          -- whose credits: every spent unit names its grant
  movement        bigint not null, -- the first entry of what was done in one go
  total           bigint,          -- on that first entry: the whole amount of what was asked for
  refers_to       bigint,          -- what is refunded, settled or released, by its movement
  peer_root       bigint,          -- of what moved between accounts: the other one
  peer_account    bigint,
  member_id       bigint,          -- whose budget the organisation's pool paid for
  app_id          integer,
  key_hash        uuid,            -- first 128 bits of SHA-256 of whose key it is and the key
  request_hash    uuid,            -- likewise of what was asked under it
  operation_id    integer,
  units           bigint,
  price_version   integer,
  at              timestamptz not null,
  hash            bytea not null,  -- SHA-256 over the hash before and this entry's fields
  constraint entry_pkey primary key (root_id, account_id, seq),
  constraint entry_amount_is_positive check (amount > 0 or (amount = 0 and kind in (2, 8, 9))),
  constraint entry_names_its_lot check (lot_no is not null or amount = 0 or kind in (15, 16)),
  constraint key_says_what_it_asked check ((key_hash is null) = (request_hash is null)),
  constraint entry_leaves_no_negative_balance check (least(available_after, held_after, debt_after) >= 0)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
-- The key's hash says whose it is, so the root in front costs nothing but names the shard.
create unique index one_key_one_movement on creditd.entry (root_id, key_hash) where key_hash is not null;
create index entry_by_charge on creditd.entry (root_id, account_id, refers_to) where refers_to is not null;

-- Credits held for work whose price is not known yet. Its number is that of its first entry.
create table creditd.reservation (
  root_id        bigint not null,
  account_id     bigint not null,    -- whose lots hold it
  reservation_no bigint not null,
  member_id      bigint,             -- for whom, where an organisation's pool holds it
  app_id         integer not null,
  amount         bigint not null,
  over_max       bigint not null,    -- how much more than that a settlement may take
  minimum        bigint not null,    -- what is taken if nobody settles it: 0 gives all back
  state          text not null default 'open',
  settled        bigint,             -- what was taken in the end
  expires_at     timestamptz not null,
  ended_by       bigint,             -- the movement that ended it
  created_at     timestamptz not null,
  constraint reservation_pkey primary key (root_id, account_id, reservation_no),
  constraint reservation_state_is_known check (state in ('open', 'settled', 'released', 'expired')),
  constraint reservation_takes_within_its_bounds
    check (amount >= 0 and over_max >= 0 and minimum between 0 and amount and settled between 0 and amount + over_max),
  constraint ended_reservation_says_how check (state = 'open' or settled is not null)
);
create index reservation_open on creditd.reservation (root_id, account_id, expires_at) where state = 'open';
create index reservation_due on creditd.reservation (expires_at) where state = 'open';

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

-- The same over all accounts: written by the chain's one leader.
create table creditd.rule_use (
  rule_id integer not null,
  day     date not null,
  granted bigint not null,
  constraint rule_use_pkey primary key (rule_id, day),
  constraint rule_use_is_never_negative check (granted >= 0)
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

-- Which functions these books are run by: one row.
create table creditd.release (
  one_row   boolean not null default true constraint release_pkey primary key,
  functions text not null,             -- SHA-256 of their text
  applied_at timestamptz not null default clock_timestamp(),
  constraint release_is_one_row check (one_row)
);
