-- The bare limit: the rows that a batch of charges writes, in tables of the same columns, widths and
-- indexes, with no rule checked and nothing looked up. No ledger that keeps these rows can be faster.
drop schema if exists bare cascade;
create schema bare;
create table bare.account (like creditd.account including defaults including storage including indexes);
create table bare.entry (like creditd.entry including defaults including storage including indexes);

-- How full pages are kept and when they are cleaned is not part of LIKE.
do $$
declare v_table record;
begin
  for v_table in
    select c.relname, array_to_string(c.reloptions, ', ') as options from pg_class c
    where c.relnamespace = 'creditd'::regnamespace and c.relname in ('account', 'entry') and c.reloptions is not null
  loop
    execute format('alter table bare.%I set (%s)', v_table.relname, v_table.options);
  end loop;
end $$;

insert into bare.account select * from creditd.account order by root_id, account_id;

-- Asked and answered as the ledger's own function of this name, so that callers, lanes and wire are the
-- same. An entry's number is the time, the session and its place in the batch: nobody else's, and nothing
-- is read for it.
create function bare.charge_batch(
  p_route bigint, p_roots bigint[], p_accounts bigint[], p_apps integer[], p_keys uuid[], p_requests uuid[],
  p_operations text[], p_models text[], p_operation_of integer[], p_units bigint[], p_versions integer[],
  p_api_keys integer[],
  out o_outcomes smallint[], out o_payers bigint[], out o_seqs bigint[], out o_versions integer[],
  out o_amounts bigint[], out o_availables bigint[], out o_debts bigint[], out o_times timestamptz[],
  out o_by_models smallint[]
)
language plpgsql as $$
declare
  c_hash constant bytea := '\x6a09e667f3bcc908b2fb1366ea957d3e3adec17512775099da2f590b0667322a';
  c_some constant bigint := 1000000000;
  v_size constant integer[] := array[cardinality(p_roots)];
  v_at constant timestamptz := clock_timestamp();
  v_seq constant bigint :=
    ((extract(epoch from v_at - timestamptz '2026-01-01 00:00Z') * 1000000)::bigint * 128 + pg_backend_pid() % 128) * 512;
begin
  update bare.account a set seq = v_seq, available = c_some, spent = c_some, head_lot = 1, head_left = c_some,
      head_hash = c_hash, last_at = v_at
    from (select distinct x.root, x.account from unnest(p_roots, p_accounts) x (root, account) order by 1, 2) t
    where a.root_id = t.root and a.account_id = t.account;
  insert into bare.entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                          movement, total, app_id, key_hash, request_hash, operation_id, units, price_version, at, hash)
    select t.root, t.account, v_seq + t.no, 2, 1000, c_some, 0, 0, 1, v_seq + t.no, 1000, t.app, t.key, t.request, 1,
      t.units, 1, v_at, c_hash
    from unnest(p_roots, p_accounts, p_apps, p_keys, p_requests, p_units)
      with ordinality t (root, account, app, key, request, units, no);
  o_outcomes := array_fill(1::smallint, v_size); o_payers := p_accounts; o_seqs := array_fill(v_seq, v_size);
  o_versions := array_fill(1, v_size); o_amounts := array_fill(1000::bigint, v_size);
  o_availables := array_fill(c_some, v_size); o_debts := array_fill(0::bigint, v_size);
  o_times := array_fill(v_at, v_size); o_by_models := array_fill(0::smallint, v_size);
end $$;
