-- promise: 6. The remembered blocks follow one another by number and by hash up to the cursor, and the last final
--   one is among them.
-- row: A block that does not follow the one before, or a cursor that does not stand on its block.
-- scope: books

select count(*) from block;

with followed as (
  select b.*, lag(b.number) over by_height as before_number, lag(b.hash) over by_height as before_hash,
    lead(b.number) over by_height is null as is_last
  from block b window by_height as (partition by b.chain_id order by b.number)
)
select b.chain_id, b.number, b.hash, 'it does not follow the block before it' as mistake
from followed b where b.number <> b.before_number + 1 or b.parent <> b.before_hash
union all
select chain_id, coalesce(b.number, c.indexed_number), b.hash, 'the cursor does not stand on it'
from (select * from followed where is_last) b full join chain c using (chain_id)
where (b.number, b.hash) is distinct from (c.indexed_number, c.indexed_hash) or b.time <> c.indexed_time
union all
select c.chain_id, c.confirmed_number, b.hash, 'the last final block is not remembered as it was'
from chain c left join block b on b.chain_id = c.chain_id and b.number = c.confirmed_number
where b.hash is distinct from c.confirmed_hash or b.time <> c.confirmed_time
