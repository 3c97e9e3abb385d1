-- promise: 4. What an account has is told three times, by sums that share no column: by its entries, by its lots,
--   and by what was asked of it: confirmed events, other grants, charges, reservations, refunds, movements to and
--   from others. They agree with each other and with the account.
-- row: An account whose balances are not one. A debt counts as already spent of later grants.
-- scope: account
-- shares: entries_by_lot

select count(*) from account;

with by_entries as (
  select root_id, account_id, sum(has) as has, sum(taken) as taken, sum(came) as came
  from entries_by_lot group by root_id, account_id
), by_lots as (
  select l.root_id, l.account_id,
    sum(case when l.lot_no = a.head_lot then a.head_left else l.remaining end + l.held) as has,
    sum(l.expired) as expired,
    -- What had moved here before it was reversed is no more what came from others.
    sum(case l.state when 'reversed' then l.expired + l.held + l.absorbed + l.moved
          - case when l.origin_root is null then 0 else l.amount end else 0 end) as stays_reversed
  from lot l join account a using (root_id, account_id) group by l.root_id, l.account_id
), by_events as (
  select v.root_id, v.account_id, sum(v.granted) as granted
  from event v where v.state = 'confirmed' group by v.root_id, v.account_id
), by_grants as (  -- by whoever granted without an event
  select l.root_id, l.account_id, sum(l.amount) as granted
  from lot l join entry e on e.root_id = l.root_id and e.account_id = l.account_id and e.seq = l.lot_no and e.kind = 1
  where l.rule_id is null and l.state = 'live' group by l.root_id, l.account_id
), by_reservations as (
  select r.root_id, r.account_id, sum(r.settled) as taken
  from reservation r where r.state <> 'open' group by r.root_id, r.account_id
), told as (
  select a.root_id, a.account_id, a.available + a.held as account_says,
    coalesce(n.has, 0) as entries_say,
    coalesce(l.has, 0) as lots_say,
    coalesce(v.granted, 0) + coalesce(g.granted, 0) + coalesce(l.stays_reversed, 0) - coalesce(n.taken, 0)
      - coalesce(r.taken, 0) - coalesce(l.expired, 0) + coalesce(n.came, 0) + a.debt as causes_say
  from account a
    left join by_entries n using (root_id, account_id)
    left join by_lots l using (root_id, account_id)
    left join by_events v using (root_id, account_id)
    left join by_grants g using (root_id, account_id)
    left join by_reservations r using (root_id, account_id)
)
select * from told where (entries_say, lots_say, causes_say) is distinct from (account_says, account_says, account_says)
