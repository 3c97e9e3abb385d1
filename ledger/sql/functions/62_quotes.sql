-- What something would cost, and whether it could be paid for: looked up, not held. A charge decides anew.

-- The most units that so much pays for, at most `p_most`; null where units cost nothing and the base is paid for.
create or replace function creditd.units_for(p creditd.price, p_amount bigint, p_most bigint) returns bigint
language plpgsql immutable set search_path = creditd, pg_temp as $$
declare
  v_left bigint := p_amount - p.base;
  v_above bigint := 0;
  v_per_unit bigint := p.per_unit;
begin
  if v_left < 0 then return 0; end if;
  if greatest(p.per_unit, (select max(t) from unnest(p.tier_per_unit) t)) = 0 then return null; end if;
  for k in 1 .. cardinality(p.tier_above) loop
    exit when v_per_unit > 0 and v_left / v_per_unit < p.tier_above[k] - v_above;
    v_left := v_left - v_per_unit * (p.tier_above[k] - v_above);
    v_above := p.tier_above[k]; v_per_unit := p.tier_per_unit[k];
  end loop;
  return least(p_most, v_above + case when v_per_unit > 0 then least(v_left / v_per_unit, p_most) else p_most end);
end $$;

-- What the caps of an API key leave, without waiting for whoever counts in them; null where it has none.
create or replace function creditd.cap_seen(p_api_key integer, p_at timestamptz) returns bigint
language sql stable
return (
  select case when count(*) > 0 then greatest(0, min(
      c.amount - case when b.begins > c.begins then 0 else c.used end - coalesce((
        select sum(n.amount) from creditd.api_key_cap_note n
        where n.family = c.family and creditd.period_start(c.period, n.at) = b.begins), 0))) end
  from creditd.capped_api_key k join creditd.api_key_cap c using (family),
    lateral (select greatest(c.begins, creditd.period_start(c.period, p_at)) as begins) b
  where k.key_id = p_api_key)::bigint;

-- `available` is what this operation could spend now: of the account, or of its organisation's pool within the member's
-- budgets, and within the caps of the API key (0: none). What a reservation holds counts once it has ended.
-- `most` is the most units that it pays for, null where any number does.
create or replace function creditd.quote(
  p_root bigint, p_account bigint, p_app integer, p_api_key integer, p_operation text, p_model text, p_units bigint,
  p_units_max bigint,
  out outcome text, out price_version integer, out model text, out cost bigint, out available bigint, out held bigint,
  out debt bigint, out most bigint
)
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
declare
  v_now constant timestamptz := clock();
  v_price price;
  a account;
  v_pool account;
begin
  perform refuse_null('p_root p_account p_app p_api_key p_operation p_model p_units p_units_max',
    array[p_root is null, p_account is null, p_app is null, p_api_key is null, p_operation is null, p_model is null,
    p_units is null, p_units_max is null]);
  outcome := 'no_account';
  if not reaches(p_app, p_root, p_account) then return; end if;
  select * into strict a from account x where x.root_id = p_root and x.account_id = p_account;
  outcome := 'frozen';
  if a.status <> 'open' then return; end if;
  select p.* into v_price from price_in_force(p_operation, p_model, v_now) p;
  if not found then outcome := why_unpriced(p_operation, v_now); return; end if;
  price_version := v_price.version; model := nullif(v_price.model, '');
  cost := cost_of(v_price, p_units); debt := a.debt; held := a.held;
  if cost is null or cost > most_sum() - a.spent then outcome := 'too_expensive'; return; end if;
  available := spendable(a, v_price.operation_id);
  if p_root <> p_account then
    select * into strict v_pool from account x where x.root_id = p_root and x.account_id = p_root;
    if v_pool.status <> 'open' then return; end if;
    -- Who pays is one of the two, and pays all.
    available := greatest(available, least(spendable(v_pool, v_price.operation_id), budget_left(p_root, p_account, v_now)));
  end if;
  available := least(available, cap_seen(p_api_key, v_now));
  most := units_for(v_price, least(available, most_credits(), most_sum() - a.spent), p_units_max);
  outcome := 'quoted';
end $$;
