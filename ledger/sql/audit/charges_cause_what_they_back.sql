-- promise: 6. What a charge has caused to be granted is what its lots were granted, and what is unbacked of it is what
--   lies beyond half of what the charge holds after refunds.
-- row: A charge that has caused something else, or of which something else is unbacked; `cause` is root, account and
--   number of the charge, end to end.
-- scope: books

select count(*) from charge_cause;

with caused as (
  select l.cause, sum(l.amount) as granted from lot l
  where l.rule_id is null and octet_length(l.cause) = 24 group by l.cause
), charged as (
  select c.*, int8send(c.root_id) || int8send(c.account_id) || int8send(c.seq) as cause,
    e.total - (select coalesce(sum(r.amount), 0) from entry r
               where r.root_id = c.root_id and r.account_id = c.account_id and r.refers_to = c.seq and r.kind = 3) as holds
  from charge_cause c
    left join entry e on e.root_id = c.root_id and e.account_id = c.account_id and e.seq = c.seq
      and e.kind in (2, 9) and e.movement = e.seq
)
select c.root_id, c.account_id, c.seq, cause, c.holds, c.granted, g.granted as lots_granted, c.unbacked
from charged c full join caused g using (cause)
where c.granted is distinct from g.granted
  or c.holds is null
  or c.unbacked <> greatest(0, c.granted - div(c.holds, 2))
