-- Stakes that earn for the time they are held.

-- A stake earns, in every second, its base units times the rate then, over the divisor.
alter table creditd.rule
  add column divisor        numeric,    -- null: every event earns by itself
  add column rates_from     bigint[],   -- unix seconds, ascending, the first 0: since when …
  add column rates_micro    bigint[],   -- … how many micro-credits
  add column period_seconds integer,    -- so often its stakes are granted what they have earned
  add column hold_seconds   integer,    -- what is staked earns once it has been held for so long
  add column accrued_to     timestamptz,  -- the end of the last period that was granted
  add column accruing_after bytea,      -- in the next one: the last wallet that was
  add constraint rule_earns_by_events_or_by_time
    check (num_nulls(divisor, rates_from, rates_micro, period_seconds, hold_seconds) in (0, 5)),
  add constraint rule_rates_are_whole check (cardinality(rates_from) = cardinality(rates_micro)),
  add constraint rule_divides_by_more_than_zero check (divisor > 0 and period_seconds > 0 and hold_seconds >= 0);

-- The block whose stakes are being granted what they earned before it: the next one above `confirmed_number`.
alter table creditd.chain add column accruing_number bigint;

-- What a wallet has staked by a rule, by the confirmed events.
create table creditd.stake (
  rule_id    integer not null,
  wallet     bytea not null,
  balance    numeric not null,      -- base units that earn; below zero: more was taken out than we saw put in
  weight     numeric not null,      -- what they earned up to `since`: micro-credits times the rule's divisor
  since      timestamptz not null,
  matures_at timestamptz[] not null,   -- base units that do not earn yet, oldest first: from when on they do …
  maturing   numeric[] not null,       -- … and how many
  credited   numeric not null,      -- what it had earned by the end of the last period, in micro-credits
  is_behind  boolean not null default false,   -- a late event changed that: the next period's end makes up for it
  constraint stake_pkey primary key (rule_id, wallet),
  constraint stake_matures_in_whole check (cardinality(matures_at) = cardinality(maturing))
);
