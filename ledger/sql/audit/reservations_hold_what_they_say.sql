-- promise: 1. What is reserved cannot be spent: an account holds what its open reservations hold, lot by lot, and an
--   ended reservation holds nothing. It took what it says, and so does the entry that refunds go by.
-- row: A reservation whose entries come to something else, or (without a number) an account that holds otherwise.
-- scope: account

select count(*) from reservation;

with legs as (
  select e.root_id, e.account_id, coalesce(e.refers_to, e.movement) as reservation_no,
    sum(case e.kind when 8 then e.amount when 2 then 0 else -e.amount end) as holds,
    coalesce(sum(e.amount) filter (where e.kind = 8), 0) as reserved,
    coalesce(sum(e.amount) filter (where e.kind in (2, 9)), 0) as taken,
    coalesce(sum(e.total) filter (where e.kind = 9), 0) as said
  from entry e where e.kind in (8, 9, 10) or (e.kind = 2 and e.refers_to is not null) group by 1, 2, 3
)
select root_id, account_id, r.reservation_no, r.state, r.amount, l.reserved as entries_reserved,
  l.holds as entries_hold, r.settled, l.taken as entries_took, l.said as entries_say
from reservation r full join legs l using (root_id, account_id, reservation_no)
where r.reservation_no is null or l.reserved is distinct from r.amount
  or l.holds <> case r.state when 'open' then r.amount else 0 end
  or l.taken <> coalesce(r.settled, 0) or l.said <> l.taken
union all
select a.root_id, a.account_id, null, a.status, a.held, h.lots, o.open, null, null, null
from account a
  left join (select root_id, account_id, sum(held) as lots from lot group by 1, 2) h using (root_id, account_id)
  left join (select root_id, account_id, sum(amount) as open from reservation where state = 'open' group by 1, 2) o
    using (root_id, account_id)
where a.held <> coalesce(h.lots, 0) or a.held <> coalesce(o.open, 0)
