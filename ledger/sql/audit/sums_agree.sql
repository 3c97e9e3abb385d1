-- promise: 4. What an account has is told three times, by sums that share no column: by its entries, by its lots,
--   and by its confirmed events, charges and refunds. They agree with each other and with the account.
-- row: An account whose four balances are not one. A debt counts as already spent of later events.
-- scope: account

select count(*) from account;

with by_entries as (
  select e.root_id, e.account_id,
    sum(case when e.kind in (1, 3) then e.amount when e.kind in (2, 4, 6, 7) then -e.amount else 0 end) as available
  from entry e group by e.root_id, e.account_id
), by_lots as (
  select l.root_id, l.account_id, sum(l.remaining) as available,
    coalesce(sum(l.expired) filter (where l.state = 'live'), 0) as expired
  from lot l group by l.root_id, l.account_id
), by_events as (
  select v.root_id, v.account_id, sum(v.granted) as granted
  from event v where v.state = 'confirmed' group by v.root_id, v.account_id
), by_charges as (
  select e.root_id, e.account_id, sum(case e.kind when 2 then e.total else -e.total end) as taken
  from entry e where e.kind in (2, 3) and e.seq = e.movement group by e.root_id, e.account_id
), told as (
  select a.root_id, a.account_id, a.available + a.held as account_says,
    coalesce(n.available, 0) as entries_say,
    coalesce(l.available, 0) as lots_say,
    coalesce(v.granted, 0) - coalesce(c.taken, 0) - coalesce(l.expired, 0) + a.debt as events_and_charges_say
  from account a
    left join by_entries n using (root_id, account_id)
    left join by_lots l using (root_id, account_id)
    left join by_events v using (root_id, account_id)
    left join by_charges c using (root_id, account_id)
)
select * from told
where (entries_say, lots_say, events_and_charges_say) is distinct from (account_says, account_says, account_says)
