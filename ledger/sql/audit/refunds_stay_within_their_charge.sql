-- promise: 3. A refund gives back an earlier charge or settlement of the same app, what it says it gives, and
--   all refunds of one together never more than it took.
-- row: A refund that gives back something else; `refunded` counts all refunds of its charge.
-- scope: account

select coalesce(sum(movements), 0)::bigint from counted where kind = 3;

with refund as (
  select e.root_id, e.account_id, e.seq, e.refers_to, e.app_id, e.total,
    sum(e.total) over (partition by e.root_id, e.account_id, e.refers_to) as refunded
  from entry e where e.kind = 3 and e.seq = e.movement
), given as (
  select e.root_id, e.account_id, e.movement, sum(e.amount) as amount
  from entry e where e.kind = 3 group by e.root_id, e.account_id, e.movement
)
select r.root_id, r.account_id, r.seq, r.refers_to as charge, r.total, g.amount as given,
  c.total as taken, r.refunded
from refund r
  join given g on g.root_id = r.root_id and g.account_id = r.account_id and g.movement = r.seq
  left join entry c on c.root_id = r.root_id and c.account_id = r.account_id and c.seq = r.refers_to
    and c.kind in (2, 9) and c.movement = c.seq
where c.seq is null
  or c.seq > r.seq
  or c.app_id is distinct from r.app_id
  or r.total is distinct from g.amount
  or r.refunded > c.total
