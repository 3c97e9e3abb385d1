-- promise: 3. What is done in one go stands together: a movement's entries follow one another, its first entry
--   alone says who asked for what, under which key, and the others are of kinds that belong to it.
-- row: An entry that does not fit into its movement.
-- scope: account

select count(*) from entry;

select e.root_id, e.account_id, e.seq, e.movement, e.kind, 'it begins a movement and does not say what it should'
  as mistake
from entry e
where e.seq = e.movement and not case e.kind
  when 2 then num_nulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version) = 0
    and e.refers_to is null
  when 3 then num_nulls(e.total, e.app_id, e.key_hash, e.request_hash, e.refers_to) = 0
    and num_nonnulls(e.operation_id, e.units, e.price_version) = 0
  when 6 then false
  else num_nonnulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version,
                    e.refers_to) = 0
  end
union all
select e.root_id, e.account_id, e.seq, e.movement, e.kind, 'it does not belong to what precedes it'
from entry e
  left join entry f on f.root_id = e.root_id and f.account_id = e.account_id and f.seq = e.movement
  left join entry b on b.root_id = e.root_id and b.account_id = e.account_id and b.seq = e.seq - 1
where e.seq <> e.movement and (
  f.movement is distinct from f.seq
  or b.movement is distinct from e.movement
  or (f.kind, e.kind) not in ((1, 6), (2, 2), (3, 3), (3, 6), (4, 5), (4, 6), (5, 6), (6, 6))
  or e.refers_to is distinct from f.refers_to
  or num_nonnulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version) > 0)
