-- promise: 4. What is left of each lot, what expired, what was taken back and what the entries used of it are
--   together what was granted; what was used of a reversed lot is owed.
-- row: A lot whose numbers differ from what its entries say.
-- scope: account

select count(*) from lot;

with moved as (
  select e.root_id, e.account_id, e.lot_no,
    coalesce(sum(e.amount) filter (where e.seq = e.lot_no), 0) as founded,
    min(case e.kind when 1 then 'chain' when 3 then 'refund' else 'nothing' end)
      filter (where e.seq = e.lot_no) as source,
    sum(case when e.kind in (2, 6) then e.amount
             when e.kind = 3 and e.seq <> e.lot_no then -e.amount else 0 end) as used,
    coalesce(sum(e.amount) filter (where e.kind = 7), 0) as expired,
    coalesce(sum(e.amount) filter (where e.kind = 4), 0) as reversed,
    coalesce(sum(e.amount) filter (where e.kind = 5), 0) as owed
  from entry e where e.lot_no is not null group by e.root_id, e.account_id, e.lot_no
)
select l.root_id, l.account_id, l.lot_no, l.state, l.source, l.amount, l.remaining, l.expired, l.reversed,
  m.source as entries_source, m.founded as entries_granted, m.used as entries_used,
  m.expired as entries_expired, m.reversed as entries_reversed, m.owed as entries_owed
from lot l left join moved m using (root_id, account_id, lot_no)
where m.founded is distinct from l.amount
  or m.source is distinct from l.source
  or l.remaining + l.expired + l.reversed + m.used <> l.amount
  or l.expired <> m.expired
  or l.reversed <> m.reversed
  or m.owed <> case l.state when 'reversed' then m.used else 0 end
