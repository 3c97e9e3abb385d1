-- promise: 3. One accepted key, one movement: no key was used twice.
-- row: A key with several movements; `first` and `last` are two of them.
-- scope: account

select coalesce(sum(keys), 0)::bigint from counted;

with used_again as (  -- told by the index alone: the entries are read where there is such a key
  select e.root_id, e.key_hash, count(*) as movements
  from entry e where e.key_hash is not null group by e.root_id, e.key_hash having count(*) > 1
)
select u.root_id, u.key_hash::text as key_hash, u.movements, min(e.account_id) as account_id,
  min(e.seq) as first, max(e.seq) as last
from used_again u join entry e using (root_id, key_hash)
group by u.root_id, u.key_hash, u.movements
