-- Credits move between accounts: each entry names the other account, a moved lot the lot it began as.
-- One who moves holds both accounts, locked in their order, and keeps at most one in a variable.

-- Where what comes back to an account goes on to: to whom its wallet is linked, to the organisation's
-- pool of a member that left. Null for most accounts.
create or replace function creditd.goes_on_to(a creditd.account, out root bigint, out account bigint)
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if a.kind = 'wallet' then
    select w.linked_root, w.linked_account into root, account from wallet w
      where w.root_id = a.root_id and w.account_id = a.account_id;
  elsif a.kind = 'member' and a.status = 'closed' then
    root := a.root_id; account := a.root_id;
  end if;
end $$;

-- Locks accounts to which something may come back, with those it then goes on to: first the wallets,
-- so that no link changes, then all accounts in their order. To be called before any of them is locked.
create or replace function creditd.lock_with_links(p_roots bigint[], p_accounts bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_roots bigint[];
  v_accounts bigint[];
begin
  perform from wallet w
    where (w.root_id, w.account_id) in (select t.root, t.account from unnest(p_roots, p_accounts) t (root, account))
    order by w.chain_id, w.address for share;
  select p_roots || array_agg(w.linked_root), p_accounts || array_agg(w.linked_account) into v_roots, v_accounts
    from unnest(p_roots, p_accounts) t (root, account)
      join wallet w on w.root_id = t.root and w.account_id = t.account and w.linked_root is not null;
  perform lock_accounts(v_roots, v_accounts);
end $$;

-- What more an account can take in, so that its sums stay within a bigint.
create or replace function creditd.room_in(a creditd.account) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return greatest(0, most_credits() - a.granted - a.moved - a.line);
end $$;

-- What more an account can be granted. What it has sent away makes room for what moves in, but all that it
-- was ever granted is one sum.
create or replace function creditd.grantable(a creditd.account) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return greatest(0, least(room_in(a), most_credits() - a.granted));
end $$;

-- What may be allocated of an account now: not what only some operations may burn, nor what comes into
-- effect later, nor its overdraft.
create or replace function creditd.movable(a creditd.account) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare v_now timestamptz := clock();
begin
  return coalesce((
    select sum(l.remaining) from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0 and l.source <> 'overdraft'
      and l.effective_at <= v_now and l.expires_at > v_now and l.operations is null), 0);
end $$;

-- Moves out p_amount of what is movable, in burn order, or (null) whatever is left of all lots and the
-- debt. `first` is the first entry, with its peer. An overdraft is the operator's: it stays.
create or replace function creditd.send(a creditd.account, first creditd.entry, p_amount bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  e entry := first;
  v_left bigint := p_amount;
  v_now timestamptz := clock();
begin
  for v_lot in
    select * from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0 and l.source <> 'overdraft'
      and (p_amount is null or l.effective_at <= v_now and l.expires_at > v_now and l.operations is null)
    order by l.priority, l.expires_at, l.lot_no
  loop
    e.kind := 13; e.lot_no := v_lot.lot_no;
    e.amount := least(v_lot.remaining, v_left);  -- without an amount v_left is null, and passed over
    a := post(a, e);
    update lot l set remaining = l.remaining - e.amount, moved = l.moved + e.amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
    v_left := v_left - e.amount;
    e.movement := coalesce(e.movement, a.seq);
    e.total := null; e.app_id := null; e.key_hash := null; e.request_hash := null;
    exit when v_left = 0;
  end loop;
  if p_amount is null and a.debt > 0 then
    e.kind := 15; e.amount := a.debt; e.lot_no := null;
    a := post(a, e);
  end if;
  return a;
end $$;

-- Takes in what another account has sent by its entries from `p_since` on. What came in pays what the
-- account owes, then what it has used of its overdraft.
create or replace function creditd.receive(a creditd.account, p_root bigint, p_account bigint, p_since bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v record;
  e entry;
  v_lot bigint;
  v_now timestamptz := clock();
begin
  e.peer_root := p_root; e.peer_account := p_account;
  for v in
    select x.kind, x.amount, l as lot from entry x left join lot l
      on l.root_id = x.root_id and l.account_id = x.account_id and l.lot_no = x.lot_no
    where x.root_id = p_root and x.account_id = p_account and x.seq >= p_since and x.kind in (13, 15)
    order by x.seq
  loop
    e.amount := v.amount;
    e.kind := v.kind + 1;
    e.lot_no := case when v.kind = 13 then a.seq + 1 end;
    a := post(a, e);
    e.movement := coalesce(e.movement, a.seq);
    continue when v.kind = 15;
    insert into lot (root_id, account_id, lot_no, source, amount, remaining, priority, effective_at, expires_at,
                     operations, origin_root, origin_account, origin_lot, created_at)
      values (a.root_id, a.account_id, a.seq, (v.lot).source, v.amount, v.amount, (v.lot).priority,
              (v.lot).effective_at, (v.lot).expires_at, (v.lot).operations,
              coalesce((v.lot).origin_root, p_root), coalesce((v.lot).origin_account, p_account),
              coalesce((v.lot).origin_lot, (v.lot).lot_no), a.last_at);
    a.valid_until := least(a.valid_until, (v.lot).expires_at,
                           case when (v.lot).effective_at > v_now then (v.lot).effective_at end);
    a.is_special := a.is_special or (v.lot).operations is not null;
  end loop;
  a := repay_from_lots(a, e.movement, null);
  for v_lot in
    select l.lot_no from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0 and l.lot_no >= e.movement
    order by l.priority, l.expires_at, l.lot_no
  loop
    a := refill_line(a, v_lot, e.movement);
  end loop;
  return a;
end $$;

-- Hands all that an account has and owes over to another, as part of a movement (null: one of its own).
-- Who is frozen for a debt is so no more, and whoever has it now is.
create or replace function creditd.hand_over(a creditd.account, p_root bigint, p_account bigint, p_movement bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  b account;
  e entry;
  v_before bigint := a.seq;
begin
  e.peer_root := p_root; e.peer_account := p_account; e.movement := p_movement;
  a := send(a, e, null);
  if a.seq = v_before then return a; end if;
  b := receive(expire_due(locked_account(p_root, p_account)), a.root_id, a.account_id, v_before + 1);
  if a.status = 'indebted' and a.kind = 'wallet' then
    a.status := 'open';
    if b.status = 'open' and b.debt > 0 then b.status := 'indebted'; end if;
  end if;
  perform keep(b);
  perform tell_anyway(array[p_root], array[p_account]);
  return a;
end $$;

-- Sends on what has come back to an account (a refund, a release, a new debt) and is not to stay there:
-- what its overdraft no longer allows to the operator, all else to where it goes on to. To be called
-- last before `keep`, in the movement `p_movement`, with locks of `lock_with_links`. It keeps the
-- other account itself: the caller holds no copy of that one's row.
create or replace function creditd.forward(a creditd.account, p_movement bigint) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare v_to record;
begin
  a := fit_line(a, p_movement);
  if a.kind not in ('wallet', 'member') then return a; end if;
  select g.* into v_to from goes_on_to(a) g;
  -- Where there is no room it stays: it is not lost, and what others do goes on.
  if v_to.root is null or a.available > (
    select room_in(x) from account x where x.root_id = v_to.root and x.account_id = v_to.account
  ) then return a; end if;
  return hand_over(a, v_to.root, v_to.account, p_movement);
end $$;
