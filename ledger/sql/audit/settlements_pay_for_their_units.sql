-- promise: 3. A settlement that says how many units were used took what they cost at the price they were reserved
--   at, or more where the app said so; and only a settlement says it.
-- row: An end of a reservation that says units and took less than they cost, or did not settle.
-- scope: account

select count(*) from entry e where e.kind in (9, 10) and e.seq = e.movement and e.units is not null;

select e.root_id, e.account_id, e.seq, e.refers_to as reservation_no, r.state, x.operation_id, x.price_version,
  e.units, t.price, r.settled as taken
from entry e
  left join reservation r
    on r.root_id = e.root_id and r.account_id = e.account_id and r.reservation_no = e.refers_to and r.ended_by = e.seq
  left join entry x on x.root_id = e.root_id and x.account_id = e.account_id and x.seq = e.refers_to and x.kind = 8
  left join price p on p.operation_id = x.operation_id and p.version = x.price_version
  -- No units cost nothing, not even the base. As if each tier's price were for all units above it, less what those
  -- units were counted at before.
  left join lateral (
    select case e.units when 0 then 0 else p.base::numeric + p.per_unit::numeric * e.units + coalesce(sum(
      (s.per_unit::numeric - coalesce(p.tier_per_unit[s.no - 1], p.per_unit)) * greatest(e.units - s.above, 0)), 0)
      end as price
    from unnest(p.tier_above, p.tier_per_unit) with ordinality s (above, per_unit, no)
  ) t on true
where e.kind in (9, 10) and e.seq = e.movement and e.units is not null
  and (r.state is distinct from 'settled' or e.units < 0 or (r.settled >= t.price) is not true)
