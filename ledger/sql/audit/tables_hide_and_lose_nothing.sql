-- promise: 8. What is written is there after a crash and for every reader: no table is unlogged, hides rows, or
--   has a rule or trigger that is not of these books.
-- row: A table and what is wrong with it.
-- scope: books

select count(*) from pg_class where relnamespace = 'creditd'::regnamespace and relkind in ('r', 'p');

with owned as (
  select c.* from pg_class c where c.relnamespace = 'creditd'::regnamespace and c.relkind in ('r', 'p')
)
select t.relname as table_name, 'a crash would empty it: it is not logged' as mistake
from owned t where t.relpersistence <> 'p'
union all
select t.relname, 'row security may hide rows of it' from owned t where t.relrowsecurity
union all
select t.relname, 'the rule ' || r.rulename || ' bends what is done to it'
from owned t join pg_rewrite r on r.ev_class = t.oid
union all
select t.relname, 'the trigger ' || g.tgname || ' is not of these books'
from owned t join pg_trigger g on g.tgrelid = t.oid
where not g.tgisinternal and (t.relname, g.tgname) not in
  (('entry', 'entry_is_append_only'), ('entry', 'entry_is_never_truncated'))
