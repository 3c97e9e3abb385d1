-- promise: 7. Each role can call just its own functions: who spends cannot grant, who reads cannot write.
-- row: A role and a function that is not its own, or another role that it could turn into.
-- scope: books

select count(*) from pg_proc where pronamespace = 'creditd'::regnamespace;

with ours as (
  select r.oid, r.rolname from pg_roles r
  where r.rolname in ('creditd_watcher', 'creditd_api', 'creditd_operator', 'creditd_reader')
)
select o.rolname as role_name, p.oid::regprocedure::text as could_call
from ours o cross join pg_proc p
where p.pronamespace = 'creditd'::regnamespace and has_function_privilege(o.oid, p.oid, 'EXECUTE')
  and not exists (select from laid_grant g where g.role_name = o.rolname and g.function_name = p.proname)
union all
select case g.grantee when 0 then 'public' else g.grantee::regrole::text end, p.oid::regprocedure::text
from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
where p.pronamespace = 'creditd'::regnamespace and g.grantee <> p.proowner
  and not exists (select from ours o where o.oid = g.grantee)
union all
select o.rolname, 'whatever ' || m.roleid::regrole::text || ' may'
from ours o join pg_auth_members m on m.member = o.oid
