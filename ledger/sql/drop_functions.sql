-- Another release's functions go before this one's are laid: a changed argument list would leave the
-- old function beside the new one, a changed result cannot replace the old. Triggers are laid anew.
do $$
declare v_name text;
begin
  for v_name in select p.oid::regprocedure from pg_proc p where p.pronamespace = 'creditd'::regnamespace loop
    execute 'drop function if exists ' || v_name || ' cascade';
  end loop;
  drop type if exists creditd.charge_outcome, creditd.refund_outcome;
end $$;
