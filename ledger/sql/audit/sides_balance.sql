-- promise: 4. Double entry: every entry takes from one side what it puts on another, so all sides together are
--   nothing, and each side is what the accounts say of it.
-- row: A side of the books (or all together) where entries and accounts differ.
-- scope: books

select count(*) from (select from_side from entry_kind union select to_side from entry_kind) side;

with moved as (
  select k.from_side, k.to_side, c.amount from counted c join entry_kind k using (kind)
), by_entries as (
  select side, sum(amount) as amount
  from (select to_side as side, amount from moved union all select from_side, -amount from moved) leg
  group by side
), by_accounts as (
  select s.side, sum(s.amount) as amount
  from account a cross join lateral (values
    ('available', a.available::numeric), ('held', a.held::numeric), ('debt', -a.debt::numeric),
    ('issuance', a.reversed::numeric + a.owed + a.absorbed - a.granted), ('revenue', a.spent::numeric - a.refunded),
    ('expired', a.expired::numeric), ('loss', a.recovered::numeric - a.absorbed),
    ('moved', -a.moved::numeric - a.debt_moved), ('line', -a.line::numeric)) s (side, amount)
  group by s.side
), told as (
  select side, coalesce(e.amount, 0) as entries_say, coalesce(a.amount, 0) as accounts_say
  from by_entries e full join by_accounts a using (side)
)
select * from told where entries_say <> accounts_say
union all
select 'all', sum(entries_say), sum(accounts_say) from told
having sum(entries_say) <> 0 or sum(accounts_say) <> 0
