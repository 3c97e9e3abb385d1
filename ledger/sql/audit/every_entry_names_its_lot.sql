-- promise: 5. Every spent unit names its grant: each entry's lot is one of its account's, granted by an entry
--   that is not later than itself.
-- row: An entry whose lot is not named, not there, or younger than the entry.
-- scope: account
-- shares: entries_by_lot

select coalesce(sum(entries), 0)::bigint from counted;

with not_theirs as (  -- the entries themselves are read only where there is such a lot
  select s.root_id, s.account_id, s.lot_no, l.lot_no as granted_by
  from entries_by_lot s left join lot l using (root_id, account_id, lot_no)
  where s.first_used is not null and (l.lot_no is null or l.lot_no > s.first_used)
)
select e.root_id, e.account_id, e.seq, e.kind, e.amount, e.lot_no
from not_theirs n join entry e using (root_id, account_id)
where e.lot_no is not distinct from n.lot_no and e.amount <> 0 and e.kind not in (15, 16)
  and (n.granted_by is null or n.granted_by > e.seq)
