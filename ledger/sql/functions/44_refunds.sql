-- Refunds: whole or part, to the very lots that a charge or a settlement was taken from.

-- The number of a movement's last entry: its entries follow one another.
create or replace function creditd.last_of_movement(p_root bigint, p_account bigint, p_movement bigint) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return coalesce(
    (select x.seq - 1 from entry x
     where x.root_id = p_root and x.account_id = p_account and x.seq > p_movement and x.movement <> p_movement
     order by x.seq limit 1),
    (select x.seq from entry x where x.root_id = p_root and x.account_id = p_account order by x.seq desc limit 1));
end $$;

-- Notes on the account that a lot has something left again.
create or replace function creditd.has_again(a creditd.account, p_lot creditd.lot) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  a.valid_until := least(a.valid_until, p_lot.expires_at, case when p_lot.effective_at > clock() then p_lot.effective_at end);
  a.is_special := a.is_special or p_lot.operations is not null;
  return a;
end $$;

-- Ends a movement by which something came back: what it was granted for may back less, what is there pays
-- what is owed, and what is not to stay goes on. The caller has called `lock_with_links`, or knows that
-- nothing of this account goes on.
create or replace function creditd.finish(a creditd.account, p_movement bigint, p_refers bigint) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  -- Here, not in `refund`: one that has waited for its account while a release was laid ends by this text.
  if p_refers is not null then perform note_unbacked(a.root_id, a.account_id, p_refers); end if;
  return forward(repay_from_lots(a, p_movement, p_refers), p_movement);
end $$;

-- Gives back into a lot of its own, which may be burned as the old one could (`e` is the refund's entry).
create or replace function creditd.give_anew(
  a creditd.account, e creditd.entry, p_old creditd.lot, p_expires_at timestamptz
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  p_old.expires_at := p_expires_at;
  e.lot_no := a.seq + 1;
  a := post(a, e);
  insert into lot (root_id, account_id, lot_no, source, cause, amount, remaining, priority, effective_at, expires_at,
                   operations, created_at)
    values (a.root_id, a.account_id, a.seq, 'refund', int8send(e.refers_to), e.amount, e.amount, p_old.priority,
            p_old.effective_at, p_expires_at, p_old.operations, a.last_at);
  return has_again(a, p_old);
end $$;

-- Puts one leg back where it came from (`e` is the refund's entry, amount set). What came from an orphaned
-- grant pays the account's debt; if that is paid already, others' credits have filled the hole, and a lot of
-- its own holds them. An overdraft likewise takes no more than is in use of it: what was paid back since, by
-- credits of any kind, goes into a usual lot. What came from a lot past its end lapses, or (`renew`) lives as
-- long again as the lot had left when it was taken.
create or replace function creditd.give_back(
  a creditd.account, e creditd.entry, p_lot bigint, p_taken_at timestamptz, p_if_over text
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  v_now timestamptz := clock();
  v_rest bigint;
begin
  select * into strict v_lot from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
  e.lot_no := p_lot;
  if v_lot.state = 'reversed' then
    v_rest := e.amount - least(a.debt, e.amount);
    if v_rest < e.amount then
      e.amount := e.amount - v_rest;
      a := post(a, e);
      e := leg_after(a, e);
      a := repay(a, p_lot, e.movement, e.amount, e.refers_to);
    end if;
    if v_rest = 0 then return a; end if;
    e.amount := v_rest;
    return give_anew(a, e, v_lot, v_lot.expires_at);
  end if;
  if v_lot.source = 'overdraft' then
    v_rest := greatest(0, e.amount - (v_lot.amount - v_lot.remaining - v_lot.held));
    if v_rest < e.amount then
      e.amount := e.amount - v_rest;
      a := post(a, e);
      a := back_in_lot(a, v_lot, e.amount, coalesce(e.movement, a.seq), e.refers_to);
      e := leg_after(a, e);
    end if;
    if v_rest = 0 then return a; end if;
    e.amount := v_rest; v_lot.priority := 100;
    return give_anew(a, e, v_lot, v_lot.expires_at);
  end if;
  if v_lot.expires_at <= v_now and p_if_over = 'renew' then
    return give_anew(a, e, v_lot, v_now + (v_lot.expires_at - p_taken_at));
  end if;
  a := post(a, e);
  return back_in_lot(a, v_lot, e.amount, coalesce(e.movement, a.seq), e.refers_to);
end $$;

-- What an entry says once it is posted and others of its movement follow: nothing but what they share.
create or replace function creditd.leg_after(a creditd.account, e creditd.entry) returns creditd.entry
language plpgsql set search_path = creditd, pg_temp as $$
declare x entry;
begin
  x.kind := e.kind; x.amount := e.amount; x.lot_no := e.lot_no; x.refers_to := e.refers_to; x.member_id := e.member_id;
  x.movement := coalesce(e.movement, a.seq);
  return x;
end $$;

-- Lets a lot have what an entry has just brought back to it: past its end that lapses at once, and of an
-- orphaned grant it is taken back.
create or replace function creditd.back_in_lot(
  a creditd.account, p_lot creditd.lot, p_amount bigint, p_movement bigint, p_refers bigint
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare e entry;
begin
  if p_lot.state = 'live' and p_lot.expires_at > clock() then
    update lot l set remaining = l.remaining + p_amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot.lot_no;
    return has_again(a, p_lot);
  end if;
  e.kind := case p_lot.state when 'reversed' then 4 else 7 end;
  e.amount := p_amount; e.lot_no := p_lot.lot_no; e.movement := p_movement; e.refers_to := p_refers;
  update lot l set expired = l.expired + case e.kind when 7 then p_amount else 0 end,
      reversed = l.reversed + case e.kind when 4 then p_amount else 0 end
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot.lot_no;
  return post(a, e);
end $$;

-- When a leg of what is refunded was taken from its lot: what was settled, when it was reserved.
create or replace function creditd.taken_at(p_leg creditd.entry) returns timestamptz
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if p_leg.kind = 2 then return p_leg.at; end if;
  return (
    select x.at from entry x
    where x.root_id = p_leg.root_id and x.account_id = p_leg.account_id and x.lot_no = p_leg.lot_no
      and x.seq between p_leg.refers_to and last_of_movement(p_leg.root_id, p_leg.account_id, p_leg.refers_to));
end $$;

-- When a leg that an organisation's pool paid was counted in the member's budget: with its movement, what
-- was settled when it was reserved, and what a settlement took beyond that with the first leg of it.
create or replace function creditd.counted_at(p_leg creditd.entry) returns timestamptz
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return (
    select x.at from entry x
    where x.root_id = p_leg.root_id and x.account_id = p_leg.account_id and x.kind = case p_leg.kind when 9 then 8 else 2 end
      and x.seq >= case p_leg.kind when 9 then p_leg.refers_to else p_leg.movement end
    order by x.seq limit 1);
end $$;

-- When a charge or a settlement was counted in the caps of its API key: all that a settlement took, when it was
-- reserved.
create or replace function creditd.cap_counted_at(p_charge creditd.entry) returns timestamptz
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if p_charge.refers_to is null then return p_charge.at; end if;
  return (select x.at from entry x where x.root_id = p_charge.root_id and x.account_id = p_charge.account_id
            and x.seq = p_charge.refers_to);
end $$;

-- A refund that stands, read from its entries (`e` is the first of them).
create or replace function creditd.refund_as_made(
  e creditd.entry, out seq bigint, out amount bigint, out repaid bigint, out available bigint, out at timestamptz
)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_last bigint := last_of_movement(e.root_id, e.account_id, e.movement);
begin
  seq := e.seq; amount := e.total; at := e.at;
  select coalesce(sum(x.amount), 0) into repaid from entry x
    where x.root_id = e.root_id and x.account_id = e.account_id and x.seq between e.seq and v_last and x.kind = 6;
  select x.available_after into strict available from entry x
    where x.root_id = e.root_id and x.account_id = e.account_id and x.seq = v_last;
end $$;

-- Gives a charge or a settlement back, whole (p_amount null: all that is left of it) or part, to the lots
-- it was taken from, last one first. `p_if_over` says what becomes of what goes back to a lot past its end.
create or replace function creditd.refund(
  p_root bigint, p_account bigint, p_charge bigint, p_app integer, p_key uuid, p_request uuid, p_amount bigint,
  p_if_over text,
  out outcome text, out seq bigint, out amount bigint, out repaid bigint, out available bigint, out at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  v_charge entry;
  v_leg entry;
  e entry;
  v_skip bigint;
  v_left bigint;
begin
  perform refuse_null('p_root p_account p_charge p_app p_key p_request p_if_over',
    array[p_root is null, p_account is null, p_charge is null, p_app is null, p_key is null, p_request is null,
    p_if_over is null]);
  if p_if_over not in ('lapse', 'renew') then
    raise exception 'what goes back to a lot past its end can lapse or renew, not %', p_if_over using errcode = '22023';
  end if;
  outcome := 'no_charge';
  select * into v_charge from entry x  -- entries stay as they are: this needs no lock
    where x.root_id = p_root and x.account_id = p_account and x.seq = p_charge and x.kind in (2, 9)
      and x.movement = x.seq and x.app_id = p_app;
  -- What an app has taken it may give back, though it does not reach the account any more.
  if not found and not reaches(p_app, p_root, p_account) then return; end if;
  perform lock_with_links(array[p_root], array[p_account]);
  select * into e from entry x where x.root_id = p_root and x.key_hash = p_key;
  if found then
    if e.kind <> 3 or e.request_hash <> p_request then outcome := 'key_reused'; return; end if;
    select r.* into seq, amount, repaid, available, at from refund_as_made(e) r;
    outcome := 'replayed';
    return;
  end if;
  if v_charge.seq is null then return; end if;
  select coalesce(sum(x.amount), 0) into v_skip from entry x
    where x.root_id = p_root and x.account_id = p_account and x.refers_to = p_charge and x.kind = 3;
  v_left := coalesce(p_amount, v_charge.total - v_skip);
  if v_left <= 0 or v_left > v_charge.total - v_skip then
    outcome := 'more_than_taken'; amount := v_charge.total - v_skip; return;
  end if;
  a := expire_due(locked_account(p_root, p_account));
  e := null; e.kind := 3; e.total := v_left; e.refers_to := p_charge; e.app_id := p_app; e.key_hash := p_key;
  e.request_hash := p_request; e.member_id := v_charge.member_id;
  seq := a.seq + 1;
  for v_leg in
    select * from entry x
    where x.root_id = p_root and x.account_id = p_account and x.kind in (2, 9)
      and x.seq between p_charge and last_of_movement(p_root, p_account, p_charge)
    order by x.seq desc
  loop
    -- Legs given back already, in the same order.
    if v_skip >= v_leg.amount then v_skip := v_skip - v_leg.amount; continue; end if;
    e.amount := least(v_left, v_leg.amount - v_skip);
    v_skip := 0;
    v_left := v_left - e.amount;
    a := give_back(a, e, v_leg.lot_no, taken_at(v_leg), p_if_over);
    if v_charge.member_id is not null then
      perform budget_give_back(p_root, v_charge.member_id, e.amount, counted_at(v_leg));
    end if;
    if v_charge.api_key_id is not null then
      perform note_cap(v_charge.api_key_id, -e.amount, cap_counted_at(v_charge));
    end if;
    exit when v_left = 0;
    e.movement := seq;
    e := leg_after(a, e);
  end loop;
  a := finish(a, seq, p_charge);
  perform keep(a);
  select * into strict e from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = refund.seq;
  select r.* into seq, amount, repaid, available, at from refund_as_made(e) r;
  if v_charge.api_key_id is not null then
    perform note_key_use(v_charge.api_key_id, own_slot(), 0, 0, amount, at);
  end if;
  outcome := 'refunded';
end $$;
