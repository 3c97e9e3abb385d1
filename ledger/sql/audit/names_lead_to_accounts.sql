-- promise: 4. Nothing belongs to nobody: whatever names an account names one that is there.
-- row: An account that is not there, and which table speaks of it.
-- scope: account
-- shares: entries_by_lot

select count(*) from account;

select n.root_id, n.account_id, n.named_by, sum(n.rows) as rows
from (
  select root_id, account_id, 'entry' as named_by, entries as rows from entries_by_lot
  union all select root_id, account_id, 'lot', 1 from lot
  union all select root_id, account_id, 'event', 1 from event where account_id is not null
  union all select root_id, account_id, 'cap_use', 1 from cap_use
  union all select root_id, account_id, 'wallet', 1 from wallet
  union all select root_id, account_id, 'account_name', 1 from account_name
  union all select root_id, account_id, 'account_access', 1 from account_access
) n
where not exists (select from account a where a.root_id = n.root_id and a.account_id = n.account_id)
group by n.root_id, n.account_id, n.named_by
