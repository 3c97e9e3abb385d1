-- promise: 4. What is left of each lot, what is reserved of it, what expired, was taken back or moved on and what the
--   entries used of it are together what it began with; what was used of a reversed lot is owed or absorbed.
-- row: A lot whose numbers differ from what its entries say. Of the lot being burned the account has the rest.
-- scope: account
-- shares: entries_by_lot

select count(*) from lot;

with standing as (
  select l.*, case when l.lot_no = a.head_lot then a.head_left else l.remaining end as is_left
  from lot l left join account a using (root_id, account_id)
)
select l.root_id, l.account_id, l.lot_no, l.state, l.source, l.amount, l.is_left as remaining, l.held, l.expired,
  l.reversed, l.moved, l.absorbed, m.founded_by as entries_founded_by, m.founded as entries_founded,
  m.used as entries_used, m.held as entries_held, m.expired as entries_expired, m.reversed as entries_reversed,
  m.moved as entries_moved, m.absorbed as entries_absorbed, m.owed as entries_owed
from standing l left join entries_by_lot m using (root_id, account_id, lot_no)
where m.founded is null
  -- An overdraft's amount is its limit, which rises and falls; what is left of it still adds up.
  or (l.source <> 'overdraft' and m.founded <> l.amount)
  or m.founded_by is distinct from case
    when l.origin_root is not null then 14 when l.source = 'refund' and l.rule_id is null and m.founded_by = 3 then 3
    when l.source = 'overdraft' then 17 else 1 end
  or l.is_left + l.held + l.expired + l.reversed + l.moved + m.used <> m.founded
  or l.held <> m.held
  or l.expired <> m.expired
  or l.reversed <> m.reversed
  or l.moved <> m.moved
  or l.absorbed <> m.absorbed
  or m.owed + m.absorbed <> case l.state when 'reversed' then m.used else 0 end
