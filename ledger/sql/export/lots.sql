-- What is left of the lot that is being burned is in its account's row. A lot that begins or ends never
-- says no time for it.
select l.root_id, l.account_id, l.lot_no as lot, l.source, r.name as rule, encode(l.cause, 'hex') as cause,
  l.incarnation, l.reason, l.amount,
  case l.lot_no when a.head_lot then a.head_left else l.remaining end as remaining,
  l.held, l.expired, l.reversed, l.moved, l.absorbed, l.priority,
  case when isfinite(l.effective_at)
    then to_char(l.effective_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end as effective_at,
  case when isfinite(l.expires_at)
    then to_char(l.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end as expires_at,
  l.operations, l.origin_root, l.origin_account, l.origin_lot, l.state
from lot l left join account a using (root_id, account_id) left join rule r using (rule_id)
order by l.root_id, l.account_id, l.lot_no
