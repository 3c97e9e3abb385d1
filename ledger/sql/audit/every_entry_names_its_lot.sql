-- promise: 5. Every spent unit names its grant: each entry's lot is one of its account's, granted by an entry
--   that is not later than itself.
-- row: An entry whose lot is not named, not there, or younger than the entry.
-- scope: account

select coalesce(sum(entries), 0)::bigint from counted;

select e.root_id, e.account_id, e.seq, e.kind, e.amount, e.lot_no
from entry e left join lot l using (root_id, account_id, lot_no)
where e.amount <> 0 and e.kind not in (15, 16) and (l.lot_no is null or l.lot_no > e.seq)
