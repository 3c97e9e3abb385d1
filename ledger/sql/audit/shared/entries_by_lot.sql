-- What several checks need to know of the entries, by account and lot: read once for all of them.
-- `has`, `taken` and `came` are what the account has of it, what was asked for, and what came from elsewhere.
select e.root_id, e.account_id, e.lot_no, count(*) as entries,
  min(e.seq) filter (where e.amount <> 0 and e.kind not in (15, 16)) as first_used,
  coalesce(sum(e.amount) filter (where e.seq = e.lot_no and e.kind <> 17), 0)
    + coalesce(sum(e.amount) filter (where e.kind = 17), 0) as founded,
  min(e.kind) filter (where e.seq = e.lot_no) as founded_by,
  sum(case when e.kind in (2, 6, 9, 12, 18) then e.amount
           when e.kind = 3 and e.seq <> e.lot_no then -e.amount else 0 end) as used,
  sum(case e.kind when 8 then e.amount when 9 then -e.amount when 10 then -e.amount else 0 end) as held,
  coalesce(sum(e.amount) filter (where e.kind = 7), 0) as expired,
  coalesce(sum(e.amount) filter (where e.kind = 4), 0) as reversed,
  coalesce(sum(e.amount) filter (where e.kind = 13), 0) as moved,
  coalesce(sum(e.amount) filter (where e.kind = 11), 0) as absorbed,
  coalesce(sum(e.amount) filter (where e.kind = 5), 0) as owed,
  sum(case when e.kind in (1, 3, 14, 17) then e.amount
           when e.kind in (2, 4, 6, 7, 9, 12, 13, 18) then -e.amount else 0 end) as has,
  sum(case when e.seq <> e.movement then 0 when e.kind = 2 then e.total when e.kind = 3 then -e.total
           else 0 end) as taken,
  sum(case when e.kind in (14, 15, 17) then e.amount when e.kind in (12, 13, 16, 18) then -e.amount
           else 0 end) as came
from entry e group by e.root_id, e.account_id, e.lot_no
