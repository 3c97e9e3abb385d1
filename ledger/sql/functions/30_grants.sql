-- Grants come, pay what is owed, and expire. An account is locked before its lots are touched.

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
  perform refuse_null('p_limit', array[p_limit is null]);
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

-- Takes what the account owes out of a lot that has just come in. Who was frozen for a debt is so no more
-- once it is paid.
create or replace function creditd.repay(a creditd.account, p_lot bigint, p_movement bigint, p_most bigint, p_refers bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare e entry;
begin
  if least(a.debt, p_most) = 0 then return a; end if;
  e.kind := 6; e.amount := least(a.debt, p_most); e.lot_no := p_lot;
  e.movement := p_movement; e.refers_to := p_refers;
  a := post(a, e);
  if a.debt = 0 and a.status = 'indebted' then a.status := 'open'; end if;
  perform announce(a.root_id, a.account_id, 'debt.repaid', jsonb_build_object('repaid', e.amount, 'debt', a.debt));
  return a;
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

-- Enters a grant as a lot of the terms that `l` has, under a key. It makes up for what the operator bears
-- (`p_recover`), for what is owed, then for what is used of an overdraft; the rest can be spent. The
-- caller holds the account by `lock_with_links`, and keeps it.
create or replace function creditd.enter_grant(
  a creditd.account, l creditd.lot, p_key uuid, p_request uuid, p_recover bigint
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  e entry;
  v_lot bigint := a.seq + 1;
  v_left bigint := l.amount;
  v_debt bigint := a.debt;
begin
  e.kind := 1; e.amount := l.amount; e.lot_no := v_lot; e.total := l.amount; e.key_hash := p_key; e.request_hash := p_request;
  a := post(a, e);
  if least(p_recover, v_left) > 0 then
    e := null; e.kind := 12; e.amount := least(p_recover, v_left); e.lot_no := v_lot; e.movement := v_lot;
    a := post(a, e);
    v_left := v_left - e.amount;
  end if;
  a := repay(a, v_lot, v_lot, v_left, null);
  v_left := v_left - (v_debt - a.debt);
  insert into lot (root_id, account_id, lot_no, source, rule_id, cause, incarnation, reason, amount, remaining,
                   priority, effective_at, expires_at, operations, cap_day, created_at)
    values (a.root_id, a.account_id, v_lot, l.source, l.rule_id, l.cause, l.incarnation, l.reason, l.amount, v_left,
            l.priority, l.effective_at, l.expires_at, l.operations, l.cap_day, a.last_at);
  a.valid_until := least(a.valid_until, l.expires_at, case when l.effective_at > clock() then l.effective_at end);
  a.is_special := a.is_special or l.operations is not null;
  a := refill_line(a, v_lot, v_lot);
  perform announce(a.root_id, a.account_id, 'grant.confirmed',
                   grant_said(v_lot, l.source, l.amount, l.cause, l.expires_at));
  return finish(a, v_lot, null);
end $$;

-- Whether a cause is what a stake earned in a period.
create or replace function creditd.is_accrual(p_cause bytea) returns boolean
language sql immutable
return substr(p_cause, 41, 4) = int4send(-1);

-- What of the protocol's rewards a cause is; null if it is none.
create or replace function creditd.reward_of(p_cause bytea) returns text
language sql immutable
return case substr(p_cause, 41, 4)
  when int4send(-2) then 'block' when int4send(-3) then 'uncle' when int4send(-4) then 'withdrawal' end;

-- What is told of a grant. Of a chain's event its cause is the chain's id, the transaction, the log's place in it
-- and the role. Of what a stake earned, that place is -1, and instead of a transaction there are the rule, the end
-- of the period and the wallet; of a block or an uncle, which are -2 and -3, its hash; of a withdrawal, which is
-- -4, its index.
create or replace function creditd.grant_said(
  p_lot bigint, p_source text, p_amount bigint, p_cause bytea, p_expires timestamptz
) returns jsonb
language sql immutable
return jsonb_strip_nulls(jsonb_build_object(
  'grant', p_lot, 'source', p_source, 'amount', p_amount,
  'expires_at', case when isfinite(p_expires) then to_char(p_expires at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end,
  'chain_id', case when p_source in ('mining', 'staking')
                   then ('x' || encode(substr(p_cause, 1, 8), 'hex'))::bit(64)::bigint end,
  'tx_hash', case when p_source in ('mining', 'staking') and not creditd.is_accrual(p_cause)
                    and creditd.reward_of(p_cause) is null
                  then '0x' || encode(substr(p_cause, 9, 32), 'hex') end,
  'reward', case when p_source in ('mining', 'staking') then creditd.reward_of(p_cause) end,
  'reward_hash', case when p_source in ('mining', 'staking') and creditd.reward_of(p_cause) <> 'withdrawal'
                      then '0x' || encode(substr(p_cause, 9, 32), 'hex') end,
  'reward_index', case when p_source in ('mining', 'staking') and creditd.reward_of(p_cause) = 'withdrawal'
                       then ('x' || encode(substr(p_cause, 33, 8), 'hex'))::bit(64)::bigint end,
  'period_end', case when p_source in ('mining', 'staking') and creditd.is_accrual(p_cause)
                     then to_char(to_timestamp(('x' || encode(substr(p_cause, 13, 8), 'hex'))::bit(64)::bigint)
                                    at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end));

-- Grants an event's credits once per incarnation: again is a no-op. Returns the lot and what was
-- granted after caps (no lot when that is nothing).
create or replace function creditd.grant_event(
  p_root bigint, p_account bigint, p_event creditd.event, r creditd.rule,
  out o_lot bigint, out o_granted bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  l lot;
  v_cause bytea := event_cause(p_event);
  v_key uuid := grant_key(p_account, r.rule_id, v_cause, p_event.incarnation);
begin
  select x.seq, x.amount into o_lot, o_granted from entry x where x.root_id = p_root and x.key_hash = v_key;
  if found then return; end if;
  l.cap_day := cap_day(r, p_event.block_time);
  -- The books' own cap keeps every balance within a bigint: one account must not stop a chain.
  o_granted := take_from_caps(a, r, l.cap_day, least(p_event.credits, grantable(a)));
  if o_granted = 0 then return; end if;
  a := expire_due(a);
  o_lot := a.seq + 1;
  l.source := r.source; l.rule_id := r.rule_id; l.cause := v_cause; l.incarnation := p_event.incarnation;
  l.amount := o_granted; l.priority := r.priority; l.operations := r.operations; l.effective_at := '-infinity';
  l.expires_at := lot_end(p_event.block_time, r.expires_days);
  a := enter_grant(a, l, v_key, v_key, borne_of(p_root, p_account, r.rule_id, v_cause, p_event.incarnation));
  perform keep(a);
end $$;

-- When credits end that last so many days from a block's time (null: they do not).
create or replace function creditd.lot_end(p_from timestamptz, p_days integer) returns timestamptz
language sql stable
return coalesce(p_from + p_days * interval '24 hours', 'infinity');
