-- promise: 1. No credits past their end are spent: an account knows when its next lot ends or comes into effect,
--   and nothing ends early.
-- row: A lot that ends or begins before its account looks, or that was ended before its time.
-- scope: account

select count(*) from lot;

select l.root_id, l.account_id, l.lot_no, l.remaining, l.effective_at::text as effective_at,
  l.expires_at::text as expires_at, a.valid_until::text as looked_at, null::bigint as seq
from lot l join account a using (root_id, account_id)
where l.remaining > 0 and (l.expires_at < a.valid_until
  or (l.effective_at > clock_timestamp() and l.effective_at < a.valid_until))
union all
select l.root_id, l.account_id, l.lot_no, l.remaining, l.effective_at::text, l.expires_at::text, e.at::text, e.seq
from entry e join lot l using (root_id, account_id, lot_no)
where e.kind = 7 and e.at < l.expires_at
