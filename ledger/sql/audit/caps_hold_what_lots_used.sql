-- promise: 6. What is used of a rule's caps is what its live lots were granted, on each day and over all days
--   (the day -infinity): a reversal gives back what it took.
-- row: A cap whose used part differs from its lots. A cap lowered later may lie below what was granted before.
-- scope: account

select count(*) from cap_use;

with used as (
  select l.root_id, l.account_id, l.rule_id, d.day, sum(l.amount) as granted
  from lot l cross join lateral (values ('-infinity'::date), (l.cap_day)) d (day)
  where l.rule_id is not null and l.state = 'live' and l.cap_day is not null
  group by l.root_id, l.account_id, l.rule_id, d.day
)
select root_id, account_id, rule_id, day::text as day, c.granted as used, u.granted as lots_used
from cap_use c full join used u using (root_id, account_id, rule_id, day)
where coalesce(c.granted, 0) <> coalesce(u.granted, 0)
