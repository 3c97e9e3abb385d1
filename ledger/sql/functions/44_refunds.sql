-- Refunds: whole or part, to the very lots a charge was taken from.

do $$ begin
  if to_regtype('creditd.refund_outcome') is null then
    create type creditd.refund_outcome as (
      outcome text, seq bigint, amount bigint, repaid bigint, available bigint, at timestamptz
    );
  end if;
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
    a.valid_until := least(a.valid_until, v_lot.expires_at);
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
    insert into lot (root_id, account_id, lot_no, source, cause, amount, remaining, priority, operations,
                     expires_at, created_at)
      values (a.root_id, a.account_id, a.seq, 'refund', int8send(e.refers_to), v_rest, v_rest, v_lot.priority,
              v_lot.operations, v_lot.expires_at, a.last_at);
    a.valid_until := least(a.valid_until, v_lot.expires_at);
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
    where x.root_id = p_root and x.key_hash = p_key;
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
