-- Organisations -----------------------------------------------------------------------------------

-- A member is an account of its own under the organisation's root; what the organisation calls it is
-- free again once it has left.
create table creditd.member (
  root_id       bigint not null,
  account_id    bigint not null,
  name          text not null,
  joined_at     timestamptz not null default clock_timestamp(),
  left_at       timestamptz,
  moved_root    bigint,    -- its account in the organisation it moved to
  moved_account bigint,
  constraint member_pkey primary key (root_id, account_id),
  constraint member_is_not_the_pool check (root_id <> account_id),
  constraint member_name_is_short check (length(name) between 1 and 200),
  constraint member_moves_whole
    check (num_nulls(moved_root, moved_account) in (0, 2) and (moved_root is null or left_at is not null))
);
create unique index member_name_is_one on creditd.member (root_id, name) where left_at is null;

-- What the organisation's pool pays for a member in one period, UTC. Without a budget it pays nothing;
-- of several periods' budgets each must leave room.
create table creditd.budget (
  root_id    bigint not null,
  account_id bigint not null,
  period     text not null,
  amount     bigint not null,
  levels     smallint[] not null default '{}',   -- percent: reaching one is told once in a period
  told_from  date,                               -- the period that `told_level` speaks of
  told_level smallint not null default 0,
  constraint budget_pkey primary key (root_id, account_id, period),
  constraint budget_period_is_known check (period in ('day', 'week', 'month', 'ever')),
  constraint budget_amount_is_in_range check (amount between 0 and 4000000000000000000),
  constraint budget_levels_are_percents
    check (cardinality(levels) <= 10 and 1 <= all (levels) and 100 >= all (levels))
);

-- What the pool paid for a member: less refunds, with what it holds. Kept whether there is a budget
-- or not, so that one that is set later knows. The row of day -infinity counts all days.
create table creditd.budget_use (
  root_id    bigint not null,
  account_id bigint not null,
  day        date not null,
  used       bigint not null,
  constraint budget_use_pkey primary key (root_id, account_id, day),
  constraint budget_use_is_never_negative check (used >= 0)
) with (fillfactor = 50);
