-- Events that wait longer than for their block to be confirmed: each is granted with a later block, its due one.
-- Until then it stays pending, though its block is confirmed. What waits was seen once with what it was to wait
-- for, and keeps that.

-- Lets pending events wait, each for the block so many above its own; what waits already keeps its due one.
-- Only what earns by itself can. Returns how many wait by this.
create or replace function creditd.enter_waiting(
  p_chain bigint, p_tx_hashes bytea[], p_ordinals integer[], p_blocks_more bigint[]
) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare v_count bigint;
begin
  insert into waiting_event (event_no, chain_id, wallet, due_number)
    select e.event_no, p_chain, e.wallet, e.block_number + t.more
    from unnest(p_tx_hashes, p_ordinals, p_blocks_more) as t (tx, ord, more)
      -- The limit has each looked up by its whole key: of a join, a planner without statistics takes a part.
      cross join lateral (
        select x.event_no, x.wallet, x.block_number from event x
        where x.chain_id = p_chain and x.tx_hash = t.tx and x.ordinal = t.ord and x.role = 0 and x.state = 'pending'
        limit 1) e
    where t.ord <> -1 and t.more > 0
    on conflict on constraint waiting_event_pkey do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Lets events of blocks that are about to be appended wait. A call of its own, for few do.
create or replace function creditd.let_events_wait(
  p_chain bigint, p_epoch bigint, p_tx_hashes bytea[], p_ordinals integer[], p_blocks_more bigint[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_tx_hashes);
  v_count bigint;
begin
  perform refuse_null('p_tx_hashes p_ordinals p_blocks_more',
    array[lacks(p_tx_hashes, n), lacks(p_ordinals, n), lacks(p_blocks_more, n)]);
  perform chain_seen(p_chain, p_epoch);
  v_count := enter_waiting(p_chain, p_tx_hashes, p_ordinals, p_blocks_more);
  if v_count <> cardinality(p_tx_hashes) then
    raise exception 'chain %: only % of % events can wait', p_chain, v_count, cardinality(p_tx_hashes)
      using errcode = 'CD002';
  end if;
end $$;

-- Forgets that events above block `p_to` wait: the chain has left them. To be called while they are still there.
create or replace function creditd.end_waiting(p_chain bigint, p_to bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  delete from waiting_event y
    where y.chain_id = p_chain and y.due_number > p_to
      and (select e.block_number from event e where e.event_no = y.event_no) > p_to;
end $$;
