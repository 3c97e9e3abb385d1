-- promise: 3. What is done in one go stands together: a movement's entries follow one another, its first entry
--   alone says who asked for what, under which key, and the others are of kinds that belong to it.
-- row: An entry that does not fit into its movement.
-- scope: account

select coalesce(sum(entries), 0)::bigint from counted;

select e.root_id, e.account_id, e.seq, e.movement, e.kind, 'it begins a movement and does not say what it should'
  as mistake
from entry e
where e.seq = e.movement and not case e.kind
  when 1 then num_nulls(e.total, e.key_hash, e.request_hash) = 0 and num_nonnulls(e.operation_id, e.units) = 0
  when 2 then num_nulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version) = 0
    and e.refers_to is null
  when 3 then num_nulls(e.total, e.app_id, e.key_hash, e.request_hash, e.refers_to) = 0
    and num_nonnulls(e.operation_id, e.units, e.price_version) = 0
  when 8 then num_nulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version) = 0
  -- How many units were used an app says, not the clock.
  when 9 then num_nulls(e.total, e.refers_to) = 0 and num_nonnulls(e.operation_id, e.price_version) = 0
    and (e.units is null or e.key_hash is not null)
  when 10 then e.refers_to is not null and num_nonnulls(e.operation_id, e.price_version) = 0
    and (e.units is null or e.key_hash is not null)
  when 13 then num_nulls(e.peer_root, e.peer_account) = 0
  when 14 then num_nulls(e.peer_root, e.peer_account) = 0 and num_nonnulls(e.total, e.key_hash) = 0
  when 15 then num_nulls(e.peer_root, e.peer_account) = 0 and num_nonnulls(e.total, e.key_hash) = 0
  when 16 then num_nulls(e.peer_root, e.peer_account) = 0 and num_nonnulls(e.total, e.key_hash) = 0
  when 6 then false
  when 12 then false
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
  -- What comes back ends, pays or goes on as its account says; what is asked for stands alone.
  or not e.kind = any (case f.kind
    when 1 then array[6, 12, 13, 15, 17, 18]
    when 2 then array[2]
    when 3 then array[3, 4, 6, 7, 13, 15, 17, 18]
    when 4 then array[4, 5, 6, 11, 13, 15, 17, 18]
    when 5 then array[5, 6, 11, 13, 15]
    when 8 then array[8]
    when 9 then array[2, 4, 5, 6, 7, 9, 10, 11, 13, 15, 17, 18]
    when 10 then array[4, 6, 7, 10, 13, 15, 17, 18]
    when 11 then array[5, 6, 11]
    when 13 then array[13, 15]
    when 14 then array[6, 14, 16, 17, 18]
    when 16 then array[6]
    else array[]::integer[] end)
  or e.refers_to is distinct from f.refers_to and (e.kind in (2, 3, 9, 10) or (f.kind = 3 and e.kind = 6))
  or num_nonnulls(e.total, e.app_id, e.key_hash, e.request_hash, e.operation_id, e.units, e.price_version) > 0)
