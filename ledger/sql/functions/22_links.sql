-- A wallet earns for its own account until it is linked to another; from then on for that one. The
-- wallet's row is locked before any account, and before whatever a link decides is looked at.

-- Locks the wallets of an address, on one chain or on all (null), and gives them back.
create or replace function creditd.locked_wallets(p_chain bigint, p_address bytea) returns creditd.wallet[]
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if p_chain is null then
    perform pg_advisory_xact_lock(address_lock(p_address));  -- no new one comes meanwhile
    perform from wallet_link l where l.address = p_address for update;
  end if;
  perform from wallet w where w.address = p_address and (p_chain is null or w.chain_id = p_chain)
    order by w.chain_id for update;
  return array(select w from wallet w where w.address = p_address and (p_chain is null or w.chain_id = p_chain)
               order by w.chain_id);
end $$;

-- Why wallets cannot be linked to an account, or null. The caller holds all of these accounts locked.
create or replace function creditd.link_refusal(p_wallets creditd.wallet[], p_root bigint, p_account bigint)
returns text
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if exists (select from account x where x.root_id = p_root and x.account_id = p_account and x.status = 'closed') then
    return 'closed';
  end if;
  -- A link leads from a wallet to where its credits are: never over a third account.
  if exists (select from wallet x where x.root_id = p_root and x.account_id = p_account and x.linked_root is not null)
    or exists (select from unnest(p_wallets) w join wallet x
               on x.linked_root = w.root_id and x.linked_account = w.account_id)
    or exists (select from unnest(p_wallets) w join wallet_link x
               on x.root_id = w.root_id and x.account_id = w.account_id) then
    return 'chained';
  end if;
  -- What the operator has frozen does not slip away.
  if exists (select from unnest(p_wallets) w join account x using (root_id, account_id) where x.status = 'frozen') then
    return 'frozen';
  end if;
  if (select coalesce(sum(x.available), 0) from unnest(p_wallets) w join account x using (root_id, account_id))
    > (select room_in(x) from account x where x.root_id = p_root and x.account_id = p_account) then
    return 'beyond_range';
  end if;
  return null;
end $$;

-- Links the wallets of an address, on one chain or (p_chain null) on every chain, those to come too.
-- What is left of their lots and what they owe moves to the account; what they earn later is its own.
-- Whoever calls has seen to it that this may be.
create or replace function creditd.join_wallet(
  p_chain bigint, p_address bytea, p_root bigint, p_account bigint,
  out outcome text, out wallets integer, out moved bigint, out debt bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_wallets wallet[];
  w wallet;
  a account;
  v_is_new boolean := false;
  v_moved bigint;
  v_debt bigint;
begin
  wallets := 0; moved := 0; debt := 0;
  -- Whoever ends this membership meanwhile waits, and finds the link.
  perform from member m where m.root_id = p_root and m.account_id = p_account for share;
  if p_chain is not null then perform wallet_account(p_chain, p_address); end if;
  v_wallets := locked_wallets(p_chain, p_address);
  if p_chain is null then
    insert into wallet_link (address, root_id, account_id, linked_at) values (p_address, p_root, p_account, clock())
      on conflict on constraint wallet_link_pkey do nothing;
    v_is_new := found;
  end if;
  if exists (select from unnest(v_wallets) x where (x.linked_root, x.linked_account) <> (p_root, p_account))
    or p_chain is null and exists (
      select from wallet_link x where x.address = p_address and (x.root_id, x.account_id) <> (p_root, p_account)) then
    outcome := 'linked_elsewhere';
  else
    -- An account's own wallet earns for it without a link.
    v_wallets := array(
      select x from unnest(v_wallets) x
      where x.linked_root is null and (x.root_id, x.account_id) <> (p_root, p_account));
    perform lock_accounts(p_root || array(select x.root_id from unnest(v_wallets) x),
                          p_account || array(select x.account_id from unnest(v_wallets) x));
    outcome := case when v_is_new or cardinality(v_wallets) > 0
                    then coalesce(link_refusal(v_wallets, p_root, p_account), 'linked') else 'replayed' end;
  end if;
  if outcome <> 'linked' then
    if v_is_new then delete from wallet_link x where x.address = p_address; end if;
    return;
  end if;
  foreach w in array v_wallets loop
    a := expire_due(locked_account(w.root_id, w.account_id));
    v_moved := a.moved; v_debt := a.debt_moved;
    a := hand_over(a, p_root, p_account, null);
    perform keep(a);
    moved := moved + v_moved - a.moved; debt := debt + v_debt - a.debt_moved;
    update wallet x set linked_root = p_root, linked_account = p_account, linked_at = clock()
      where x.chain_id = w.chain_id and x.address = w.address;
    insert into linked_wallet (root_id, account_id, chain_id, address)
      values (p_root, p_account, w.chain_id, w.address) on conflict on constraint linked_wallet_pkey do nothing;
    perform tell_changed(array[w.root_id, p_root], array[w.account_id, p_account]);
    wallets := wallets + 1;
  end loop;
end $$;

-- Ends the links of an address to an account, on one chain or on every one. What its wallets earn later
-- is their own again; what has moved stays where it is.
create or replace function creditd.part_wallet(
  p_chain bigint, p_address bytea, p_root bigint, p_account bigint
) returns text
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_wallets wallet[];
  v_ended bigint;
  v_more bigint := 0;
begin
  v_wallets := locked_wallets(p_chain, p_address);
  update wallet x set linked_root = null, linked_account = null, linked_at = null
    from unnest(v_wallets) w
    where x.chain_id = w.chain_id and x.address = w.address and x.linked_root = p_root and x.linked_account = p_account;
  get diagnostics v_ended = row_count;
  if p_chain is null then
    delete from wallet_link x where x.address = p_address and x.root_id = p_root and x.account_id = p_account;
    get diagnostics v_more = row_count;
  end if;
  if v_ended > 0 then
    perform tell_changed(p_root || array(select w.root_id from unnest(v_wallets) w),
                         p_account || array(select w.account_id from unnest(v_wallets) w));
  end if;
  if v_ended + v_more > 0 then return 'unlinked'; end if;
  if exists (select from unnest(v_wallets) w where (w.linked_root, w.linked_account) <> (p_root, p_account)) then
    return 'linked_elsewhere';
  end if;
  return 'replayed';
end $$;

-- `part_wallet` for an app that may say which wallets earn for the account.
create or replace function creditd.unlink_wallet(
  p_app integer, p_chain bigint, p_address bytea, p_root bigint, p_account bigint
) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_address p_root p_account',
    array[p_app is null, p_address is null, p_root is null, p_account is null]);
  if not sees_to_wallets(p_app, p_root, p_account) then return 'no_account'; end if;
  return part_wallet(p_chain, p_address, p_root, p_account);
end $$;
