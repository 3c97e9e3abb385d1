-- How reservations end: part of what is held is taken, the rest goes back, in one movement.

-- Takes `p_take` of what a reservation holds, in burn order, and gives the rest back, last leg first.
-- `first` is what the movement's first entry says.
create or replace function creditd.part_held(
  a creditd.account, r creditd.reservation, first creditd.entry, p_take bigint
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c_last constant bigint := last_of_movement(r.root_id, r.account_id, r.reservation_no);
  v_leg entry;
  v_lot lot;
  v_left bigint := p_take;
  e entry := first;
begin
  if r.amount = 0 then  -- nothing is held, and yet it ends by an entry
    e.kind := 9; e.amount := 0;
    return post(a, e);
  end if;
  for v_leg in
    select * from entry x
    where x.root_id = r.root_id and x.account_id = r.account_id and x.seq between r.reservation_no and c_last
    order by x.seq
  loop
    exit when v_left = 0;
    e.kind := 9; e.amount := least(v_left, v_leg.amount); e.lot_no := v_leg.lot_no;
    v_left := v_left - e.amount;
    a := post(a, e);
    e := leg_after(a, e);
    update lot l set held = l.held - e.amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = e.lot_no returning * into v_lot;
    if v_lot.state = 'reversed' then a := make_up(a, v_lot.lot_no, e.amount, e.movement); end if;
  end loop;
  v_left := r.amount - p_take;
  for v_leg in
    select * from entry x
    where x.root_id = r.root_id and x.account_id = r.account_id and x.seq between r.reservation_no and c_last
    order by x.seq desc
  loop
    exit when v_left = 0;
    e.kind := 10; e.amount := least(v_left, v_leg.amount); e.lot_no := v_leg.lot_no;
    v_left := v_left - e.amount;
    a := post(a, e);
    e := leg_after(a, e);
    update lot l set held = l.held - e.amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = e.lot_no returning * into v_lot;
    a := back_in_lot(a, v_lot, e.amount, e.movement, r.reservation_no);
  end loop;
  return a;
end $$;

-- Ends a reservation in a movement of its own: settled for `p_taken`, released, or expired. `p_units` is how many
-- units were used, null where nobody says. The caller has locked what `finish` asks for, has seen that all that is
-- to be taken is there, and keeps the account.
create or replace function creditd.end_reservation(
  a creditd.account, r creditd.reservation, p_state text, p_taken bigint, p_units bigint, p_key uuid, p_request uuid
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c_take constant bigint := least(p_taken, r.amount);
  c_first constant bigint := a.seq + 1;
  v_reserve entry;
  e entry;
begin
  select * into strict v_reserve from entry x
    where x.root_id = r.root_id and x.account_id = r.account_id and x.seq = r.reservation_no;
  -- The first entry says what was taken in all; where nothing was, what was given back.
  e.total := case when p_taken > 0 then p_taken else r.amount end;
  e.refers_to := r.reservation_no; e.app_id := r.app_id; e.member_id := r.member_id;
  e.api_key_id := v_reserve.api_key_id; e.units := p_units;
  e.key_hash := p_key; e.request_hash := p_request;
  a := part_held(a, r, e, c_take);
  if r.member_id is not null and c_take < r.amount then
    perform budget_give_back(r.root_id, r.member_id, r.amount - c_take, v_reserve.at);
  end if;
  if p_taken > c_take then
    e := null; e.kind := 2; e.movement := c_first; e.refers_to := r.reservation_no; e.member_id := r.member_id;
    a := burn(a, e, p_taken - c_take, v_reserve.operation_id);
    if r.member_id is not null then
      -- The budget agreed when it was reserved: what work has cost is counted even where it leaves nothing.
      select * into strict e from entry x
        where x.root_id = r.root_id and x.account_id = r.account_id and x.seq >= c_first and x.kind = 2
        order by x.seq limit 1;
      perform budget_take(r.root_id, r.member_id, p_taken - c_take, e.at);
    end if;
  end if;
  if v_reserve.api_key_id is not null then
    -- One that is ended in passing counts in a slot of its own: whoever does it has counted nothing else yet, and
    -- two who count the same API keys in another order would wait for each other.
    if p_taken > 0 then
      perform note_key_use(v_reserve.api_key_id,
        case p_state when 'expired' then -1 - (random() * 1000000000)::integer else own_slot() end, 1, p_taken, 0, a.last_at);
    end if;
    if p_taken <> r.amount + r.over_max then
      perform note_cap(v_reserve.api_key_id, p_taken - r.amount - r.over_max, v_reserve.at);
    end if;
  end if;
  update reservation x set state = p_state, settled = p_taken, ended_by = c_first
    where x.root_id = r.root_id and x.account_id = r.account_id and x.reservation_no = r.reservation_no;
  return finish(a, c_first, r.reservation_no);
end $$;

-- Ends the account's reservations that are due, before anything is refused for what they hold: those that hold
-- something, of many the thousand that were due first. Others' charges wait meanwhile, and whoever asks next
-- ends the next thousand. The caller keeps the account.
create or replace function creditd.sweep_reservations(a creditd.account) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  r reservation;
  v_now timestamptz := clock();  -- as a value: the index is asked for it
begin
  -- What goes on elsewhere is not there to be spent; and locks that it needs come before the account's.
  perform from goes_on_to(a) g where g.root is not null;
  if found then return a; end if;
  for r in
    select * from reservation x
    where x.root_id = a.root_id and x.account_id = a.account_id and x.state = 'open' and x.expires_at <= v_now
      and x.amount > 0
    order by x.expires_at, x.reservation_no limit 1000
  loop
    a := end_reservation(a, r, 'expired', r.minimum, null, null, null);
  end loop;
  return a;
end $$;

-- Ends reservations that are due where nobody else looks, at most `p_limit` of them. Returns how many. It
-- waits for nobody: an account that is held is in use, and its turn comes again.
create or replace function creditd.expire_reservations(p_limit integer) returns integer
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_due record;
  v_to record;
  a account;
  r reservation;
  v_now timestamptz := clock();
  v_count integer := 0;
begin
  perform refuse_null('p_limit', array[p_limit is null]);
  for v_due in
    select distinct d.root_id, d.account_id from (
      select x.root_id, x.account_id from reservation x where x.state = 'open' and x.expires_at <= v_now
      order by x.expires_at limit p_limit) d
    order by 1, 2
  loop
    select * into a from account x
      where x.root_id = v_due.root_id and x.account_id = v_due.account_id for no key update skip locked;
    continue when not found;
    select g.* into v_to from goes_on_to(a) g;
    if v_to.root is not null then
      perform from account x where x.root_id = v_to.root and x.account_id = v_to.account for no key update skip locked;
      continue when not found;
      if a.kind = 'wallet' then  -- the link stays as it is meanwhile
        perform from wallet w where w.root_id = a.root_id and w.account_id = a.account_id
          and (w.linked_root, w.linked_account) = (v_to.root, v_to.account) for share skip locked;
        continue when not found;
      end if;
    end if;
    a := expire_due(locked_account(a.root_id, a.account_id));
    for r in
      select * from reservation x
      where x.root_id = a.root_id and x.account_id = a.account_id and x.state = 'open' and x.expires_at <= v_now
      order by x.expires_at, x.reservation_no limit p_limit - v_count
    loop
      a := end_reservation(a, r, 'expired', r.minimum, null, null, null);
      v_count := v_count + 1;
    end loop;
    perform keep(a);
  end loop;
  return v_count;
end $$;
