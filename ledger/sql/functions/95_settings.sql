-- While one transaction stays open, no row version of any account that is charged meanwhile can go, and
-- a busy account gets slower with each of them. Whoever idles in one is ended after a minute, unless the
-- operator has set another time for this database. Work that takes long (pg_dump, reports) is not idle:
-- it belongs on a standby.
do $$
begin
  if not exists (
    select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
    where d.datname = current_database() and s.setrole = 0
      and array_to_string(s.setconfig, ' ') like '%idle_in_transaction_session_timeout=%'
  ) and (select setting = '0' from pg_settings where name = 'idle_in_transaction_session_timeout') then
    execute format('alter database %I set idle_in_transaction_session_timeout = %L', current_database(), '60s');
  end if;
exception when insufficient_privilege then
  raise notice 'this login may not set idle_in_transaction_session_timeout for the database: its owner should';
end $$;
