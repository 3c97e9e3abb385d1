select e.root_id, e.account_id, e.seq, e.kind, e.amount, e.available_after, e.held_after, e.debt_after,
  e.lot_no as lot, e.movement, e.total, e.refers_to, e.peer_root, e.peer_account, e.member_id as member,
  e.app_id as app, e.operation_id as operation, e.units, e.price_version,
  to_char(e.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
  replace(e.key_hash::text, '-', '') as key, replace(e.request_hash::text, '-', '') as request,
  e.api_key_id as api_key, encode(e.hash, 'hex') as hash
from entry e order by e.root_id, e.account_id, e.seq
