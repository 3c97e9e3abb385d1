-- Charges and refunds. An outcome is a row, never an exception: one bad item must not undo its neighbours.

do $$ begin
  if to_regtype('creditd.charge_outcome') is null then
    create type creditd.charge_outcome as (
      outcome text, seq bigint, units bigint, price_version integer, amount bigint,
      available bigint, debt bigint, at timestamptz
    );
    create type creditd.refund_outcome as (
      outcome text, seq bigint, amount bigint, repaid bigint, available bigint, at timestamptz
    );
  end if;
end $$;

-- Takes credits from the account's lots, soonest expiry first, then oldest. The balance covers it.
create or replace function creditd.burn(a creditd.account, first creditd.entry, p_amount bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  e entry := first;
  v_left bigint := p_amount;
begin
  for v_lot in
    select * from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
    order by l.expires_at, l.lot_no
  loop
    e.amount := least(v_left, v_lot.remaining);
    e.lot_no := v_lot.lot_no;
    a := post(a, e);
    update lot l set remaining = l.remaining - e.amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
    v_left := v_left - e.amount;
    exit when v_left = 0;
    if e.movement is null then  -- further lots of the same charge
      e := null; e.kind := first.kind; e.movement := a.seq;
    end if;
  end loop;
  if v_left > 0 then
    raise exception 'account %/%: its lots hold % less than its balance', a.root_id, a.account_id, v_left
      using errcode = 'CD009', hint = 'run creditd audit';
  end if;
  return a;
end $$;

create or replace function creditd.charge_one(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid,
  p_operation text, p_units bigint, p_version integer
) returns creditd.charge_outcome
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account;
  o charge_outcome;
  e entry;
  v_price price;
  v_cost numeric;
  v_seq bigint;
begin
  -- Before the lock: nobody makes an account wait that he may not reach.
  if not exists (
    select from account_access x where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app
  ) then
    o.outcome := 'no_account'; return o;
  end if;
  a := locked_account(p_root, p_account);
  -- A replay is answered before anything may refuse: the first answer stands whatever has changed.
  select * into e from entry x
    where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app and x.key_hash = p_key;
  if found then
    if e.kind <> 2 or e.request_hash <> p_request then o.outcome := 'key_reused'; return o; end if;
    return row('replayed', e.seq, e.units, e.price_version, e.total,
               e.available_after + e.amount - e.total, e.debt_after, e.at)::charge_outcome;
  end if;
  if a.status <> 'open' then o.outcome := 'frozen'; return o; end if;
  select p.* into v_price from operation x join price p using (operation_id)
    where x.name = p_operation and p.effective_at <= clock_timestamp()
    order by p.version desc limit 1;
  if not found then o.outcome := 'unknown_operation'; return o; end if;
  o.price_version := v_price.version;
  if p_version is distinct from v_price.version and p_version is not null then
    o.outcome := 'price_changed'; return o;
  end if;
  v_cost := v_price.base::numeric + v_price.per_unit::numeric * p_units;
  -- What an account has spent, given back or not, stays within a bigint together with all its grants.
  if p_units is null or p_units < 1 or v_cost > least(4000000000000000000, 5000000000000000000 - a.spent) then
    o.outcome := 'too_expensive'; return o;
  end if;
  v_seq := a.seq;
  a := expire_due(a);
  if a.available < v_cost then
    if a.seq > v_seq then perform keep(a); end if;  -- a refusal alone writes nothing
    return row('insufficient', null, p_units, v_price.version, v_cost, a.available, a.debt, null)::charge_outcome;
  end if;
  e := null; e.kind := 2; e.total := v_cost; e.app_id := p_app; e.key_hash := p_key;
  e.request_hash := p_request; e.operation_id := v_price.operation_id; e.units := p_units;
  e.price_version := v_price.version;
  o.seq := a.seq + 1;
  if v_cost = 0 then
    e.amount := 0;
    a := post(a, e);
  else
    a := burn(a, e, v_cost::bigint);
  end if;
  perform keep(a);
  -- The stored time is the first entry's, so that a replay says the same.
  select x.at into o.at from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = o.seq;
  return row('charged', o.seq, p_units, v_price.version, v_cost, a.available, a.debt, o.at)::charge_outcome;
end $$;

-- A batch in one round trip. Its roots all live on `p_route`'s shard. Accounts are locked in their
-- order, so that two batches never wait for each other in a circle; items of one account keep theirs.
create or replace function creditd.charge_batch(
  p_route bigint, p_roots bigint[], p_accounts bigint[], p_apps integer[], p_keys uuid[], p_requests uuid[],
  p_operations text[], p_units bigint[], p_versions integer[]
) returns table (item integer, result creditd.charge_outcome)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare i record;
begin
  for i in
    select * from unnest(p_roots, p_accounts, p_apps, p_keys, p_requests, p_operations, p_units, p_versions)
      with ordinality as t (root, account, app, key, request, operation, units, version, no)
    order by root, account, no
  loop
    item := i.no;
    result := charge_one(i.root, i.account, i.app, i.key, i.request, i.operation, i.units, i.version);
    return next;
  end loop;
end $$;

-- Puts part of a charge back where it came from (`e` is the refund's entry, amount set).
create or replace function creditd.give_back(a creditd.account, e creditd.entry, p_lot bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  v_rest bigint;
begin
  select * into strict v_lot from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
  if v_lot.state = 'live' then
    e.lot_no := p_lot;
    a := post(a, e);
    update lot l set remaining = l.remaining + e.amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
    a.next_expiry := least(a.next_expiry, v_lot.expires_at);
    return a;
  end if;
  v_rest := e.amount - least(a.debt, e.amount);
  if a.debt > 0 then
    e.amount := e.amount - v_rest;
    e.lot_no := p_lot;
    a := post(a, e);
    e.movement := coalesce(e.movement, a.seq);
    a := repay(a, p_lot, e.movement, e.amount, e.refers_to);
    e.total := null; e.app_id := null; e.key_hash := null; e.request_hash := null;
  end if;
  if v_rest > 0 then
    e.amount := v_rest;
    e.lot_no := a.seq + 1;
    a := post(a, e);
    insert into lot (root_id, account_id, lot_no, source, cause, incarnation, amount, remaining,
                     expires_at, created_at)
      values (a.root_id, a.account_id, a.seq, 'refund', int8send(e.refers_to), 1, v_rest, v_rest,
              v_lot.expires_at, a.last_at);
    a.next_expiry := least(a.next_expiry, v_lot.expires_at);
  end if;
  return a;
end $$;

-- A refund that stands, read from its entries (`e` is the first of them).
create or replace function creditd.refund_as_made(e creditd.entry) returns creditd.refund_outcome
language plpgsql set search_path = creditd, pg_temp as $$
declare v_repaid bigint;
begin
  select coalesce(sum(x.amount), 0) into v_repaid from entry x
    where x.root_id = e.root_id and x.account_id = e.account_id and x.refers_to = e.refers_to
      and x.movement = e.movement and x.kind = 6;
  return row('replayed', e.seq, e.total, v_repaid, e.available_after - e.amount + e.total - v_repaid, e.at)
    ::refund_outcome;
end $$;

-- Gives a charge back, whole (p_amount null: all that is left of it) or part, to the lots it was
-- taken from, last one first. What goes back to an orphaned grant pays the account's debt; if that
-- is paid already, others' credits have filled the hole, and a lot of its own holds them.
create or replace function creditd.refund(
  p_root bigint, p_account bigint, p_charge bigint, p_app integer, p_key uuid, p_request uuid, p_amount bigint
) returns creditd.refund_outcome
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  o refund_outcome;
  v_charge entry;
  v_leg entry;
  e entry;
  v_before bigint;
  v_skip bigint;
  v_left bigint;
  v_end bigint;
begin
  if not exists (
    select from account_access x where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app
  ) then
    o.outcome := 'no_charge'; return o;
  end if;
  a := locked_account(p_root, p_account);
  select * into e from entry x
    where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app and x.key_hash = p_key;
  if found then
    if e.kind <> 3 or e.request_hash <> p_request then o.outcome := 'key_reused'; return o; end if;
    return refund_as_made(e);
  end if;
  select * into v_charge from entry x
    where x.root_id = p_root and x.account_id = p_account and x.seq = p_charge and x.kind = 2
      and x.movement = x.seq and x.app_id = p_app;
  if not found then o.outcome := 'no_charge'; return o; end if;
  select coalesce(sum(x.amount), 0) into v_before from entry x
    where x.root_id = p_root and x.account_id = p_account and x.refers_to = p_charge and x.kind = 3;
  v_left := coalesce(p_amount, v_charge.total - v_before);
  if v_left <= 0 or v_left > v_charge.total - v_before then
    o.outcome := 'more_than_taken'; o.amount := v_charge.total - v_before; return o;
  end if;
  a := expire_due(a);
  e := null; e.kind := 3; e.total := v_left; e.refers_to := p_charge; e.app_id := p_app;
  e.key_hash := p_key; e.request_hash := p_request;
  o.seq := a.seq + 1;
  o.amount := v_left;
  v_skip := v_before;  -- legs given back already, in the same order
  -- A charge's entries follow one another: the first one of another movement ends them.
  select coalesce(min(x.seq), a.seq + 1) into v_end from (
    select y.seq from entry y
    where y.root_id = p_root and y.account_id = p_account and y.seq > p_charge and y.movement <> p_charge
    order by y.seq limit 1) x;
  for v_leg in
    select * from entry x
    where x.root_id = p_root and x.account_id = p_account and x.seq >= p_charge and x.seq < v_end
    order by x.seq desc
  loop
    if v_skip >= v_leg.amount then v_skip := v_skip - v_leg.amount; continue; end if;
    e.amount := least(v_left, v_leg.amount - v_skip);
    v_skip := 0;
    v_left := v_left - e.amount;
    a := give_back(a, e, v_leg.lot_no);
    exit when v_left = 0;
    e := null; e.kind := 3; e.refers_to := p_charge; e.movement := o.seq;
  end loop;
  a := repay_from_lots(a, o.seq, p_charge);
  perform keep(a);
  select * into strict e from entry x
    where x.root_id = p_root and x.account_id = p_account and x.seq = o.seq;
  o := refund_as_made(e);
  o.outcome := 'refunded';
  return o;
end $$;
