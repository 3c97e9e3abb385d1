-- The watcher's side: the cursor, the events and the grants move together, and only for the leader.

-- Gives a chain back to the watcher that leads it, and to no other.
create or replace function creditd.for_its_leader(c creditd.chain, p_chain bigint, p_epoch bigint) returns creditd.chain
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_chain p_epoch', array[p_chain is null, p_epoch is null]);
  if c.epoch is distinct from p_epoch then
    raise exception 'chain %: this watcher leads epoch %, the books are at epoch %', p_chain, p_epoch, c.epoch
      using errcode = 'CD001';
  end if;
  return c;
end $$;

-- The chain, held until the transaction ends.
create or replace function creditd.chain_held(p_chain bigint, p_epoch bigint) returns creditd.chain
language plpgsql set search_path = creditd, pg_temp as $$
declare c chain;
begin
  select * into c from chain x where x.chain_id = p_chain for no key update;
  return for_its_leader(c, p_chain, p_epoch);
end $$;

-- The chain, not held: for who holds it, by `chain_held`, before the transaction ends.
create or replace function creditd.chain_seen(p_chain bigint, p_epoch bigint) returns creditd.chain
language plpgsql stable set search_path = creditd, pg_temp as $$
declare c chain;
begin
  select * into c from chain x where x.chain_id = p_chain;
  return for_its_leader(c, p_chain, p_epoch);
end $$;

-- Makes the caller's session the chain's leader and returns the new epoch, or null while another
-- session leads. The lock ends with the session; the epoch fences whoever held it before.
create or replace function creditd.lead_chain(
  p_chain bigint, p_name text, p_genesis bytea, p_leader text, p_depth integer,
  p_anchor_number bigint, p_anchor_hash bytea, p_anchor_time timestamptz
) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain;
  v_epoch bigint;
begin
  perform refuse_null('p_chain p_name p_genesis p_leader p_anchor_number p_anchor_hash p_anchor_time', array[p_chain is null,
    p_name is null, p_genesis is null, p_leader is null, p_anchor_number is null, p_anchor_hash is null, p_anchor_time is null]);
  if not pg_try_advisory_lock(hashtextextended('creditd leads chain ' || p_chain, 0)) then return null; end if;
  select * into c from chain x where x.name = p_name and x.chain_id <> p_chain;
  if found then
    raise exception 'in the books the name % stands for chain %, not for chain %: choose another name',
      p_name, c.chain_id, p_chain
      using errcode = 'CD003';
  end if;
  insert into chain (chain_id, name, genesis, head_number, indexed_number, indexed_hash,
                     confirmed_number, confirmed_hash)
    values (p_chain, p_name, p_genesis, p_anchor_number, p_anchor_number, p_anchor_hash,
            p_anchor_number, p_anchor_hash)
    on conflict on constraint chain_pkey do nothing;
  if found then  -- the block the cursor starts from: nothing of it is read
    insert into block (chain_id, number, hash, parent, time)
      values (p_chain, p_anchor_number, p_anchor_hash, '', p_anchor_time);
  end if;
  select * into strict c from chain x where x.chain_id = p_chain for no key update;
  if c.genesis <> p_genesis then
    raise exception 'the books follow chain % with genesis 0x%, the node shows genesis 0x%: correct rpc_url, or give a chain that began anew a database of its own',
      p_chain, encode(c.genesis, 'hex'), encode(p_genesis, 'hex') using errcode = 'CD003';
  end if;
  update chain x set epoch = x.epoch + 1, leader = p_leader, leader_seen_at = clock_timestamp(),
      name = p_name, depth = p_depth
    where x.chain_id = p_chain returning x.epoch into v_epoch;
  return v_epoch;
end $$;

-- Writes blocks down that are about to be appended; their times are unix seconds. With their events they are
-- written while another transaction of the same leader grants what is older: only `append_blocks`, which
-- comes last, holds the chain.
create or replace function creditd.enter_blocks(
  p_chain bigint, p_epoch bigint, p_numbers bigint[], p_hashes bytea[], p_parents bytea[], p_times bigint[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare n constant integer := cardinality(p_numbers);
begin
  perform refuse_null('p_numbers p_hashes p_parents p_times',
    array[lacks(p_numbers, n), lacks(p_hashes, n), lacks(p_parents, n), lacks(p_times, n)]);
  perform chain_seen(p_chain, p_epoch);
  insert into block (chain_id, number, hash, parent, time)
    select p_chain, t.number, t.hash, t.parent, to_timestamp(t.time)
    from unnest(p_numbers, p_hashes, p_parents, p_times) as t (number, hash, parent, time);
end $$;

-- Appends blocks that have been entered and follow the cursor. A halted chain still shows what is pending.
create or replace function creditd.append_blocks(
  p_chain bigint, p_epoch bigint, p_head bigint,
  p_numbers bigint[], p_hashes bytea[], p_parents bytea[], p_times bigint[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_numbers);
  c chain := chain_held(p_chain, p_epoch);
begin
  perform refuse_null('p_head p_numbers p_hashes p_parents p_times',
    array[p_head is null, lacks(p_numbers, n), lacks(p_hashes, n), lacks(p_parents, n), lacks(p_times, n)]);
  for k in 1 .. cardinality(p_numbers) loop
    if p_numbers[k] <> c.indexed_number + 1 or p_parents[k] <> c.indexed_hash then
      raise exception 'chain %: block % does not follow block %', p_chain, p_numbers[k], c.indexed_number
        using errcode = 'CD002';
    end if;
    c.indexed_number := p_numbers[k]; c.indexed_hash := p_hashes[k]; c.indexed_time := to_timestamp(p_times[k]);
  end loop;
  update chain x set indexed_number = c.indexed_number, indexed_hash = c.indexed_hash,
      indexed_time = c.indexed_time, head_number = greatest(p_head, c.indexed_number),
      leader_seen_at = clock_timestamp(),
      indexed_at = case when cardinality(p_numbers) > 0 then clock_timestamp() else x.indexed_at end,
      state = case when x.state = 'halted' then x.state
                   when c.indexed_number >= p_head then 'following' else 'syncing' end
    where x.chain_id = p_chain;
end $$;

-- Makes the wallets that are new, and their accounts: `wallet_account` for many.
create or replace function creditd.see_wallets(p_chain bigint, p_addresses bytea[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v_new bytea[];
begin
  -- The limit has each looked up by its whole key: of a join, a planner without statistics takes a part.
  select array_agg(t.address order by t.address) into v_new from (select distinct unnest(p_addresses) as address) t
    where (select true from wallet w where w.chain_id = p_chain and w.address = t.address limit 1) is null;
  if v_new is null then return; end if;
  -- As `wallet_account` does: no link of these addresses comes or goes meanwhile.
  perform pg_advisory_xact_lock_shared(t.lock) from (
    select distinct address_lock(x) as lock from unnest(v_new) x order by 1) t;
  perform from unnest(v_new) t (address) join wallet_link l on l.address = t.address for share of l;
  with made as (
    insert into wallet (chain_id, address, root_id, account_id, linked_root, linked_account, linked_at)
      select p_chain, t.address, t.id, t.id, l.root_id, l.account_id, l.linked_at
      from (select x as address, new_id() as id from unnest(v_new) x) t
        left join wallet_link l on l.address = t.address
      on conflict on constraint wallet_pkey do nothing
      returning root_id, account_id, linked_root, linked_account, address
  ), linked as (
    insert into linked_wallet (root_id, account_id, chain_id, address)
      select m.linked_root, m.linked_account, p_chain, m.address from made m where m.linked_root is not null
      on conflict on constraint linked_wallet_pkey do nothing
  )
  insert into account (root_id, account_id, kind, head_hash)
    select m.root_id, m.account_id, 'wallet', first_hash(m.root_id, m.account_id) from made m;
end $$;

-- Writes events of appended blocks down as pending. An event that was reversed and is back on the
-- canonical chain counts one incarnation more; one that is there already is a broken promise. No rule is ever
-- deleted: who asks here need not ask again.
create or replace function creditd.see_events(
  p_chain bigint, p_epoch bigint, p_blocks bigint[], p_tx_hashes bytea[], p_ordinals integer[],
  p_roles smallint[], p_log_indexes integer[], p_rules integer[], p_wallets bytea[],
  p_amounts numeric[], p_credits bigint[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_blocks);
  v_seen bigint;
begin
  perform refuse_null('p_blocks p_tx_hashes p_ordinals p_roles p_log_indexes p_rules p_wallets p_amounts p_credits',
    array[lacks(p_blocks, n), lacks(p_tx_hashes, n), lacks(p_ordinals, n), lacks(p_roles, n), lacks(p_log_indexes, n),
    lacks(p_rules, n), lacks(p_wallets, n), lacks(p_amounts, n), lacks(p_credits, n)]);
  perform chain_seen(p_chain, p_epoch);
  if exists (
    select from (select distinct unnest(p_rules) as rule_id) t
    where not exists (select from rule r where r.rule_id = t.rule_id and r.chain_id = p_chain)
  ) then
    raise exception 'chain %: events of a source that is none of its own', p_chain using errcode = '22023';
  end if;
  perform see_wallets(p_chain, p_wallets);
  insert into event as e (chain_id, tx_hash, ordinal, role, rule_id, block_number, block_hash, block_time,
                          log_index, wallet, amount, credits)
    select p_chain, t.tx, t.ord, t.role, t.rule, t.block, b.hash, b.time, t.log, t.wallet, t.amount, t.credits
    from unnest(p_blocks, p_tx_hashes, p_ordinals, p_roles, p_log_indexes, p_rules, p_wallets, p_amounts, p_credits)
      with ordinality as t (block, tx, ord, role, log, rule, wallet, amount, credits, no)
    -- As in `see_wallets`: without the limit each event would look through all blocks of the chain.
    cross join lateral (select * from block x where x.chain_id = p_chain and x.number = t.block limit 1) b
    order by t.no
    on conflict on constraint event_is_seen_once do update
      set state = 'pending', incarnation = e.incarnation + 1, rule_id = excluded.rule_id,
          block_number = excluded.block_number, block_hash = excluded.block_hash,
          block_time = excluded.block_time, log_index = excluded.log_index, wallet = excluded.wallet,
          amount = excluded.amount, credits = excluded.credits,
          -- Its account stays fixed, unless it speaks of another wallet now.
          root_id = case when e.wallet = excluded.wallet then e.root_id end,
          account_id = case when e.wallet = excluded.wallet then e.account_id end
      where e.state = 'reversed';
  get diagnostics v_seen = row_count;
  if v_seen <> cardinality(p_blocks) then
    raise exception 'chain %: % of % events are on the canonical chain already',
      p_chain, cardinality(p_blocks) - v_seen, cardinality(p_blocks) using errcode = 'CD006';
  end if;
  perform tell_earners(p_chain, p_wallets);
end $$;

create or replace function creditd.set_logs_aside(
  p_chain bigint, p_epoch bigint, p_blocks bigint[], p_tx_hashes bytea[], p_ordinals integer[],
  p_log_indexes integer[], p_rules integer[], p_addresses bytea[], p_topics text[], p_data bytea[], p_reasons text[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare n constant integer := cardinality(p_blocks);
begin
  perform refuse_null('p_blocks p_tx_hashes p_ordinals p_log_indexes p_rules p_addresses p_topics p_data p_reasons',
    array[lacks(p_blocks, n), lacks(p_tx_hashes, n), lacks(p_ordinals, n), lacks(p_log_indexes, n), lacks(p_rules, n),
    lacks(p_addresses, n), lacks(p_topics, n), lacks(p_data, n), lacks(p_reasons, n)]);
  perform chain_seen(p_chain, p_epoch);
  insert into set_aside (chain_id, tx_hash, ordinal, block_number, block_hash, log_index, rule_id,
                         address, topics, data, reason)
    select p_chain, t.tx, t.ord, t.block, b.hash, t.log, t.rule, t.address,
           array(select decode(x, 'hex') from unnest(string_to_array(nullif(t.topics, ''), ' ')) x), t.data, t.reason
    from unnest(p_blocks, p_tx_hashes, p_ordinals, p_log_indexes, p_rules, p_addresses, p_topics, p_data, p_reasons)
      as t (block, tx, ord, log, rule, address, topics, data, reason)
    cross join lateral (select * from block x where x.chain_id = p_chain and x.number = t.block limit 1) b
    on conflict on constraint set_aside_pkey do nothing;
end $$;

-- Confirms the pending events up to a block whose hash the caller knows to be final, and grants their
-- credits: of more than `p_events_max` only those of the first blocks, for charges of their accounts wait
-- meanwhile; the cursor says up to where. Events that wait are granted with the block that they wait for. A block that ends a period is confirmed by a call of its own, after
-- calls that grant what stakes earned before it. Returns how many events, whether anybody waited (but the session
-- `p_beside`, which appends blocks meanwhile), and up to where.
create or replace function creditd.confirm_blocks(
  p_chain bigint, p_epoch bigint, p_number bigint, p_hash bytea, p_remember bigint, p_events_max integer,
  p_beside integer, out events bigint, out waited boolean, out number bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain := chain_held(p_chain, p_epoch);
  b block;
  v_number bigint;
  v_ending bigint;
  v_waits boolean;
begin
  perform refuse_null('p_number p_hash p_remember p_events_max',
    array[p_number is null, p_hash is null, p_remember is null, p_events_max is null]);
  events := 0; waited := false; number := c.confirmed_number;
  if c.state = 'halted' or p_number <= c.confirmed_number then return; end if;
  select * into b from block x where x.chain_id = p_chain and x.number = p_number;
  if b.hash is null or b.hash is distinct from p_hash then
    raise exception 'chain %: block % in the books is not the final one', p_chain, p_number using errcode = 'CD002';
  end if;
  v_waits := exists (select from waiting_event y where y.chain_id = p_chain);
  v_number := confirmable(c, p_number, p_events_max, v_waits);
  v_ending := block_that_ends_a_period(c, v_number);
  if v_ending = c.confirmed_number + 1 then  -- what stakes earned before it comes first
    events := accrue(c, v_ending, p_events_max);
  else
    v_number := least(v_number, v_ending - 1);
    if v_number < p_number then
      select * into strict b from block x where x.chain_id = p_chain and x.number = v_number;
    end if;
    events := grant_events(p_chain, c.confirmed_number, v_number, false, v_waits);
    perform move_stakes(p_chain, c.confirmed_number, v_number);
    update chain x set confirmed_number = v_number, confirmed_hash = b.hash, confirmed_time = b.time,
        accruing_number = null
      where x.chain_id = p_chain;
    delete from block x where x.chain_id = p_chain and x.number < v_number - p_remember;
    number := v_number;
  end if;
  waited := exists (
    select from pg_locks l
    where l.locktype = 'transactionid' and l.transactionid = pg_current_xact_id()::xid and not l.granted
      and l.pid is distinct from p_beside);
end $$;

-- Up to which block, `p_number` at most, events are confirmed in one transaction: whole blocks, one at
-- least, and no further than so many events go. What waits counts in the block that it waits for.
create or replace function creditd.confirmable(
  c creditd.chain, p_number bigint, p_events_max integer, p_waits boolean
) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_first bigint;
  v_beyond bigint;
begin
  if p_waits then
    select (array_agg(t.due order by t.due))[1], (array_agg(t.due order by t.due))[p_events_max + 1] into v_first, v_beyond
      from (
        (select e.block_number as due from event e
         where e.chain_id = c.chain_id and e.block_number > c.confirmed_number and e.block_number <= p_number
           and not exists (select from waiting_event y where y.event_no = e.event_no)
         order by e.block_number limit p_events_max + 1)
        union all
        (select y.due_number from waiting_event y where y.chain_id = c.chain_id and y.due_number <= p_number
         order by y.due_number limit p_events_max + 1)) t;
    return case when v_beyond is null then p_number else greatest(v_first, v_beyond - 1) end;
  end if;
  select e.block_number into v_beyond from event e
    where e.chain_id = c.chain_id and e.block_number > c.confirmed_number and e.block_number <= p_number
    order by e.block_number offset p_events_max limit 1;
  if not found then return p_number; end if;
  select min(e.block_number) into strict v_first from event e
    where e.chain_id = c.chain_id and e.block_number > c.confirmed_number;
  return greatest(v_first, v_beyond - 1);
end $$;

-- Forgets the pending blocks above `p_to`, which the chain has left. Returns how many events went.
create or replace function creditd.drop_blocks(p_chain bigint, p_epoch bigint, p_to bigint) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain := chain_held(p_chain, p_epoch);
  v_count bigint;
begin
  perform refuse_null('p_to', array[p_to is null]);
  if p_to < coalesce(c.accruing_number, c.confirmed_number) then
    raise exception 'chain %: block % is confirmed', p_chain, coalesce(c.accruing_number, c.confirmed_number)
      using errcode = 'CD002';
  end if;
  perform end_waiting(p_chain, p_to);
  perform tell_earners(p_chain, array(
    select e.wallet from event e where e.chain_id = p_chain and e.block_number > p_to and e.state = 'pending'));
  with gone as (
    delete from event e
    where e.chain_id = p_chain and e.block_number > p_to and e.incarnation = 1 and e.state = 'pending' returning 1
  ), back as (  -- granted and reversed before: its history stays
    update event e set state = 'reversed', incarnation = e.incarnation - 1
    where e.chain_id = p_chain and e.block_number > p_to and e.incarnation > 1 and e.state = 'pending' returning 1
  )
  select (select count(*) from gone) + (select count(*) from back) into v_count;
  perform cut_chain(c, p_to);
  return v_count;
end $$;

-- Moves the cursor back to a block that stays.
create or replace function creditd.cut_chain(c creditd.chain, p_to bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare b block;
begin
  delete from set_aside s where s.chain_id = c.chain_id and s.block_number > p_to;
  delete from block x where x.chain_id = c.chain_id and x.number > p_to;
  select * into b from block x where x.chain_id = c.chain_id and x.number = p_to;
  if not found then
    raise exception 'chain %: block % is not remembered', c.chain_id, p_to using errcode = 'CD002';
  end if;
  -- What a source that was taken out was followed in, and goes, it will not be followed in again.
  update rule r set to_block = p_to where r.chain_id = c.chain_id and r.is_left and r.to_block > p_to;
  update chain x set indexed_number = p_to, indexed_hash = b.hash, indexed_time = b.time,
      confirmed_number = least(x.confirmed_number, p_to),
      accruing_number = case when x.accruing_number <= p_to then x.accruing_number end,
      confirmed_hash = case when x.confirmed_number > p_to then b.hash else x.confirmed_hash end,
      confirmed_time = case when x.confirmed_number > p_to then b.time else x.confirmed_time end,
      reorgs = x.reorgs + 1, last_reorg_at = clock_timestamp(), last_reorg_depth = c.indexed_number - p_to,
      leader_seen_at = clock_timestamp()
    where x.chain_id = c.chain_id;
end $$;

-- Takes back what was granted above `p_to`: the chain left blocks it had confirmed. Returns how many events.
create or replace function creditd.reverse_blocks(p_chain bigint, p_epoch bigint, p_to bigint) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain := chain_held(p_chain, p_epoch);
  v event;
  v_count bigint := 0;
begin
  perform refuse_null('p_to', array[p_to is null]);
  perform lock_grants_above(p_chain, p_to);
  perform end_waiting(p_chain, p_to);
  perform tell_earners(p_chain, array(select e.wallet from event e where e.chain_id = p_chain and e.block_number > p_to));
  for v in
    select * from event e where e.chain_id = p_chain and e.block_number > p_to and e.state = 'confirmed'
    order by e.block_number desc, e.log_index desc, e.role desc
  loop
    if v.lot_no is not null then perform reverse_grant(v.root_id, v.account_id, v.lot_no); end if;
    update event e set state = 'reversed' where e.event_no = v.event_no;
    v_count := v_count + 1;
  end loop;
  delete from event e where e.chain_id = p_chain and e.block_number > p_to and e.state = 'pending' and e.incarnation = 1;
  update event e set state = 'reversed', incarnation = e.incarnation - 1
    where e.chain_id = p_chain and e.block_number > p_to and e.state = 'pending';
  perform put_stakes_back(p_chain, p_to);
  perform cut_chain(c, p_to);
  return v_count;
end $$;
