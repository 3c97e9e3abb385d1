-- Grants come, expire, and are taken back. An account is locked before its lots are touched.

-- An event's identity, the same in whichever block it is included.
create or replace function creditd.event_cause(p_event creditd.event) returns bytea
language sql immutable
return int8send(p_event.chain_id) || p_event.tx_hash || int4send(p_event.ordinal) || int2send(p_event.role);

-- What a grant for a cause is known by, in each of its incarnations.
create or replace function creditd.grant_key(
  p_account bigint, p_rule integer, p_cause bytea, p_incarnation integer
) returns uuid
language sql immutable
return encode(substr(sha256('grant'::bytea || int8send(p_account) || int4send(p_rule) || p_cause
  || int4send(p_incarnation)), 1, 16), 'hex')::uuid;

-- Posts the expiry of accounts that nobody touches, at most `p_limit` of them. Returns how many lots ended.
create or replace function creditd.expire_idle(p_limit integer) returns integer
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_due record;
  a account;
  v_before bigint;
  v_count integer := 0;
begin
  for v_due in
    select x.root_id, x.account_id from account x where x.valid_until <= clock()
    order by x.root_id, x.account_id limit p_limit for no key update skip locked
  loop
    a := locked_account(v_due.root_id, v_due.account_id);
    v_before := a.seq;
    a := expire_due(a);
    perform keep(a);
    v_count := v_count + (a.seq - v_before)::integer;
  end loop;
  return v_count;
end $$;

-- What the caps of a rule leave of a grant, taken from them. No day: the rule has no caps.
create or replace function creditd.take_from_caps(
  a creditd.account, r creditd.rule, p_day date, p_credits bigint
) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_used_ever bigint;
  v_used_day bigint;
  v_room bigint;
begin
  if p_day is null then return p_credits; end if;
  select coalesce(sum(c.granted) filter (where c.day = '-infinity'), 0),
         coalesce(sum(c.granted) filter (where c.day = p_day), 0)
    into v_used_ever, v_used_day from cap_use c
    where c.root_id = a.root_id and c.account_id = a.account_id and c.rule_id = r.rule_id
      and c.day in ('-infinity', p_day);
  -- A cap that is not set is null, and least() passes nulls over.
  v_room := greatest(0, least(p_credits, r.cap_account - v_used_ever, r.cap_account_day - v_used_day));
  insert into cap_use as c (root_id, account_id, rule_id, day, granted)
    select a.root_id, a.account_id, r.rule_id, d, v_room from unnest(array['-infinity'::date, p_day]) d
    on conflict on constraint cap_use_pkey do update set granted = c.granted + excluded.granted;
  return v_room;
end $$;

-- Takes what the account owes out of a lot that has just come in.
create or replace function creditd.repay(a creditd.account, p_lot bigint, p_movement bigint, p_most bigint, p_refers bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare e entry;
begin
  if least(a.debt, p_most) = 0 then return a; end if;
  e.kind := 6; e.amount := least(a.debt, p_most); e.lot_no := p_lot;
  e.movement := p_movement; e.refers_to := p_refers;
  return post(a, e);
end $$;

-- Pays what the account owes out of what it has, in burn order: who owes has nothing to spend.
create or replace function creditd.repay_from_lots(a creditd.account, p_movement bigint, p_refers bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  v_debt bigint;
begin
  if least(a.debt, a.available) = 0 then return a; end if;
  for v_lot in
    select * from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
      and l.source <> 'overdraft'
    order by l.priority, l.expires_at, l.lot_no
  loop
    v_debt := a.debt;
    a := repay(a, v_lot.lot_no, p_movement, v_lot.remaining, p_refers);
    update lot l set remaining = l.remaining - (v_debt - a.debt)
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
    exit when a.debt = 0;
  end loop;
  return a;
end $$;

-- Grants an event's credits once per incarnation: again is a no-op. Returns the lot and what was
-- granted after caps (no lot when that is nothing).
create or replace function creditd.grant_event(
  p_root bigint, p_account bigint, p_event creditd.event, r creditd.rule,
  out o_lot bigint, out o_granted bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  e entry;
  v_cause bytea := event_cause(p_event);
  v_day date := case when r.cap_account is null and r.cap_account_day is null then null
                     else (p_event.block_time at time zone 'UTC')::date end;
  v_expires timestamptz := coalesce(p_event.block_time + make_interval(days => r.expires_days), 'infinity');
  v_key uuid := grant_key(p_account, r.rule_id, v_cause, p_event.incarnation);
  v_repaid bigint;
begin
  select x.seq, x.amount into o_lot, o_granted from entry x where x.root_id = p_root and x.key_hash = v_key;
  if found then return; end if;
  -- The books' own cap keeps every balance within a bigint: one account must not stop a chain.
  o_granted := take_from_caps(a, r, v_day, least(p_event.credits, 4000000000000000000 - a.granted));
  if o_granted = 0 then return; end if;
  e.kind := 1; e.amount := o_granted; e.lot_no := a.seq + 1; e.total := o_granted; e.key_hash := v_key; e.request_hash := v_key;
  a := post(a, e);
  o_lot := a.seq;
  v_repaid := a.debt;
  a := repay(a, o_lot, o_lot, o_granted, null);
  v_repaid := v_repaid - a.debt;
  insert into lot (root_id, account_id, lot_no, source, rule_id, cause, incarnation, amount, remaining,
                   cap_day, expires_at, priority, operations, created_at)
    values (p_root, p_account, o_lot, r.source, r.rule_id, v_cause, p_event.incarnation, o_granted,
            o_granted - v_repaid, v_day, v_expires, r.priority, r.operations, a.last_at);
  a.valid_until := least(a.valid_until, v_expires);
  a.is_special := a.is_special or r.operations is not null;
  perform keep(a);
end $$;

-- Takes an orphaned grant back: what is left of it, and a debt for what was spent of it, which what the
-- account has otherwise repays at once. Again is a no-op.
create or replace function creditd.reverse_lot(p_root bigint, p_account bigint, p_lot bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  v_lot lot;
  e entry;
  v_movement bigint;
begin
  select * into strict v_lot from lot l
    where l.root_id = p_root and l.account_id = p_account and l.lot_no = p_lot;
  if v_lot.state = 'reversed' then return; end if;
  a := expire_due(a);
  select * into strict v_lot from lot l
    where l.root_id = p_root and l.account_id = p_account and l.lot_no = p_lot;
  v_movement := a.seq + 1;
  if v_lot.remaining > 0 then
    e := null; e.kind := 4; e.amount := v_lot.remaining; e.lot_no := p_lot; e.movement := v_movement;
    a := post(a, e);
  end if;
  -- What expired unspent is owed by nobody.
  if v_lot.amount > v_lot.remaining + v_lot.expired then
    e := null; e.kind := 5; e.amount := v_lot.amount - v_lot.remaining - v_lot.expired;
    e.lot_no := p_lot; e.movement := v_movement;
    a := post(a, e);
  end if;
  update lot l set remaining = 0, reversed = v_lot.remaining, state = 'reversed'
    where l.root_id = p_root and l.account_id = p_account and l.lot_no = p_lot;
  a := repay_from_lots(a, v_movement, null);
  if v_lot.cap_day is not null then
    update cap_use c set granted = c.granted - v_lot.amount
      where c.root_id = p_root and c.account_id = p_account and c.rule_id = v_lot.rule_id
        and c.day in ('-infinity', v_lot.cap_day);
  end if;
  perform keep(a);
end $$;
