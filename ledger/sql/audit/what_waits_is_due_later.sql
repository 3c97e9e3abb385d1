-- promise: 2. Each event waits for one block: a later one than its own, which is not confirmed yet. Only what is
--   pending waits, and only what earns by itself.
-- row: What is said to wait, and is not such an event, or should have been granted.
-- scope: books

select count(*) from waiting_event;

select y.event_no, y.chain_id, y.wallet, y.due_number, v.tx_hash, v.ordinal, v.role, v.state, v.block_number,
  c.confirmed_number
from waiting_event y
  left join event v on v.event_no = y.event_no
  left join chain c on c.chain_id = y.chain_id
where (v.chain_id, v.wallet, v.state) is distinct from (y.chain_id, y.wallet, 'pending')
  or v.role <> 0 or v.ordinal = -1
  or y.due_number <= v.block_number
  or (y.due_number > c.confirmed_number) is not true
