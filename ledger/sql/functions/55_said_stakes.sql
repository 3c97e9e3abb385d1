-- What contracts say themselves is staked, held against the stakes in the books.

-- Holds what a source's contracts say is staked in all, at the last confirmed block, against the stakes in the
-- books. What differs is an alarm until it does no more. Says whether it could be compared: not when the books
-- have moved on since.
create or replace function creditd.note_total(
  p_chain bigint, p_epoch bigint, p_rule integer, p_number bigint, p_total numeric
) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_number bigint;
  v_staked numeric;
begin
  perform refuse_null('p_rule p_number p_total', array[p_rule is null, p_number is null, p_total is null]);
  perform chain_seen(p_chain, p_epoch);
  select c.confirmed_number,
      (select coalesce(sum(s.balance + (select coalesce(sum(x), 0) from unnest(s.maturing) x)), 0)
       from stake s where s.rule_id = p_rule)
    into v_number, v_staked from chain c where c.chain_id = p_chain;
  if v_number <> p_number then return false; end if;
  update rule r set total_said = case when v_staked <> p_total then
      r.name || ': at block ' || p_number || ' its contract says that ' || p_total || ' base units are staked, the books '
        || v_staked end
    where r.rule_id = p_rule and r.chain_id = p_chain;
  return true;
end $$;

-- Holds what a source's contracts say that some wallets have staked, at the last confirmed block, against their
-- stakes in the books. One that differs is an alarm until it is asked for again and does no more. `p_after` is
-- the wallet after which the round goes on, null where it begins anew. Says whether they could be compared.
create or replace function creditd.note_balances(
  p_chain bigint, p_epoch bigint, p_rule integer, p_number bigint, p_wallets bytea[], p_said numeric[], p_after bytea
) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_wallets);
  c_differing_max constant integer := 1000;  -- of a source: where more differ, they do for one reason
  v_number bigint;
  v_booked numeric[];
begin
  perform refuse_null('p_rule p_number p_wallets p_said',
    array[p_rule is null, p_number is null, lacks(p_wallets, n), lacks(p_said, n)]);
  perform chain_seen(p_chain, p_epoch);
  select c.confirmed_number, array(
      select coalesce(s.balance + (select coalesce(sum(x), 0) from unnest(s.maturing) x), 0)
      from unnest(p_wallets) with ordinality t (wallet, place)
        left join stake s on s.rule_id = p_rule and s.wallet = t.wallet
      order by t.place)
    into v_number, v_booked from chain c where c.chain_id = p_chain;
  if v_number <> p_number then return false; end if;
  delete from differing_stake d using unnest(p_wallets, p_said, v_booked) t (wallet, said, booked)
    where d.rule_id = p_rule and d.wallet = t.wallet and t.said = t.booked;
  insert into differing_stake as d (rule_id, wallet, block_number, said, booked)
    select p_rule, t.wallet, p_number, t.said, t.booked
    from unnest(p_wallets, p_said, v_booked) with ordinality t (wallet, said, booked, place)
    where t.said <> t.booked
      and (exists (select from differing_stake x where x.rule_id = p_rule and x.wallet = t.wallet)
           or t.place + (select count(*) from differing_stake x where x.rule_id = p_rule) <= c_differing_max)
    on conflict on constraint differing_stake_pkey do update
      set block_number = excluded.block_number, said = excluded.said, booked = excluded.booked;
  update rule r set asked_after = p_after
    where r.rule_id = p_rule and r.chain_id = p_chain and r.asked_after is distinct from p_after;
  return true;
end $$;

-- Notes of which sources the contracts are asked for what is staked, in all and by wallet: what was said of
-- others is no alarm any more, for nobody would ever ask again.
create or replace function creditd.note_asked(
  p_chain bigint, p_epoch bigint, p_totals integer[], p_balances integer[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_totals p_balances',
    array[lacks(p_totals, cardinality(p_totals)), lacks(p_balances, cardinality(p_balances))]);
  perform chain_seen(p_chain, p_epoch);
  update rule r set total_said = null
    where r.chain_id = p_chain and r.total_said is not null and r.rule_id <> all (p_totals);
  delete from differing_stake d using rule r
    where r.rule_id = d.rule_id and r.chain_id = p_chain and r.rule_id <> all (p_balances);
end $$;
