-- promise: 1. No credits past their end are spent: an account knows when its next lot ends, and nothing ends early.
-- row: A lot that ends before its account looks, or that was ended before its time.
-- scope: account

select count(*) from lot;

select l.root_id, l.account_id, l.lot_no, l.remaining, l.expires_at::text as expires_at,
  a.next_expiry::text as looked_at, null::bigint as seq
from lot l join account a using (root_id, account_id)
where l.remaining > 0 and l.expires_at < a.next_expiry
union all
select l.root_id, l.account_id, l.lot_no, l.remaining, l.expires_at::text, e.at::text, e.seq
from entry e join lot l using (root_id, account_id, lot_no)
where e.kind = 7 and e.at < l.expires_at
