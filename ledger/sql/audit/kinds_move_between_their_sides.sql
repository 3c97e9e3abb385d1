-- promise: 4. Each kind of entry takes credits from its one side and puts them on its other; there are no more kinds.
-- row: A kind that is missing, that nobody knows, or that moves otherwise.
-- scope: books

select count(*) from entry_kind;

select kind, k.name, k.from_side, k.to_side, x.name as name_is, x.from_side as from_side_is, x.to_side as to_side_is
from entry_kind k full join (values
  (1, 'grant', 'issuance', 'available'),
  (2, 'charge', 'available', 'revenue'),
  (3, 'refund', 'revenue', 'available'),
  (4, 'reversal', 'available', 'issuance'),
  (5, 'debt', 'debt', 'issuance'),
  (6, 'repayment', 'available', 'debt'),
  (7, 'expiry', 'available', 'expired'),
  (8, 'reserve', 'available', 'held'),
  (9, 'settlement', 'held', 'revenue'),
  (10, 'release', 'held', 'available'),
  (11, 'absorption', 'loss', 'issuance'),
  (12, 'recovery', 'available', 'loss'),
  (13, 'move_out', 'available', 'moved'),
  (14, 'move_in', 'moved', 'available'),
  (15, 'debt_out', 'moved', 'debt'),
  (16, 'debt_in', 'debt', 'moved'),
  (17, 'credit_line', 'line', 'available'),
  (18, 'line_cut', 'available', 'line')) x (kind, name, from_side, to_side) using (kind)
where (k.name, k.from_side, k.to_side) is distinct from (x.name, x.from_side, x.to_side)
union all
select c.kind, null, null, null, null, null, null
from counted c where not exists (select from entry_kind k where k.kind = c.kind)
