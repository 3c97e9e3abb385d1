-- promise: 4. What an API key is said to have spent is what the charges and settlements come to that name it.
-- row: An API key whose spending differs from its entries.
-- scope: books

select count(*) from api_key_use;

with said as (
  select u.key_id, sum(u.spent) as spent from api_key_use u group by u.key_id
), done as (
  select e.api_key_id as key_id, sum(e.total) as spent from entry e
  where e.api_key_id is not null and e.kind in (2, 9) group by e.api_key_id
)
select key_id, s.spent as said_spent, d.spent as entries_spent
from said s full join done d using (key_id)
where coalesce(s.spent, 0) <> coalesce(d.spent, 0)
