-- promise: 3. Every charge takes exactly what its version of the price says, base and units by their tiers, no
--   less and no more over all its lots.
-- row: A charge that took something else, or whose price is not in the books.
-- scope: account

select coalesce(sum(movements), 0)::bigint from counted where kind = 2;

with further as (  -- most charges take from one lot and have none of these
  select e.root_id, e.account_id, e.movement, sum(e.amount) as amount
  from entry e where e.kind = 2 and e.seq <> e.movement group by e.root_id, e.account_id, e.movement
)
select e.root_id, e.account_id, e.seq, e.operation_id, e.price_version, e.units,
  case when p.tier_above = '{}' then p.base::numeric + p.per_unit::numeric * e.units else t.price end as price, e.total, e.amount + coalesce(f.amount, 0) as taken
from entry e
  left join further f on f.root_id = e.root_id and f.account_id = e.account_id and f.movement = e.seq
  left join price p on p.operation_id = e.operation_id and p.version = e.price_version
  -- As if each tier's price were for all units above it, less what those units were counted at before.
  left join lateral (
    select p.base::numeric + p.per_unit::numeric * e.units + sum(
      (s.per_unit::numeric - coalesce(p.tier_per_unit[s.no - 1], p.per_unit)) * greatest(e.units - s.above, 0)) as price
    from unnest(p.tier_above, p.tier_per_unit) with ordinality s (above, per_unit, no)
  ) t on p.tier_above <> '{}'
where e.kind = 2 and e.seq = e.movement and (
  -- What no charge may take would not fit a bigint.
  case when p.tier_above <> '{}' then e.total::numeric is distinct from t.price
    when e.units between 0 and (4000000000000000000 - p.base) / greatest(p.per_unit, 1)
    then e.total is distinct from p.base + p.per_unit * e.units else true end
  or case when f.amount is null then e.total is distinct from e.amount
    else e.total is distinct from e.amount + f.amount end)
