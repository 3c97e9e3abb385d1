-- How a chain stands: halted, or with so much left to read. Only its leader says so.

-- Stops the chain's grants until a person has looked. If it left a confirmed block, `p_parted` is
-- the last block that both have, and `p_other` what the node shows where that one was: it may be accepted.
create or replace function creditd.halt_chain(
  p_chain bigint, p_epoch bigint, p_reason text, p_parted bigint, p_other bytea
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_reason', array[p_reason is null]);
  perform chain_held(p_chain, p_epoch);
  update chain x set state = 'halted', reason = p_reason, parted_number = p_parted, other_hash = p_other,
      leader_seen_at = clock_timestamp()
    where x.chain_id = p_chain;
  perform tell_alarms();
end $$;

-- Says that the leader is alive and where the node's head is.
create or replace function creditd.see_head(p_chain bigint, p_epoch bigint, p_head bigint) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_head', array[p_head is null]);
  perform chain_held(p_chain, p_epoch);
  update chain x set head_number = greatest(p_head, x.indexed_number), leader_seen_at = clock_timestamp(),
      state = case when x.state = 'halted' then x.state
                   when x.indexed_number >= p_head then 'following' else 'syncing' end
    where x.chain_id = p_chain;
end $$;

-- Lets a halted chain go on: the node has shown again what the books say.
create or replace function creditd.resume_chain(p_chain bigint, p_epoch bigint) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform chain_held(p_chain, p_epoch);
  update chain x set state = 'syncing', reason = null, parted_number = null, other_hash = null
    where x.chain_id = p_chain and x.state = 'halted';
  if found then perform tell_alarms(); end if;
end $$;
