-- What operators do: prices.

-- Makes a new version of each price that differs from the one in force; the others stay.
create or replace function creditd.apply_prices(
  p_operations text[], p_bases bigint[], p_per_units bigint[], p_units text[]
) returns table (operation text, version integer, changed boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare
  n constant integer := cardinality(p_operations);
  i record;
  v_operation integer;
  v_price price;
  v_now timestamptz;
begin
  perform refuse_null('p_operations p_bases p_per_units p_units',
    array[lacks(p_operations, n), lacks(p_bases, n), lacks(p_per_units, n), lacks(p_units, n)]);
  -- One writer of prices at a time, so that versions have no gaps; charges do not wait for it.
  perform pg_advisory_xact_lock(hashtextextended('creditd prices', 0));
  for i in select * from unnest(p_operations, p_bases, p_per_units, p_units) as t (operation, base, per_unit, unit)
  loop
    insert into operation (name) values (i.operation) on conflict on constraint operation_name_is_one do nothing;
    select o.operation_id into strict v_operation from operation o where o.name = i.operation;
    select p.* into v_price from price p where p.operation_id = v_operation order by p.version desc limit 1;
    v_now := clock();
    operation := i.operation;
    changed := v_price.version is null or (v_price.base, v_price.per_unit, v_price.unit) <> (i.base, i.per_unit, i.unit);
    version := coalesce(v_price.version, 0) + changed::integer;
    if changed then
      update price p set ends_at = greatest(v_now, p.effective_at)
        where p.operation_id = v_operation and p.ends_at > v_now;
      insert into price (operation_id, version, base, per_unit, unit, effective_at)
        values (v_operation, version, i.base, i.per_unit, i.unit, v_now);
    end if;
    return next;
  end loop;
end $$;

-- Which functions run these books: answering proves that they run at all.
create or replace function creditd.release_digest() returns text
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
begin
  return (select r.functions from release r);
end $$;
