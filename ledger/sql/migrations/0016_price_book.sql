-- Prices by model, by tiers of units, and from one moment to another.
alter table creditd.price
  add column if not exists model text not null default '',  -- whose price it is; empty: of any without its own
  add column if not exists tier_above bigint[] not null default '{}', -- units above so many cost …
  add column if not exists tier_per_unit bigint[] not null default '{}', -- … so much each, instead of what those below do
  add column if not exists ends_at timestamptz not null default 'infinity';

update creditd.price p set ends_at = greatest(p.effective_at, n.begins_at)
  from (select x.operation_id, x.version, lead(x.effective_at) over (partition by x.operation_id order by x.version)
          as begins_at from creditd.price x) n
  where n.operation_id = p.operation_id and n.version = p.version and n.begins_at is not null;

alter table creditd.price
  add constraint price_model_is_short check (length(model) <= 100),
  add constraint price_ends_after_it_begins check (ends_at >= effective_at),
  add constraint price_tiers_are_whole check (
    cardinality(tier_above) = cardinality(tier_per_unit) and 0 < all (tier_above) and 0 <= all (tier_per_unit));
create index if not exists price_by_model on creditd.price (operation_id, model, ends_at);
