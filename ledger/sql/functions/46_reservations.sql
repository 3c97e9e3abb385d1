-- Credits held for work whose price is not known yet. A reservation burns as a charge does, into what is
-- held; it ends once: settled, released, or by the clock.

-- What is held nobody can spend: longer than any job runs, and an app that forgot has its users' credits
-- back some day.
create or replace function creditd.longest_reservation() returns interval
language sql immutable
return interval '30 days';

-- Holds the price of up to so many units, once per key. If nobody settles in time, `p_minimum` is taken.
-- `p_api_key` is by which API key (0: by none); `model` is whose price it is, null where that is the one for any.
create or replace function creditd.reserve(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid, p_operation text, p_model text,
  p_units bigint, p_version integer, p_expires_in interval, p_minimum bigint, p_over_max bigint, p_api_key integer,
  out outcome text, out payer bigint, out seq bigint, out price_version integer, out model text, out amount bigint,
  out available bigint, out held bigint, out debt bigint, out expires_at timestamptz, out at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  e entry;
  v_price price;
  v_payer record;
  v_seq bigint;
  v_now timestamptz;
  v_family integer;
  v_cap record;
begin
  perform refuse_null('p_root p_account p_app p_key p_request p_operation p_model p_units p_version '
    'p_expires_in p_minimum p_over_max p_api_key',
    array[p_root is null, p_account is null, p_app is null, p_key is null, p_request is null, p_operation is null,
    p_model is null, p_units is null, p_version is null, p_expires_in is null, p_minimum is null, p_over_max is null,
    p_api_key is null]);
  if p_expires_in <= interval '0' or p_expires_in > longest_reservation() or p_minimum < 0
     or p_over_max not between 0 and most_credits() then
    raise exception 'a reservation lasts at most %, and takes nothing below 0', longest_reservation() using errcode = '22023';
  end if;
  if not reaches(p_app, p_root, p_account) then outcome := 'no_account'; return; end if;
  perform lock_accounts(array[p_root], array[p_account]);
  if not reaches(p_app, p_root, p_account) then outcome := 'no_account'; return; end if;  -- not any more
  select * into e from entry x where x.root_id = p_root and x.key_hash = p_key;
  if found then
    outcome := case when e.kind = 8 and e.request_hash = p_request then 'replayed' else 'key_reused' end;
    if outcome = 'key_reused' then return; end if;
    select x.created_at + p_expires_in into strict expires_at from reservation x
      where x.root_id = p_root and x.account_id = e.account_id and x.reservation_no = e.seq;
    payer := e.account_id; seq := e.seq; price_version := e.price_version; amount := e.total; debt := e.debt_after; at := e.at;
    available := e.available_after + e.amount - e.total; held := e.held_after - e.amount + e.total;
    select nullif(p.model, '') into strict model from price p
      where p.operation_id = e.operation_id and p.version = e.price_version;
    return;
  end if;
  select * into strict a from account x where x.root_id = p_root and x.account_id = p_account;
  if a.status <> 'open' then outcome := 'frozen'; return; end if;
  select p.* into v_price from price_in_force(p_operation, p_model, clock()) p;
  if not found then outcome := why_unpriced(p_operation, clock()); return; end if;
  price_version := v_price.version; model := nullif(v_price.model, '');
  if p_version not in (0, price_version) then outcome := 'price_changed'; return; end if;
  amount := cost_of(v_price, p_units);
  if amount is null or amount > most_sum() - a.spent then outcome := 'too_expensive'; return; end if;

  select k.family into v_family from capped_api_key k where k.key_id = p_api_key;
  if v_family is not null then
    select c.* into v_cap from cap_left(v_family) c;
    -- All that a settlement may take: what is counted later nobody could refuse any more.
    if amount + p_over_max > v_cap.available then
      amount := amount + p_over_max;
      outcome := 'over_key_cap'; available := v_cap.available; expires_at := nullif(v_cap.renews, 'infinity'); return;
    end if;
  end if;
  payer := p_account;
  if p_root <> p_account then
    select p.* into v_payer from payer_for(p_root, p_account, v_price.operation_id, amount) p;
    if v_payer.refusal is not null then outcome := v_payer.refusal; available := v_payer.available; return; end if;
    payer := v_payer.payer;
  end if;
  a := locked_account(p_root, payer);
  v_seq := a.seq;
  a := expire_due(a);
  available := spendable(a, v_price.operation_id);
  if available < amount and a.held > 0 then
    a := sweep_reservations(a);
    available := spendable(a, v_price.operation_id);
  end if;
  debt := a.debt;
  -- What is held may all be spent: with it the totals stay within a bigint.
  if available < amount or amount > most_sum() - a.spent - a.held then
    if a.seq > v_seq then perform keep(a); end if;
    outcome := case when available < amount then 'insufficient' else 'too_expensive' end;
    return;
  end if;

  e := null; e.kind := 8; e.total := amount; e.app_id := p_app; e.key_hash := p_key; e.request_hash := p_request;
  e.operation_id := v_price.operation_id; e.units := p_units; e.price_version := price_version;
  e.member_id := nullif(p_account, payer); e.api_key_id := nullif(p_api_key, 0);
  seq := a.seq + 1;
  a := burn(a, e, amount, v_price.operation_id);
  v_now := clock();
  expires_at := v_now + p_expires_in;
  insert into reservation (root_id, account_id, reservation_no, member_id, app_id, amount, over_max, minimum,
                           expires_at, created_at)
    values (p_root, payer, seq, e.member_id, p_app, amount, p_over_max, least(p_minimum, amount), expires_at, v_now);
  perform keep(a);
  select x.at into strict at from entry x where x.root_id = p_root and x.account_id = payer and x.seq = reserve.seq;
  if e.member_id is not null then perform budget_take(p_root, e.member_id, amount, at); end if;
  if v_family is not null then
    perform refuse_next_period(at, v_cap.good_until);
    perform cap_take(v_family, amount + p_over_max, at);
  end if;
  outcome := 'reserved'; available := a.available; held := a.held; debt := a.debt;
end $$;

-- Finds a reservation for whoever is to end or extend it, and ends it if its time is over. Where it is open, `a`
-- is its account, locked; otherwise the account is as it is.
create or replace function creditd.opened_reservation(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_key uuid, p_request uuid,
  out refusal text, out a creditd.account, out r creditd.reservation
)
language plpgsql set search_path = creditd, pg_temp as $$
declare e entry;
begin
  refusal := 'no_reservation';
  select * into r from reservation x
    where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation and x.app_id = p_app;
  -- What an app has reserved it may end, though it does not reach the account any more.
  if not found and not reaches(p_app, p_root, p_account) then return; end if;
  perform lock_with_links(array[p_root], array[p_account]);
  select * into e from entry x where x.root_id = p_root and x.key_hash = p_key;
  if found and e.request_hash <> p_request then refusal := 'key_reused'; return; end if;
  -- Once more: it may have ended while the account was waited for.
  select * into r from reservation x
    where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation and x.app_id = p_app;
  if not found then return; end if;
  refusal := null;
  if r.state <> 'open' then return; end if;
  a := locked_account(p_root, p_account);
  if r.expires_at > clock() then return; end if;
  a := end_reservation(expire_due(a), r, 'expired', r.minimum, null, null, null);
  perform keep(a);
  select * into strict r from reservation x
    where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation;
end $$;

-- How a reservation came to its end, read from the movement that ended it.
create or replace function creditd.ending_as_made(
  r creditd.reservation, out seq bigint, out amount bigint, out available bigint, out held bigint, out at timestamptz,
  out units bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
begin
  seq := r.ended_by; amount := r.settled;
  select x.at, x.units into strict at, units from entry x
    where x.root_id = r.root_id and x.account_id = r.account_id and x.seq = r.ended_by;
  select x.available_after, x.held_after into strict available, held from entry x
    where x.root_id = r.root_id and x.account_id = r.account_id
      and x.seq = last_of_movement(r.root_id, r.account_id, r.ended_by);
end $$;

-- What a settlement can take beyond what is reserved. What is due on the account ends first if that is needed,
-- this reservation with it if its time has just come: then it is no longer open.
create or replace function creditd.room_beyond(
  p_reservation creditd.reservation, p_extra bigint, p_a creditd.account, out a creditd.account, out room bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_operation integer;
begin
  a := p_a;
  select x.operation_id into strict v_operation from entry x
    where x.root_id = p_reservation.root_id and x.account_id = p_reservation.account_id
      and x.seq = p_reservation.reservation_no;
  room := spendable(a, v_operation);
  if room < p_extra and a.held > p_reservation.amount then
    a := sweep_reservations(a);
    room := spendable(a, v_operation);
  end if;
end $$;

-- Takes what the work cost and gives the rest back, whatever has ended or was frozen meanwhile: `p_amount` is
-- at most what is reserved and `over_max` together. The books keep `p_units`, how many units were used; null where
-- nobody says. The same amount again is answered as it was, units included, under any key.
create or replace function creditd.settle_for(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_key uuid, p_request uuid, p_amount bigint,
  p_units bigint,
  out outcome text, out seq bigint, out amount bigint, out available bigint, out held bigint, out debt bigint,
  out at timestamptz, out units bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  o record;
  a account;
  r reservation;
  v_before bigint;
begin
  select x.* into o from opened_reservation(p_root, p_account, p_reservation, p_app, p_key, p_request) x;
  outcome := o.refusal;
  if outcome is not null then return; end if;
  a := o.a; r := o.r; v_before := a.seq;
  if r.state = 'open' and p_amount not between 0 and r.amount + r.over_max then
    outcome := 'over_bound'; amount := r.amount + r.over_max; return;
  end if;
  if r.state = 'open' and p_amount > r.amount and not reaches(p_app, p_root, p_account)
     and not reaches(p_app, p_root, r.member_id) then
    outcome := 'over_bound'; amount := r.amount; return;
  end if;
  if r.state = 'open' then a := expire_due(a); end if;
  if r.state = 'open' and p_amount > r.amount then
    amount := p_amount - r.amount;
    select x.* into o from room_beyond(r, amount, a) x;
    a := o.a; available := o.room;
    select * into strict r from reservation x
      where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation;
    if r.state <> 'open' then
      perform keep(a);
    elsif available < amount or p_amount > most_sum() - a.spent - (a.held - r.amount) then
      if a.seq > v_before then perform keep(a); end if;
      outcome := case when available < amount then 'insufficient' else 'too_expensive' end;
      debt := a.debt;
      return;
    end if;
  end if;
  if r.state = 'open' then
    perform keep(end_reservation(a, r, 'settled', p_amount, p_units, p_key, p_request));
    outcome := 'settled';
    select * into strict r from reservation x
      where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation;
  else
    outcome := case when r.state = 'settled' and r.settled = p_amount then 'replayed' else 'already_' || r.state end;
  end if;
  select m.* into seq, amount, available, held, at, units from ending_as_made(r) m;
end $$;

-- Settles for an amount: of how many units it is nobody says.
create or replace function creditd.settle(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_key uuid, p_request uuid, p_amount bigint,
  out outcome text, out seq bigint, out amount bigint, out available bigint, out held bigint, out debt bigint,
  out at timestamptz, out units bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_root p_account p_reservation p_app p_key p_request p_amount',
    array[p_root is null, p_account is null, p_reservation is null, p_app is null, p_key is null, p_request is null,
    p_amount is null]);
  select x.* into outcome, seq, amount, available, held, debt, at, units
    from settle_for(p_root, p_account, p_reservation, p_app, p_key, p_request, p_amount, null) x;
end $$;

-- Settles for what so many units cost at the price that they were reserved at, none for nothing, and for `p_at_least`
-- where that is more.
create or replace function creditd.settle_units(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_key uuid, p_request uuid, p_units bigint,
  p_at_least bigint,
  out outcome text, out seq bigint, out amount bigint, out available bigint, out held bigint, out debt bigint,
  out at timestamptz, out units bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_price price;
  v_amount bigint := 0;
begin
  perform refuse_null('p_root p_account p_reservation p_app p_key p_request p_units p_at_least',
    array[p_root is null, p_account is null, p_reservation is null, p_app is null, p_key is null, p_request is null,
    p_units is null, p_at_least is null]);
  if p_units <> 0 then
    -- No lock is needed to read it: neither what was reserved nor what a version says ever changes.
    select p.* into v_price from entry x join price p on p.operation_id = x.operation_id and p.version = x.price_version
      where x.root_id = p_root and x.account_id = p_account and x.seq = p_reservation and x.kind = 8;
    -- What has no cost is beyond what any reservation may take.
    v_amount := coalesce(cost_of(v_price, p_units), 9223372036854775807);
  end if;
  select x.* into outcome, seq, amount, available, held, debt, at, units
    from settle_for(p_root, p_account, p_reservation, p_app, p_key, p_request, greatest(v_amount, p_at_least),
                    p_units) x;
end $$;

-- Gives all that is held back. Again is answered as it was, under any key.
create or replace function creditd.release(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_key uuid, p_request uuid,
  out outcome text, out seq bigint, out amount bigint, out available bigint, out held bigint, out at timestamptz,
  out units bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  o record;
  r reservation;
begin
  perform refuse_null('p_root p_account p_reservation p_app p_key p_request',
    array[p_root is null, p_account is null, p_reservation is null, p_app is null, p_key is null, p_request is null]);
  select x.* into o from opened_reservation(p_root, p_account, p_reservation, p_app, p_key, p_request) x;
  outcome := o.refusal;
  if outcome is not null then return; end if;
  r := o.r;
  if r.state = 'open' then
    perform keep(end_reservation(expire_due(o.a), r, 'released', 0, null, p_key, p_request));
    outcome := 'released';
    select * into strict r from reservation x
      where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation;
  else
    outcome := case r.state when 'released' then 'replayed' else 'already_' || r.state end;
  end if;
  select m.* into seq, amount, available, held, at, units from ending_as_made(r) m;
end $$;

-- Lets an open reservation last until then, and never less long than it would have. Again is a no-op.
create or replace function creditd.extend(
  p_root bigint, p_account bigint, p_reservation bigint, p_app integer, p_until timestamptz,
  out outcome text, out expires_at timestamptz, out seq bigint, out amount bigint, out available bigint,
  out held bigint, out at timestamptz, out units bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  o record;
  r reservation;
begin
  perform refuse_null('p_root p_account p_reservation p_app p_until',
    array[p_root is null, p_account is null, p_reservation is null, p_app is null, p_until is null]);
  select x.* into o from opened_reservation(p_root, p_account, p_reservation, p_app, null, null) x;
  outcome := o.refusal;
  if outcome is not null then return; end if;
  r := o.r;
  if r.state <> 'open' then
    outcome := 'already_' || r.state;
    select m.* into seq, amount, available, held, at, units from ending_as_made(r) m;
    return;
  end if;
  -- Only who may reserve now may hold for longer.
  if not reaches(p_app, p_root, p_account) and not reaches(p_app, p_root, r.member_id) then
    outcome := 'no_reservation'; return;
  end if;
  if p_until > clock() + longest_reservation() then outcome := 'too_long'; return; end if;
  outcome := 'extended';
  expires_at := greatest(r.expires_at, p_until);
  update reservation x set expires_at = extend.expires_at
    where x.root_id = p_root and x.account_id = p_account and x.reservation_no = p_reservation
      and x.expires_at < extend.expires_at;
end $$;
