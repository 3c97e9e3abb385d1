-- promise: 2. Whatever lies at or below the last final block is confirmed or waits for a later one, whatever lies
--   above it is pending, and both are in the blocks that we followed. Of the block that ends a period stakes are
--   granted first.
-- row: An event on the wrong side, or of a block that the books know otherwise.
-- scope: books

select count(*) from event where state <> 'reversed';

select v.event_no, v.chain_id, v.tx_hash, v.ordinal, v.role, v.state, v.block_number, v.block_hash,
  c.confirmed_number, c.indexed_number, b.hash as remembered_hash
from event v
  left join chain c on c.chain_id = v.chain_id
  left join block b on b.chain_id = v.chain_id and b.number = v.block_number
where v.state <> 'reversed' and (
  c.chain_id is null
  or case v.state
     when 'confirmed' then v.block_number > c.confirmed_number
       and (v.ordinal <> -1 or v.block_number is distinct from c.accruing_number)
     else v.block_number > c.indexed_number
       or case when v.block_number > c.confirmed_number then b.hash is null
          else not exists (
            select from waiting_event y where y.event_no = v.event_no and y.due_number > c.confirmed_number) end
     end
  or b.hash <> v.block_hash
  or b.time <> v.block_time)
