-- promise: 7. The functions that write the books are this release's, to the letter, and run as their owner with a
--   fixed search path where they run for another.
-- row: A function that is missing or not as this release lays it, or the release that the books say they are.
--   The text of functions with a SQL-standard body is not kept by the database, so only their presence is compared.
-- scope: books

select count(*) from laid_function;

select f.function_name, case
    when p.oid is null then 'it is missing'
    when p.prosrc <> f.body then 'its text is another'
    else 'it runs otherwise' end as mistake
from laid_function f left join (pg_proc p join pg_language l on l.oid = p.prolang)
  on p.pronamespace = 'creditd'::regnamespace and p.proname = f.function_name
where p.oid is null
  or p.prosrc <> f.body
  or l.lanname <> f.language
  or p.prosecdef <> f.is_definer
  or coalesce(p.proconfig, '{}') <> f.settings
  or p.proowner <> (select c.relowner from pg_class c where c.oid = 'entry'::regclass)
union all
select null, 'the books say they are run by the functions ' || coalesce(r.functions, 'of no release')
from laid_release x left join release r on true
where r.functions is distinct from x.functions
