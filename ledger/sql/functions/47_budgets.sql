-- What an organisation's pool pays for each member. Whoever takes from a budget or gives back to it
-- holds the pool's account locked.

-- The day on which the period begins that a moment lies in.
create or replace function creditd.period_start(p_period text, p_at timestamptz) returns date
language sql immutable
return case p_period when 'ever' then '-infinity'::date
                     else date_trunc(p_period, p_at at time zone 'UTC')::date end;

-- What was used of a budget in the period that a moment lies in.
create or replace function creditd.budget_used(b creditd.budget, p_at timestamptz) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
declare
  v_first date := period_start(b.period, p_at);
  v_end date := case b.period when 'ever' then v_first + 1 else v_first + ('1 ' || b.period)::interval end;
begin
  return coalesce((
    select sum(u.used) from budget_use u
    where u.root_id = b.root_id and u.account_id = b.account_id
      and u.day >= v_first and (u.day < v_end or u.day = v_first)), 0);
end $$;

-- What a member's budgets leave at a moment: nothing where there is none.
create or replace function creditd.budget_left(p_root bigint, p_member bigint, p_at timestamptz) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  return coalesce((
    select greatest(0, min(b.amount - budget_used(b, p_at))) from budget b
    where b.root_id = p_root and b.account_id = p_member), 0);
end $$;

-- Counts what the pool paid or holds for a member at a moment, that of the entry; the caller has seen
-- that the budgets leave it. Levels that are reached are told, each once in a period.
create or replace function creditd.budget_take(p_root bigint, p_member bigint, p_amount bigint, p_at timestamptz)
returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  b budget;
  v_level smallint;
  v_used bigint;
  v_from date;
begin
  insert into budget_use as u (root_id, account_id, day, used)
    select p_root, p_member, d, p_amount from unnest(array['-infinity'::date, period_start('day', p_at)]) d
    on conflict on constraint budget_use_pkey do update set used = u.used + excluded.used;
  for b in
    select * from budget x
    where x.root_id = p_root and x.account_id = p_member and x.levels <> '{}' and x.amount > 0 order by x.period
  loop
    v_used := budget_used(b, p_at);
    v_from := period_start(b.period, p_at);
    if b.told_from is distinct from v_from then b.told_level := 0; end if;
    for v_level in
      select l from unnest(b.levels) l where l > b.told_level and v_used::numeric * 100 >= b.amount::numeric * l order by l
    loop
      perform announce(p_root, p_member, 'budget.level', jsonb_build_object(
        'period', b.period, 'from', case when b.period <> 'ever' then v_from end, 'level', v_level,
        'amount', b.amount, 'used', v_used));
      update budget x set told_from = v_from, told_level = v_level
        where x.root_id = p_root and x.account_id = p_member and x.period = b.period;
    end loop;
  end loop;
end $$;

-- Takes back what was counted at a moment, or part of it.
create or replace function creditd.budget_give_back(p_root bigint, p_member bigint, p_amount bigint, p_at timestamptz)
returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v_rows integer;
begin
  update budget_use u set used = u.used - p_amount
    where u.root_id = p_root and u.account_id = p_member and u.day in ('-infinity', period_start('day', p_at));
  get diagnostics v_rows = row_count;
  if v_rows <> 2 then
    raise exception 'member %/%: nothing was taken from its budget on %', p_root, p_member, period_start('day', p_at)
      using errcode = 'CD009', hint = 'run creditd audit';
  end if;
end $$;

-- Who pays for a member: it by itself if what it has covers all of it, else its organisation's pool if
-- the budgets leave room; otherwise why not. While the pool is frozen, nobody: not the member either, of
-- what it has. The caller holds both accounts locked.
create or replace function creditd.payer_for(
  p_root bigint, p_member bigint, p_operation integer, p_amount bigint,
  out refusal text, out payer bigint, out available bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account;
  v_at timestamptz;
begin
  select * into strict a from account x where x.root_id = p_root and x.account_id = p_root;
  if a.status <> 'open' then refusal := 'frozen'; return; end if;
  -- An entry of the pool is never older than the one before: it falls into this period or a new one.
  v_at := greatest(clock(), a.last_at + interval '1 microsecond');
  select * into strict a from account x where x.root_id = p_root and x.account_id = p_member;
  if p_amount = 0 then payer := p_member; return; end if;
  if a.available + a.held > 0 then
    a := expire_due(locked_account(p_root, p_member));
    available := spendable(a, p_operation);
    if available < p_amount and a.held > 0 then
      a := sweep_reservations(a);
      available := spendable(a, p_operation);
    end if;
    perform keep(a);
    if available >= p_amount then payer := p_member; return; end if;
  end if;
  payer := p_root;
  available := budget_left(p_root, p_member, v_at);
  if available >= p_amount then return; end if;
  a := locked_account(p_root, p_root);
  if a.held > 0 then a := sweep_reservations(expire_due(a)); end if;
  perform keep(a);
  available := budget_left(p_root, p_member, v_at);
  if available < p_amount then refusal := 'over_budget'; end if;
end $$;
