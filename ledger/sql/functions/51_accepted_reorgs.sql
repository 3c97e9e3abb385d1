-- A chain that left a confirmed block stands still until the old history comes back, or a person says that
-- the new one is true. What was said is kept for good.

-- Accepts that `p_hash` stands where the confirmed block was. Only for the halt at hand, and only for what the
-- node has shown: the watcher takes back what the left blocks granted once it shows the same again, proven.
create or replace function creditd.accept_reorg(
  p_name text, p_number bigint, p_hash bytea, p_by text, p_reason text,
  out outcome text, out number bigint, out left_hash bytea, out new_hash bytea, out accepted_by text, out at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain;
  v accepted_reorg;
begin
  perform refuse_null('p_name p_number p_hash p_by p_reason',
    array[p_name is null, p_number is null, p_hash is null, p_by is null, p_reason is null]);
  select * into c from chain x where x.name = p_name for no key update;
  if not found then outcome := 'no_chain'; return; end if;
  -- Of the block that ends a period stakes may have been granted before it is confirmed.
  number := coalesce(c.accruing_number, c.confirmed_number);
  left_hash := coalesce((select b.hash from block b where b.chain_id = c.chain_id and b.number = c.accruing_number),
                        c.confirmed_hash);
  new_hash := c.other_hash;
  outcome := case when c.state <> 'halted' then 'not_halted' when c.other_hash is null then 'no_reorg'
    when p_number <> number then 'another_block' when p_hash <> c.other_hash then 'another_hash' end;
  if outcome is not null then return; end if;
  insert into accepted_reorg (chain_id, number, left_hash, new_hash, reorgs, accepted_by, reason, at)
    values (c.chain_id, accept_reorg.number, accept_reorg.left_hash, p_hash, c.reorgs, p_by, p_reason, clock())
    on conflict on constraint accepted_reorg_pkey do nothing returning * into v;
  outcome := case when found then 'accepted' else 'replayed' end;
  if outcome = 'replayed' then
    select * into strict v from accepted_reorg x
      where (x.chain_id, x.number, x.left_hash, x.new_hash, x.reorgs)
        = (c.chain_id, accept_reorg.number, accept_reorg.left_hash, p_hash, c.reorgs);
  end if;
  accepted_by := v.accepted_by; at := v.at;
end $$;
