-- promise: 7. Entries are never changed or removed: both triggers that refuse it stand before every update, delete
--   and truncate, and are switched on.
-- row: A trigger of the two that is missing, off, or does not fire for everything it should.
-- scope: books

select count(*) from pg_trigger where tgrelid = 'entry'::regclass and not tgisinternal;

-- Bits of tgtype: 1 for each row, 2 before, 8 delete, 16 update, 32 truncate.
select x.name as trigger_name, t.tgenabled::text as enabled, t.tgtype as fires, x.fires as should_fire,
  t.tgfoid::regproc::text as calls
from (values ('entry_is_append_only', 1 + 2 + 8 + 16), ('entry_is_never_truncated', 2 + 32)) x (name, fires)
  left join pg_trigger t on t.tgrelid = 'entry'::regclass and t.tgname = x.name
where t.oid is null
  or t.tgenabled not in ('O', 'A')
  or t.tgtype <> x.fires
  or t.tgqual is not null
  or cardinality(t.tgattr::smallint[]) > 0
  or t.tgfoid <> to_regproc('creditd.refuse_change')
