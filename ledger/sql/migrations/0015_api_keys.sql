-- API keys of apps, people and operators: what each may do, and what it did.

-- People's own API keys and sessions belong to this app, which nobody else may be.
update creditd.app a set name = 'app of the name creditd'
  where a.name = 'creditd' and exists (select from creditd.api_key k where k.app_id = a.app_id);

alter table creditd.api_key
  add column if not exists kind text not null default 'app',
  add column if not exists root_id bigint,          -- of a personal one: the account that it acts for, and no other
  add column if not exists account_id bigint,
  add column if not exists operations text[],       -- that it may charge for; null: all
  add column if not exists family integer,          -- the first of those that replaced one another: they share their caps
  add column if not exists replaced_by integer,     -- its successor: until it expires both are good
  add column if not exists made_by integer,         -- the API key by which its owner made it; null: by a session, or an operator
  add column if not exists rate_requests integer,   -- so many requests in so many seconds
  add column if not exists rate_seconds integer,
  add column if not exists made_under uuid,         -- digests of the idempotency key by which it was made, and of what was asked
  add column if not exists made_asked uuid;
update creditd.api_key set family = key_id;
alter table creditd.api_key
  alter column family set not null,
  add constraint api_key_kind_is_known check (kind in ('app', 'personal', 'operator')),
  add constraint personal_api_key_has_its_account
    check (num_nulls(root_id, account_id) in (0, 2) and (kind = 'personal') = (account_id is not null)),
  add constraint api_key_rate_is_in_range
    check (num_nulls(rate_requests, rate_seconds) in (0, 2)
           and rate_requests between 1 and 1000000 and rate_seconds between 1 and 86400),
  add constraint api_key_says_what_it_was_asked_for check ((made_under is null) = (made_asked is null));
create unique index if not exists api_key_is_made_once on creditd.api_key (made_under) where made_under is not null;
create index if not exists api_key_by_account on creditd.api_key (root_id, account_id) where root_id is not null;
create index if not exists api_key_by_app on creditd.api_key (app_id, key_id);

-- Few API keys have caps: whether one has is asked at each charge, and here that costs next to nothing.
create table if not exists creditd.capped_api_key (
  key_id integer not null,
  family integer not null,
  constraint capped_api_key_pkey primary key (key_id)
);

-- What a family may spend in one period, UTC, and what it has: since `begins`, the first day of a period.
create table if not exists creditd.api_key_cap (
  family integer not null,
  period text not null,
  amount bigint not null,
  begins date not null default '-infinity',
  used   bigint not null default 0,     -- with what it holds, less what was given back
  constraint api_key_cap_pkey primary key (family, period),
  constraint api_key_cap_period_is_known check (period in ('day', 'week', 'month', 'ever')),
  constraint api_key_cap_amount_is_in_range check (amount between 0 and 4000000000000000000),
  constraint api_key_cap_is_never_negative check (used >= 0)
) with (fillfactor = 50);

-- What is still to be counted: given back (below zero), or taken beyond what was held. Whoever gives back holds
-- other locks and may not wait for a cap; the next charge under it counts these.
create table if not exists creditd.api_key_cap_note (
  note_no bigint generated always as identity constraint api_key_cap_note_pkey primary key,
  family  integer not null,
  at      timestamptz not null,         -- when it was counted first: the period it falls in
  amount  bigint not null
);
create index if not exists api_key_cap_note_by_family on creditd.api_key_cap_note (family);

-- What each API key did on a day, UTC. Sessions write to slots of their own and do not wait for one another.
create table if not exists creditd.api_key_use (
  key_id   integer not null,
  day      date not null,
  slot     integer not null,
  charges  bigint not null default 0,   -- with settlements
  spent    bigint not null default 0,
  refunded bigint not null default 0,
  last_at  timestamptz not null,
  constraint api_key_use_pkey primary key (key_id, day, slot),
  constraint api_key_use_is_never_negative check (charges >= 0 and spent >= 0 and refunded >= 0)
) with (fillfactor = 50);
