select a.root_id, a.account_id, a.kind, a.status, a.seq, a.available, a.held, a.debt, a.granted, a.spent,
  a.refunded, a.reversed, a.owed, a.repaid, a.expired, a.absorbed, a.recovered, a.moved, a.debt_moved,
  a.line, encode(a.head_hash, 'hex') as head
from account a order by a.root_id, a.account_id
