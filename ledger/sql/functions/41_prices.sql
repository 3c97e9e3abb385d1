-- What operations cost: which price is in force, and what so many units come to.

-- The price that is in force at a moment for an operation and a model (empty: none is named). A model's own
-- price goes before the one for any model.
create or replace function creditd.price_in_force(p_operation text, p_model text, p_at timestamptz)
returns setof creditd.price
language sql stable
begin atomic
  select p.* from creditd.operation x join creditd.price p using (operation_id)
    where x.name = p_operation and p.model = any (array['', p_model]) and p.effective_at <= p_at and p.ends_at > p_at
    order by p.model desc, p.version desc limit 1;
end;

-- The same where no model is named: of one model no two prices are in force at once, so there is nothing to sort.
create or replace function creditd.price_of_any_model(p_operation text, p_at timestamptz)
returns setof creditd.price
language sql stable
begin atomic
  select p.* from creditd.operation x join creditd.price p using (operation_id)
    where x.name = p_operation and p.model = '' and p.effective_at <= p_at and p.ends_at > p_at limit 1;
end;

-- Why there is no price where `price_in_force` gives none.
create or replace function creditd.why_unpriced(p_operation text, p_at timestamptz) returns text
language sql stable
return case when exists (
  select from creditd.operation x join creditd.price p using (operation_id)
  where x.name = p_operation and p.effective_at <= p_at and p.ends_at > p_at
) then 'unknown_model' else 'unknown_operation' end;

-- What so many units cost: `base`, and for each unit the price of the tier it falls into. The first unit above
-- `tier_above[k]` is the first at `tier_per_unit[k]`. Null where that is more than a charge may take, for fewer
-- units than one, and where there is no price.
create or replace function creditd.cost_of(p creditd.price, p_units bigint) returns bigint
language plpgsql immutable set search_path = creditd, pg_temp as $$
declare
  v_cost numeric := p.base;
  v_above bigint := 0;
  v_per_unit bigint := p.per_unit;
begin
  if p_units < 1 or p.base is null then return null; end if;
  for k in 1 .. cardinality(p.tier_above) loop
    exit when p_units <= p.tier_above[k];
    v_cost := v_cost + v_per_unit::numeric * (p.tier_above[k] - v_above);
    v_above := p.tier_above[k]; v_per_unit := p.tier_per_unit[k];
  end loop;
  v_cost := v_cost + v_per_unit::numeric * (p_units - v_above);
  return case when v_cost <= most_credits() then v_cost end;
end $$;
