-- Grants that no chain made: bought, promotional, of a plan, or to put something right.

do $$ begin
  if to_regtype('creditd.grant_outcome') is null then
    create type creditd.grant_outcome as (
      outcome text, seq bigint, amount bigint, repaid bigint, available bigint, at timestamptz
    );
  end if;
end $$;

-- A grant that stands, read from its entries (`e` is the first of them).
create or replace function creditd.grant_as_made(e creditd.entry) returns creditd.grant_outcome
language plpgsql stable set search_path = creditd, pg_temp as $$
declare
  v_last entry;
  v_repaid bigint;
begin
  select * into strict v_last from entry x
    where x.root_id = e.root_id and x.account_id = e.account_id
      and x.seq = last_of_movement(e.root_id, e.account_id, e.seq);
  select coalesce(sum(x.amount), 0)::bigint into v_repaid from entry x
    where x.root_id = e.root_id and x.account_id = e.account_id and x.seq between e.seq and v_last.seq
      and x.kind = 6 and x.lot_no = e.lot_no;
  return row('replayed', e.seq, e.total, v_repaid, v_last.available_after, e.at)::grant_outcome;
end $$;

-- Half of what a charge holds after refunds.
create or replace function creditd.half_held(e creditd.entry) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  return (
    e.total - coalesce((
      select sum(x.amount)::bigint from entry x
      where x.root_id = e.root_id and x.account_id = e.account_id and x.refers_to = e.seq and x.kind = 3), 0)
    ) / 2;
end $$;

-- What a charge may still cause to be granted: half of what it holds, less what it has caused already and
-- what is unbacked of all that the account's charges have caused. Whoever charges and is granted in a
-- circle ends there, with refunds or without. The caller holds the charge's account locked.
create or replace function creditd.breaker_left(e creditd.entry) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  return half_held(e)
    - coalesce((
      select c.granted from charge_cause c
      where c.root_id = e.root_id and c.account_id = e.account_id and c.seq = e.seq), 0)
    - coalesce((
      select sum(c.unbacked)::bigint from charge_cause c
      where c.root_id = e.root_id and c.account_id = e.account_id and c.unbacked > 0), 0);
end $$;

-- Notes what a charge has caused beyond half of what it holds. To be called when some of it has come back,
-- with its account locked.
create or replace function creditd.note_unbacked(p_root bigint, p_account bigint, p_charge bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  update charge_cause c set unbacked = greatest(0, c.granted - half_held(e))
    from entry e
    where c.root_id = p_root and c.account_id = p_account and c.seq = p_charge
      and e.root_id = c.root_id and e.account_id = c.account_id and e.seq = c.seq;
end $$;

-- Grants an account credits, once under a key. A debt is paid of them first, then what is used of an
-- overdraft. `p_cause_*` is the charge that they are granted for (cashback), if any. The outcome's amount is,
-- beyond the breaker or the range of the books, what could have been granted.
create or replace function creditd.grant_credits(
  p_root bigint, p_account bigint, p_source text, p_amount bigint, p_key uuid, p_request uuid,
  p_effective_at timestamptz, p_expires_at timestamptz, p_priority smallint, p_operations text[], p_reason text,
  p_cause_root bigint, p_cause_account bigint, p_cause_seq bigint
) returns creditd.grant_outcome
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  e entry;
  l lot;
  o grant_outcome;
  v_charge entry;
begin
  perform refuse_null('p_root p_account p_source p_amount p_key p_request p_effective_at p_expires_at p_priority',
    array[p_root is null, p_account is null, p_source is null, p_amount is null, p_key is null, p_request is null,
    p_effective_at is null, p_expires_at is null, p_priority is null]);
  if p_source not in ('purchased', 'promotional', 'plan', 'adjustment') or p_amount < 1 then
    raise exception 'no grant of % from source %', p_amount, p_source using errcode = '22023';
  end if;
  perform lock_with_links(array[p_root, coalesce(p_cause_root, p_root)],
                          array[p_account, coalesce(p_cause_account, p_account)]);
  select * into e from entry x where x.root_id = p_root and x.key_hash = p_key;
  if found then
    if e.kind <> 1 or e.request_hash <> p_request then o.outcome := 'key_reused'; return o; end if;
    return grant_as_made(e);
  end if;
  select grantable(x) into o.amount from account x
    where x.root_id = p_root and x.account_id = p_account and x.status <> 'closed';
  if not found then o.outcome := 'no_account'; return o; end if;
  if p_amount > o.amount then o.outcome := 'beyond_range'; return o; end if;
  if p_cause_seq is not null then
    select * into v_charge from entry x
      where x.root_id = p_cause_root and x.account_id = p_cause_account and x.seq = p_cause_seq and x.kind in (2, 9)
        and x.movement = x.seq;
    if not found then o.outcome := 'no_charge'; return o; end if;
    o.amount := greatest(0, breaker_left(v_charge));
    if p_amount > o.amount then o.outcome := 'beyond_breaker'; return o; end if;
    insert into charge_cause as c (root_id, account_id, seq, granted)
      values (p_cause_root, p_cause_account, p_cause_seq, p_amount)
      on conflict on constraint charge_cause_pkey do update set granted = c.granted + excluded.granted;
    l.cause := int8send(p_cause_root) || int8send(p_cause_account) || int8send(p_cause_seq);
  end if;
  a := expire_due(locked_account(p_root, p_account));
  l.source := p_source; l.amount := p_amount; l.reason := p_reason; l.priority := p_priority;
  l.effective_at := p_effective_at; l.expires_at := p_expires_at; l.operations := operation_numbers(p_operations);
  o.seq := a.seq + 1;
  a := enter_grant(a, l, p_key, p_request, 0);
  perform keep(a);
  select * into strict e from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = o.seq;
  o := grant_as_made(e);
  o.outcome := 'granted';
  return o;
end $$;

-- The numbers of operations by their names; null for null. One that has no price yet is entered.
create or replace function creditd.operation_numbers(p_names text[]) returns integer[]
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if p_names is null then return null; end if;
  insert into operation (name) select distinct t.name from unnest(p_names) t (name)
    where not exists (select from operation o where o.name = t.name) order by 1
    on conflict on constraint operation_name_is_one do nothing;
  return array(select o.operation_id from operation o where o.name = any (p_names) order by 1);
end $$;
