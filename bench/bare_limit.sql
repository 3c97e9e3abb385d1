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

-- The caller says everything: `p_seqs` and `p_availables` are what its entries say and leave, and the
-- w arrays are each account once, as its row is to be.
create function bare.write_batch(
  p_roots bigint[], p_accounts bigint[], p_seqs bigint[], p_availables bigint[], p_keys uuid[], p_requests uuid[],
  w_roots bigint[], w_accounts bigint[], w_seqs bigint[], w_availables bigint[]
) returns void
language plpgsql as $$
declare
  c_hash constant bytea := '\x6a09e667f3bcc908b2fb1366ea957d3e3adec17512775099da2f590b0667322a';
  v_at timestamptz := clock_timestamp();
begin
  update bare.account a set seq = t.seq, available = t.available, spent = t.seq, head_lot = 1,
      head_left = t.available, head_hash = c_hash, last_at = v_at
    from unnest(w_roots, w_accounts, w_seqs, w_availables) t (root, account, seq, available)
    where a.root_id = t.root and a.account_id = t.account;
  insert into bare.entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                          movement, total, app_id, key_hash, request_hash, operation_id, units, price_version, at, hash)
    select t.root, t.account, t.seq, 2, 1000, t.available, 0, 0, 1, t.seq, 1000, 1, t.key, t.request, 1, 1, 1, v_at, c_hash
    from unnest(p_roots, p_accounts, p_seqs, p_availables, p_keys, p_requests)
      t (root, account, seq, available, key, request);
end $$;
