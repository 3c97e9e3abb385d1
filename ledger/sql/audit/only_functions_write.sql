-- promise: 7. Nobody but the owner writes a table or makes anything beside it: all others have only the functions.
-- row: A role and what it could do. Superusers and the owner's own members are the owner's choice, but the four
--   roles of the books are never among them.
-- scope: books

select count(*) from pg_class where relnamespace = 'creditd'::regnamespace and relkind in ('r', 'p');

with owned as (
  select c.oid, c.relname, c.relowner from pg_class c
  where c.relnamespace = 'creditd'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
), other as (
  select r.oid, r.rolname,
    r.rolname in ('creditd_watcher', 'creditd_api', 'creditd_operator', 'creditd_reader') as is_ours
  from pg_roles r where not starts_with(r.rolname, 'pg_')
)
select o.rolname as role_name, t.relname as table_name, p.privilege
from other o cross join owned t
  cross join (values ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) p (privilege)
where (o.is_ours or not pg_has_role(o.oid, t.relowner, 'member'))
  and (has_table_privilege(o.oid, t.oid, p.privilege)
       or (p.privilege in ('INSERT', 'UPDATE') and has_any_column_privilege(o.oid, t.oid, p.privilege)))
union all
select o.rolname, null, 'CREATE'
from other o join pg_namespace n on n.nspname = 'creditd'
where (o.is_ours or not pg_has_role(o.oid, n.nspowner, 'member')) and has_schema_privilege(o.oid, n.oid, 'CREATE')
