-- What was missed: events of final blocks that were read without them, or with less than is known now. They
-- come in through the path that all grants take.
--
-- Whoever calls these does not have to lead the chain: they hold its row as the leader's writes do, so each
-- comes before or after one of its steps, and the epoch says that no other watcher has taken over since the
-- caller looked.

-- Raises unless late events may come in: not while the chain is halted.
create or replace function creditd.chain_for_late(p_chain bigint, p_epoch bigint) returns creditd.chain
language plpgsql set search_path = creditd, pg_temp as $$
declare c chain := chain_held(p_chain, p_epoch);
begin
  if c.state = 'halted' then
    raise exception 'chain % is halted, and so are late grants: %', c.name, c.reason using errcode = 'CD005';
  end if;
  return c;
end $$;

-- Raises where blocks that were proven to be of the chain are not final, or contradict what the books say.
create or replace function creditd.require_late_blocks(
  c creditd.chain, p_blocks bigint[], p_hashes bytea[], p_times bigint[]
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v record;
begin
  select t.number into v from unnest(p_blocks) t (number) where t.number > c.confirmed_number or t.number < 0 limit 1;
  if found then
    raise exception 'chain %: block % is not confirmed yet: its events are no late ones', c.name, v.number
      using errcode = 'CD005';
  end if;
  select t.number, t.hash into v
    from unnest(p_blocks, p_hashes, p_times) t (number, hash, time)
    where exists (
        select from block b where b.chain_id = c.chain_id and b.number = t.number
          and (b.hash, b.time) is distinct from (t.hash, to_timestamp(t.time)))
      or exists (
        select from event e where e.chain_id = c.chain_id and e.block_number = t.number and e.state <> 'reversed'
          and (e.block_hash, e.block_time) is distinct from (t.hash, to_timestamp(t.time)))
    limit 1;
  if found then
    raise exception 'chain %: the books have another block % than 0x%', c.name, v.number, encode(v.hash, 'hex')
      using errcode = 'CD005';
  end if;
end $$;

-- Enters events of confirmed blocks and grants their credits; those that are in the books already stay as they
-- are. One that waits so many blocks more is granted with the last of them, at once if that is confirmed. The
-- caller has proven them. Returns how many came in.
create or replace function creditd.admit_late(
  p_chain bigint, p_epoch bigint, p_blocks bigint[], p_hashes bytea[], p_times bigint[], p_tx_hashes bytea[],
  p_ordinals integer[], p_roles smallint[], p_log_indexes integer[], p_rules integer[], p_wallets bytea[],
  p_amounts numeric[], p_credits bigint[], p_blocks_more bigint[]
) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_blocks);
  c chain := chain_for_late(p_chain, p_epoch);
  v record;
  v_count bigint;
begin
  perform refuse_null('p_blocks p_hashes p_times p_tx_hashes p_ordinals p_roles p_log_indexes p_rules p_wallets '
    'p_amounts p_credits p_blocks_more',
    array[lacks(p_blocks, n), lacks(p_hashes, n), lacks(p_times, n), lacks(p_tx_hashes, n), lacks(p_ordinals, n),
    lacks(p_roles, n), lacks(p_log_indexes, n), lacks(p_rules, n), lacks(p_wallets, n), lacks(p_amounts, n),
    lacks(p_credits, n), lacks(p_blocks_more, n)]);
  perform require_late_blocks(c, p_blocks, p_hashes, p_times);
  select t.block, r.name into v
    from unnest(p_blocks, p_rules) t (block, rule) left join rule r on r.rule_id = t.rule and r.chain_id = p_chain
    where r.rule_id is null or t.block < r.from_block or t.block > r.to_block limit 1;
  if found then
    raise exception 'chain %: block % is none that source % is followed in', c.name, v.block, coalesce(v.name, '?')
      using errcode = 'CD005';
  end if;
  -- Above the last confirmed block it is another's word against the caller's; below, what is pending waits.
  select e.block_number into v from unnest(p_tx_hashes, p_ordinals, p_roles) t (tx, ord, role)
    join event e on e.chain_id = p_chain and e.tx_hash = t.tx and e.ordinal = t.ord and e.role = t.role
    where e.state = 'pending' and e.block_number > c.confirmed_number limit 1;
  if found then
    raise exception 'chain %: the books have one of these events in block %, which is not confirmed yet',
      c.name, v.block_number using errcode = 'CD005';
  end if;
  -- A log at the place of one that is in the books is that log, whatever transaction it is said to be of.
  select t.block, t.log into v from unnest(p_blocks, p_tx_hashes, p_ordinals, p_roles, p_log_indexes) t (block, tx, ord, role, log)
    join event e on e.chain_id = p_chain and e.block_number = t.block and e.log_index = t.log and e.role = t.role
    where e.state <> 'reversed' and (e.tx_hash, e.ordinal) <> (t.tx, t.ord) limit 1;
  if found then
    raise exception 'chain %: the books have log % of block % as one of another transaction', c.name, v.log, v.block
      using errcode = 'CD005';
  end if;
  perform see_wallets(p_chain, p_wallets);
  insert into event as e (chain_id, tx_hash, ordinal, role, rule_id, block_number, block_hash, block_time,
                          log_index, wallet, amount, credits)
    select p_chain, t.tx, t.ord, t.role, t.rule, t.block, t.hash, to_timestamp(t.time), t.log, t.wallet, t.amount,
      t.credits
    from unnest(p_blocks, p_hashes, p_times, p_tx_hashes, p_ordinals, p_roles, p_log_indexes, p_rules, p_wallets,
                p_amounts, p_credits)
      with ordinality as t (block, hash, time, tx, ord, role, log, rule, wallet, amount, credits, no)
    order by t.no
    on conflict on constraint event_is_seen_once do update  -- back on the chain, as `see_events` has it
      set state = 'pending', incarnation = e.incarnation + 1, rule_id = excluded.rule_id,
          block_number = excluded.block_number, block_hash = excluded.block_hash,
          block_time = excluded.block_time, log_index = excluded.log_index, wallet = excluded.wallet,
          amount = excluded.amount, credits = excluded.credits,
          root_id = case when e.wallet = excluded.wallet then e.root_id end,
          account_id = case when e.wallet = excluded.wallet then e.account_id end
      where e.state = 'reversed';
  get diagnostics v_count = row_count;
  if v_count > 0 then
    perform enter_waiting(p_chain, p_tx_hashes, p_ordinals, p_blocks_more);
    perform tell_earners(p_chain, p_wallets);
    -- Up to the last confirmed block nothing else is pending but what waits: just these are granted.
    perform grant_events(p_chain, (select min(x) from unnest(p_blocks) x) - 1, c.confirmed_number, false, true);
    -- The first stake of a rule may be one that comes late.
    update rule x set accrued_to = accrues_from(x, -1, c.confirmed_number)
      where x.rule_id = any (p_rules) and x.divisor is not null and x.accrued_to is null;
    perform change_stake_late(r, t.wallet)
      from (select distinct x.rule, x.wallet from unnest(p_rules, p_wallets, p_roles) x (rule, wallet, role)
            where x.role > 0) t join rule r on r.rule_id = t.rule;
  end if;
  delete from set_aside s using unnest(p_tx_hashes, p_ordinals, p_rules) t (tx, ord, rule)
    where s.chain_id = p_chain and s.tx_hash = t.tx and s.ordinal = t.ord and s.rule_id = t.rule;
  return v_count;
end $$;

-- Sets logs of confirmed blocks aside, as `set_logs_aside` does; of blocks that need not be remembered.
create or replace function creditd.set_late_aside(
  p_chain bigint, p_epoch bigint, p_blocks bigint[], p_hashes bytea[], p_times bigint[], p_tx_hashes bytea[],
  p_ordinals integer[], p_log_indexes integer[], p_rules integer[], p_addresses bytea[], p_topics text[],
  p_data bytea[], p_reasons text[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_blocks);
  c chain := chain_for_late(p_chain, p_epoch);
begin
  perform refuse_null('p_blocks p_hashes p_times p_tx_hashes p_ordinals p_log_indexes p_rules '
    'p_addresses p_topics p_data p_reasons',
    array[lacks(p_blocks, n), lacks(p_hashes, n), lacks(p_times, n), lacks(p_tx_hashes, n), lacks(p_ordinals, n),
    lacks(p_log_indexes, n), lacks(p_rules, n), lacks(p_addresses, n), lacks(p_topics, n), lacks(p_data, n),
    lacks(p_reasons, n)]);
  perform require_late_blocks(c, p_blocks, p_hashes, p_times);
  insert into set_aside as s (chain_id, tx_hash, ordinal, block_number, block_hash, log_index, rule_id, address, topics,
                              data, reason)
    select p_chain, t.tx, t.ord, t.block, t.hash, t.log, t.rule, t.address,
           array(select decode(x, 'hex') from unnest(string_to_array(nullif(t.topics, ''), ' ')) x), t.data, t.reason
    from unnest(p_blocks, p_hashes, p_tx_hashes, p_ordinals, p_log_indexes, p_rules, p_addresses, p_topics, p_data,
                p_reasons)
      as t (block, hash, tx, ord, log, rule, address, topics, data, reason)
    on conflict on constraint set_aside_pkey do update set reason = excluded.reason where s.reason <> excluded.reason;
end $$;

-- Enters a source that begins behind the cursor, or goes on with one that was left behind, to be read up to it.
-- Returns its number, and up to where it has been followed.
create or replace function creditd.enter_late_rule(
  p_chain bigint, p_epoch bigint, p_name text, p_contract bytea, p_event text, p_from_block bigint,
  p_to_block bigint, p_source text, p_on_reversal text, p_priority smallint, p_operations text[],
  p_cap_account bigint, p_cap_account_day bigint, p_cap_day bigint, p_cap_total bigint, p_expires_days integer,
  p_divisor numeric, p_rates_from bigint[], p_rates_micro bigint[], p_period integer, p_hold integer,
  out rule_id integer, out followed_to bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare
  c chain := chain_for_late(p_chain, p_epoch);
  r rule;
begin
  perform refuse_null('p_name p_contract p_event p_from_block p_source p_on_reversal p_priority',
    array[p_name is null, p_contract is null, p_event is null, p_from_block is null, p_source is null,
    p_on_reversal is null, p_priority is null]);
  select * into r from rule x where x.name = p_name for no key update;
  if not found then
    insert into rule (name, chain_id, contract, event, from_block, to_block, source, divisor, rates_from, rates_micro,
                      period_seconds, hold_seconds, accrued_to)
      values (p_name, p_chain, p_contract, p_event, p_from_block, p_from_block - 1, p_source, p_divisor, p_rates_from,
              p_rates_micro, p_period, p_hold, null) returning * into r;
    -- What its stakes have earned by now is granted when the next period ends.
    update rule x set accrued_to = period_until(r, c.confirmed_time) where x.rule_id = r.rule_id and p_divisor is not null;
  end if;
  perform require_same_terms(r, c, p_contract, p_event, p_from_block, p_divisor, p_rates_from, p_rates_micro, p_period,
                             p_hold);
  if r.to_block is null then
    raise exception 'source % has been followed all along: nothing of it is left to read', p_name using errcode = 'CD005';
  end if;
  update rule x set source = p_source, on_reversal = p_on_reversal, priority = p_priority,
      operations = operation_numbers(p_operations), cap_account = p_cap_account, cap_account_day = p_cap_account_day,
      cap_day = p_cap_day, cap_total = p_cap_total, expires_days = p_expires_days
    where x.rule_id = r.rule_id;
  rule_id := r.rule_id; followed_to := r.to_block;
end $$;

-- Notes that a source has been read up to a block; with what was found there, in one transaction.
create or replace function creditd.follow_late_to(p_chain bigint, p_epoch bigint, p_rule integer, p_to bigint) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare c chain := chain_for_late(p_chain, p_epoch);
begin
  perform refuse_null('p_rule p_to', array[p_rule is null, p_to is null]);
  if p_to > c.confirmed_number then
    raise exception 'chain %: block % is not confirmed yet', c.name, p_to using errcode = 'CD005';
  end if;
  update rule r set to_block = p_to where r.rule_id = p_rule and r.chain_id = p_chain and r.to_block < p_to;
end $$;

-- Forgets the pending blocks above `p_to`, so that they are read again, and ends the leader's term: whatever it
-- was about to write was of these. Returns how many events went.
create or replace function creditd.rewind_chain(p_chain bigint, p_epoch bigint, p_to bigint) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain := chain_held(p_chain, p_epoch);
  v_count bigint;
begin
  perform refuse_null('p_to', array[p_to is null]);
  if p_to < c.confirmed_number then
    raise exception 'chain %: block % is confirmed, and nothing at or below it is read anew; `creditd verify` reads it again',
      c.name, c.confirmed_number using errcode = 'CD005';
  elsif p_to > c.indexed_number then
    raise exception 'chain % has been read to block % only', c.name, c.indexed_number using errcode = 'CD005';
  elsif p_to = c.indexed_number then
    return 0;
  end if;
  v_count := drop_blocks(p_chain, p_epoch, p_to);
  -- No reorg has come: nothing is counted as one.
  update chain x set epoch = x.epoch + 1, reorgs = c.reorgs, last_reorg_at = c.last_reorg_at,
      last_reorg_depth = c.last_reorg_depth where x.chain_id = p_chain;
  return v_count;
end $$;

-- Notes that final blocks have been read again, and what differed, if anything did. What was found before in
-- blocks that are as the books say now is over. `p_next` is where it goes on, for whoever reads round and round.
create or replace function creditd.note_reread(
  p_chain bigint, p_epoch bigint, p_first bigint, p_last bigint, p_found text, p_next bigint
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare y rereading;
begin
  perform refuse_null('p_first p_last', array[p_first is null, p_last is null]);
  perform chain_held(p_chain, p_epoch);
  insert into rereading (chain_id, next_number) values (p_chain, coalesce(p_next, p_first))
    on conflict on constraint rereading_pkey do nothing;
  select * into strict y from rereading x where x.chain_id = p_chain for update;
  if p_found is not null then
    y.found := p_found;
    y.found_first := least(y.found_first, p_first); y.found_last := greatest(y.found_last, p_last);
  elsif y.found is not null then
    if y.found_first between p_first and p_last then y.found_first := p_last + 1; end if;
    if y.found_last between p_first and p_last then y.found_last := p_first - 1; end if;
    if y.found_first > y.found_last then y.found := null; y.found_first := null; y.found_last := null; end if;
  end if;
  update rereading x set found = y.found, found_first = y.found_first, found_last = y.found_last,
      next_number = coalesce(p_next, x.next_number),
      rounds = x.rounds + case when p_next < x.next_number then 1 else 0 end
    where x.chain_id = p_chain;
  perform tell_alarms();
end $$;
