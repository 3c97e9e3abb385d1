-- Organisations and their members. An organisation's own account is its pool; a member is an account
-- under the same root, which the pool pays for within its budgets.

-- The app's own organisation under the app's own name.
create or replace function creditd.open_organisation(
  p_app integer, p_name text, out outcome text, out root bigint, out account bigint, out created boolean
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_name', array[p_app is null, p_name is null]);
  select n.* into root, account, created from named_account(p_app, p_name, 'organisation') n;
  outcome := 'opened';
  perform from account a where a.root_id = root and a.account_id = open_organisation.account and a.kind = 'organisation';
  if not found then outcome := 'name_taken'; end if;
end $$;

-- Whether an app has the say over an organisation: it reaches its pool.
create or replace function creditd.governs(p_app integer, p_root bigint) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return reaches(p_app, p_root, p_root) and exists (
    select from account a where a.root_id = p_root and a.account_id = p_root and a.kind = 'organisation');
end $$;

-- A member under a name, made if the organisation has none of it. Every app that reaches the pool
-- reaches the member.
create or replace function creditd.member_named(
  p_root bigint, p_name text, out account bigint, out created boolean
)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_id bigint := new_id();
begin
  insert into member (root_id, account_id, name) values (p_root, v_id, p_name)
    on conflict (root_id, name) where left_at is null do nothing;
  created := found;
  if created then
    perform new_account(p_root, v_id, 'member');
    insert into account_access (root_id, account_id, app_id)
      select p_root, v_id, x.app_id from account_access x where x.root_id = p_root and x.account_id = p_root;
  end if;
  select m.account_id into account from member m
    where m.root_id = p_root and m.name = p_name and m.left_at is null;
  if not found then
    raise exception 'member % has left meanwhile: try again', p_name using errcode = '40001';
  end if;
end $$;

create or replace function creditd.add_member(
  p_app integer, p_root bigint, p_name text, out outcome text, out account bigint, out created boolean
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_root p_name', array[p_app is null, p_root is null, p_name is null]);
  if not governs(p_app, p_root) then outcome := 'no_account'; return; end if;
  outcome := 'opened';
  select m.* into account, created from member_named(p_root, p_name) m;
end $$;

-- Locks a member's account, its pool's and, before these, what is linked to the member. Who links a
-- wallet to it holds the member's row until that is done: nothing is linked behind this one's back.
create or replace function creditd.lock_member(p_root bigint, p_account bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  perform from member m where m.root_id = p_root and m.account_id = p_account for update;
  perform from wallet_link x where x.root_id = p_root and x.account_id = p_account order by x.address for update;
  perform from wallet x where x.linked_root = p_root and x.linked_account = p_account
    order by x.chain_id, x.address for update;
  perform lock_accounts(array[p_root], array[p_account]);
end $$;

-- Closes a member's account. What it has and owes is the pool's from now on, as is what comes back later;
-- its reservations end where they are. Its links go to the account it moves to, or (null) end.
-- The caller has called lock_member.
create or replace function creditd.close_member(
  p_root bigint, p_account bigint, p_to_root bigint, p_to_account bigint
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare a account := expire_due(locked_account(p_root, p_account));
begin
  a.status := 'closed';
  update overdraft o set amount = 0 where o.root_id = p_root and o.account_id = p_account;
  a := forward(a, null);
  perform keep(a);
  update member m set left_at = clock(), moved_root = p_to_root, moved_account = p_to_account
    where m.root_id = p_root and m.account_id = p_account;
  update wallet x set linked_root = p_to_root, linked_account = p_to_account,
      linked_at = case when p_to_root is not null then clock() end
    where x.linked_root = p_root and x.linked_account = p_account;
  insert into linked_wallet (root_id, account_id, chain_id, address)
    select w.linked_root, w.linked_account, w.chain_id, w.address from wallet w
    where w.linked_root = p_to_root and w.linked_account = p_to_account
    on conflict on constraint linked_wallet_pkey do nothing;
  if p_to_root is null then
    delete from wallet_link x where x.root_id = p_root and x.account_id = p_account;
  else
    update wallet_link x set root_id = p_to_root, account_id = p_to_account, linked_at = clock()
      where x.root_id = p_root and x.account_id = p_account;
  end if;
end $$;

-- Ends a membership.
create or replace function creditd.remove_member(p_app integer, p_root bigint, p_account bigint) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_member member;
begin
  perform refuse_null('p_app p_root p_account', array[p_app is null, p_root is null, p_account is null]);
  if not governs(p_app, p_root) then return 'no_account'; end if;
  perform lock_member(p_root, p_account);
  select * into v_member from member m where m.root_id = p_root and m.account_id = p_account;
  if not found then return 'no_account'; end if;
  if v_member.left_at is not null then return 'replayed'; end if;
  perform from account a where a.root_id = p_root and a.account_id = p_account and a.status = 'frozen';
  if found then return 'frozen'; end if;
  perform close_member(p_root, p_account, null, null);
  return 'removed';
end $$;

-- Ends a membership and begins one in another organisation, under the same name. The wallets that
-- earn for the member go along.
create or replace function creditd.move_member(
  p_app integer, p_root bigint, p_account bigint, p_to_root bigint,
  out outcome text, out root bigint, out account bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_member member;
  v_new record;
begin
  perform refuse_null('p_app p_root p_account p_to_root',
    array[p_app is null, p_root is null, p_account is null, p_to_root is null]);
  outcome := 'no_account';
  if not governs(p_app, p_root) or not governs(p_app, p_to_root) or p_root = p_to_root then return; end if;
  perform lock_member(p_root, p_account);
  select * into v_member from member m where m.root_id = p_root and m.account_id = p_account;
  if not found then return; end if;
  if v_member.left_at is not null then
    outcome := case when v_member.moved_root = p_to_root then 'replayed' else 'closed' end;
    root := v_member.moved_root; account := v_member.moved_account;
    return;
  end if;
  perform from account a where a.root_id = p_root and a.account_id = p_account and a.status = 'frozen';
  if found then outcome := 'frozen'; return; end if;
  select m.* into v_new from member_named(p_to_root, v_member.name) m;
  if not v_new.created then outcome := 'name_taken'; return; end if;
  perform close_member(p_root, p_account, p_to_root, v_new.account);
  outcome := 'moved'; root := p_to_root; account := v_new.account;
end $$;

-- Sets what the pool pays for a member in each period, or (p_amount null) that it pays nothing by this
-- period. Levels of an unchanged budget that were told stay told.
create or replace function creditd.set_budget(
  p_app integer, p_root bigint, p_account bigint, p_period text, p_amount bigint, p_levels smallint[]
) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_app p_root p_account p_period p_levels',
    array[p_app is null, p_root is null, p_account is null, p_period is null, lacks(p_levels, cardinality(p_levels))]);
  if not governs(p_app, p_root) then return 'no_account'; end if;
  perform from member m where m.root_id = p_root and m.account_id = p_account and m.left_at is null;
  if not found then return 'no_account'; end if;
  perform lock_accounts(array[p_root], array[p_account]);
  if p_amount is null then
    delete from budget b where b.root_id = p_root and b.account_id = p_account and b.period = p_period;
    return 'set';
  end if;
  insert into budget as b (root_id, account_id, period, amount, levels)
    values (p_root, p_account, p_period, p_amount, p_levels)
    on conflict on constraint budget_pkey do update
      set amount = excluded.amount, levels = excluded.levels, told_from = null, told_level = 0
      where (b.amount, b.levels) <> (excluded.amount, excluded.levels);
  return 'set';
end $$;

-- Moves credits between an organisation's pool and a member, one of which gives p_amount: once per key.
create or replace function creditd.allocate(
  p_app integer, p_root bigint, p_from bigint, p_to bigint, p_key uuid, p_request uuid, p_amount bigint,
  out outcome text, out seq bigint, out amount bigint, out available bigint, out at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  b account;
  e entry;
begin
  perform refuse_null('p_app p_root p_from p_to p_key p_request p_amount',
    array[p_app is null, p_root is null, p_from is null, p_to is null, p_key is null, p_request is null, p_amount is null]);
  if not governs(p_app, p_root) or (p_from = p_root) = (p_to = p_root) then outcome := 'no_account'; return; end if;
  perform from member m where m.root_id = p_root and m.account_id in (p_from, p_to);
  if not found then outcome := 'no_account'; return; end if;
  perform lock_accounts(array[p_root, p_root], array[p_from, p_to]);
  select * into e from entry x where x.root_id = p_root and x.key_hash = p_key;
  if not found then
    select * into b from account x where x.root_id = p_root and x.account_id = p_to;
    a := expire_due(locked_account(p_root, p_from));
    amount := p_amount;
    available := movable(a);
    if available < p_amount and a.held > 0 then
      a := sweep_reservations(a);
      available := movable(a);
    end if;
    outcome := case when 'closed' in (a.status, b.status) then 'closed' when a.status <> 'open' then 'frozen'
                    when available < p_amount then 'not_covered' when room_in(b) < p_amount then 'beyond_range'
                    else 'moved' end;
    if outcome = 'moved' then
      seq := a.seq + 1;
      e.total := p_amount; e.app_id := p_app; e.key_hash := p_key; e.request_hash := p_request;
      e.peer_root := p_root; e.peer_account := p_to;
      a := send(a, e, p_amount);
    end if;
    perform keep(a);
    if outcome <> 'moved' then return; end if;
    b := receive(expire_due(locked_account(p_root, p_to)), p_root, p_from, seq);
    perform keep(b);
    select * into strict e from entry x where x.root_id = p_root and x.account_id = p_from and x.seq = allocate.seq;
  elsif e.kind <> 13 or e.request_hash <> p_request then
    outcome := 'key_reused'; return;
  else
    outcome := 'replayed';
  end if;
  seq := e.seq; amount := e.total; at := e.at; available := e.available_after + e.amount - e.total;
end $$;

-- A charge that names a member: paid by what the member has, or by the organisation's pool.
create or replace function creditd.charge_of_member(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid, p_cost bigint,
  p_operation integer, p_units bigint, p_version integer, p_api_key integer
) returns creditd.charge_outcome
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c charge_outcome;
  v record;
begin
  select p.* into v from payer_for(p_root, p_account, p_operation, p_cost) p;
  if v.refusal is not null then
    c.outcome := v.refusal; c.payer := p_account; c.price_version := p_version; c.amount := p_cost;
    c.available := v.available;
    return c;
  end if;
  -- Of the member's own account that has been looked at; the pool's sums stay within a bigint too.
  if v.payer <> p_account and p_cost > most_sum() - (
    select x.spent from account x where x.root_id = p_root and x.account_id = v.payer
  ) then
    c.outcome := 'too_expensive';
    return c;
  end if;
  c := charge_with_care(p_root, v.payer, p_app, p_key, p_request, p_cost, p_operation, p_units, p_version,
                        p_api_key, nullif(p_account, v.payer));
  if c.outcome = 'charged' and v.payer <> p_account then perform budget_take(p_root, p_account, p_cost, c.at); end if;
  return c;
end $$;
