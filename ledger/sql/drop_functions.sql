-- Functions whose arguments or results another release changes cannot be replaced: all go before the
-- new ones are laid, at once, because some are parts of others. Those of triggers take and give
-- nothing, and stay: to drop them would lock their tables.
do $$
declare v_names text;
begin
  select string_agg(p.oid::regprocedure::text, ', ') into v_names from pg_proc p
    where p.pronamespace = 'creditd'::regnamespace and p.prorettype <> 'trigger'::regtype;
  if v_names is not null then
    execute 'drop function ' || v_names || ' cascade';
  end if;
  select string_agg(format('creditd.%I', c.relname), ', ') into v_names from pg_class c
    where c.relnamespace = 'creditd'::regnamespace and c.relkind = 'c';
  if v_names is not null then
    execute 'drop type ' || v_names;
  end if;
end $$;
