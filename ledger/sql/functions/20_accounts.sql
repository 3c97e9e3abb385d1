-- Accounts come to be by being named: by an app, or by the first event of a wallet.

create or replace function creditd.new_account() returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare v_id bigint := new_id();
begin
  insert into account (root_id, account_id, head_hash) values (v_id, v_id, first_hash(v_id, v_id));
  return v_id;
end $$;

-- The app's own account under the app's own name.
create or replace function creditd.open_account(p_app integer, p_name text)
returns table (root_id bigint, account_id bigint, created boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare v_id bigint;
begin
  return query select n.root_id, n.account_id, false from account_name n
    where n.app_id = p_app and n.name = p_name;
  if found then return; end if;
  v_id := new_account();
  insert into account_name (app_id, name, root_id, account_id) values (p_app, p_name, v_id, v_id)
    on conflict do nothing;
  if not found then  -- another call of the same app was first
    delete from account a where a.root_id = v_id and a.account_id = v_id;
    return query select n.root_id, n.account_id, false from account_name n
      where n.app_id = p_app and n.name = p_name;
    return;
  end if;
  insert into account_access (root_id, account_id, app_id) values (v_id, v_id, p_app);
  return query select v_id, v_id, true;
end $$;

-- The account of a wallet, made by whoever names the wallet first: an app or an event.
create or replace function creditd.wallet_account(p_chain bigint, p_address bytea)
returns table (root_id bigint, account_id bigint, created boolean)
language plpgsql set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare v_id bigint;
begin
  return query select w.root_id, w.account_id, false from wallet w
    where w.chain_id = p_chain and w.address = p_address;
  if found then return; end if;
  v_id := new_account();
  insert into wallet (chain_id, address, root_id, account_id) values (p_chain, p_address, v_id, v_id)
    on conflict do nothing;
  if not found then
    delete from account a where a.root_id = v_id and a.account_id = v_id;
    return query select w.root_id, w.account_id, false from wallet w
      where w.chain_id = p_chain and w.address = p_address;
    return;
  end if;
  return query select v_id, v_id, true;
end $$;

-- A wallet's account, opened to an app that has checked whose wallet it is.
create or replace function creditd.open_wallet_account(p_app integer, p_chain bigint, p_address bytea)
returns table (root_id bigint, account_id bigint, created boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare v_wallet record;
begin
  select * into v_wallet from wallet_account(p_chain, p_address);
  insert into account_access (root_id, account_id, app_id)
    values (v_wallet.root_id, v_wallet.account_id, p_app) on conflict do nothing;
  return query select v_wallet.root_id, v_wallet.account_id, v_wallet.created;
end $$;
