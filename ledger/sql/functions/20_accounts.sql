-- Accounts come to be by being named: by an app, or by the first event of a wallet. The name is taken
-- first: of two who are first at once, one makes the account and the other finds it.

create or replace function creditd.new_account(p_root bigint, p_account bigint, p_kind text) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  insert into account (root_id, account_id, kind, head_hash)
    values (p_root, p_account, p_kind, first_hash(p_root, p_account));
end $$;

-- Whether an app reaches an account.
create or replace function creditd.reaches(p_app integer, p_root bigint, p_account bigint) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return exists (
    select from account_access x where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app);
end $$;

create or replace function creditd.named_account(
  p_app integer, p_name text, p_kind text, out root bigint, out account bigint, out created boolean
)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_id bigint := new_id();
begin
  insert into account_name (app_id, name, root_id, account_id, is_organisation)
    values (p_app, p_name, v_id, v_id, p_kind = 'organisation')
    on conflict on constraint account_name_pkey do nothing;
  created := found;
  if created then
    perform new_account(v_id, v_id, p_kind);
    insert into account_access (root_id, account_id, app_id) values (v_id, v_id, p_app);
  end if;
  select n.root_id, n.account_id into strict root, account from account_name n
    where n.app_id = p_app and n.name = p_name;
end $$;

-- The app's own account under the app's own name.
create or replace function creditd.open_account(
  p_app integer, p_name text, out root bigint, out account bigint, out created boolean
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_name', array[p_app is null, p_name is null]);
  select n.* into root, account, created from named_account(p_app, p_name, 'user') n;
end $$;

-- The advisory lock of an address. A few hundred of them are enough: a block may name thousands of new
-- wallets, and each lock taken has its place in the server's table.
create or replace function creditd.address_lock(p_address bytea) returns bigint
language sql immutable
return hashtextextended('creditd address ' || get_byte(sha256(p_address), 0), 0);

-- The account of a wallet, made by whoever names the wallet first: an app or an event.
create or replace function creditd.wallet_account(
  p_chain bigint, p_address bytea, out root bigint, out account bigint, out created boolean
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_id bigint := new_id();
  v_link wallet_link;
begin
  select w.root_id, w.account_id, false into root, account, created from wallet w
    where w.chain_id = p_chain and w.address = p_address;
  if found then return; end if;
  -- A link of the address on every chain is made before this wallet or after it, not meanwhile; and
  -- one that stands stays until this wallet is seen.
  perform pg_advisory_xact_lock_shared(address_lock(p_address));
  select * into v_link from wallet_link l where l.address = p_address for share;
  insert into wallet (chain_id, address, root_id, account_id, linked_root, linked_account, linked_at)
    values (p_chain, p_address, v_id, v_id, v_link.root_id, v_link.account_id, v_link.linked_at)
    on conflict on constraint wallet_pkey do nothing;
  created := found;
  if created then
    perform new_account(v_id, v_id, 'wallet');
    insert into linked_wallet (root_id, account_id, chain_id, address)
      select v_link.root_id, v_link.account_id, p_chain, p_address where v_link.root_id is not null
      on conflict on constraint linked_wallet_pkey do nothing;
  end if;
  select w.root_id, w.account_id into strict root, account from wallet w
    where w.chain_id = p_chain and w.address = p_address;
end $$;

-- A wallet's own account, opened to an app that has checked whose wallet it is: `reached`, unless its owner has
-- withdrawn that.
create or replace function creditd.open_wallet_account(
  p_app integer, p_chain bigint, p_address bytea, out root bigint, out account bigint, out created boolean,
  out reached boolean
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_chain p_address', array[p_app is null, p_chain is null, p_address is null]);
  select w.* into root, account, created from wallet_account(p_chain, p_address) w;
  reached := attest(p_app, root, account);
end $$;
