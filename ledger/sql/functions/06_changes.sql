-- Telling the processes that remember balances which accounts have changed. They hear of it when what changed
-- them is committed, and look again. Not by the session of a process that tells of its changes by itself, after
-- they are committed and of many at once: who announces anything holds, until it is committed, a lock that all
-- who announce wait for.

-- Says that accounts have changed: what they have, what is pending for them, or who may reach them.
create or replace function creditd.tell_changed(p_roots bigint[], p_accounts bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if current_setting('creditd.tells_itself', true) = 'on' then return; end if;
  perform tell_anyway(p_roots, p_accounts);
end $$;

-- The same, by whomever: of accounts that who asked for something has not named, and cannot tell of.
create or replace function creditd.tell_anyway(p_roots bigint[], p_accounts bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  -- A name has 33 letters at most, a message less than 8000.
  perform pg_notify('creditd_changes', t.names)
    from (select string_agg(n.name, ' ') as names
          from (select d.name, row_number() over () / 200 as part
                from (select distinct to_hex(x.root) || case when x.root <> x.account then ':' || to_hex(x.account) else '' end
                      from unnest(p_roots, p_accounts) x (root, account)) d (name)) n
          group by n.part) t;
end $$;

-- The same of the accounts that wallets of a chain earn for.
create or replace function creditd.tell_earners(p_chain bigint, p_wallets bytea[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v_roots bigint[]; v_accounts bigint[];
begin
  -- The limit has each looked up by its whole key: of a join, a planner without statistics takes a part.
  select array_agg(w.root), array_agg(w.account) into v_roots, v_accounts
    from (select distinct unnest(p_wallets) as address) t
      cross join lateral (
        select coalesce(x.linked_root, x.root_id) as root, coalesce(x.linked_account, x.account_id) as account
        from wallet x where x.chain_id = p_chain and x.address = t.address limit 1) w;
  if v_roots is not null then perform tell_changed(v_roots, v_accounts); end if;
end $$;
