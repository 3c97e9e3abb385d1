-- The price book: prices begin and end, and are never changed. A model's price of an operation is in force from
-- its `effective_at` until its `ends_at`, which is where the next one begins.

-- What a price list changes of the book as of a moment:
--   new, changed     the list's price is in force from that moment on, instead of none or of another
--   scheduled        it will be, from `begins` on, instead of another of that moment if there was one
--   taken_back       a price that was to begin later never does: the list has none of that moment
--   ended            nothing is in force any more, nor will be, as the list has no such price; with `p_withdraw`
--   unchanged, left  the list has it too; the list has none, and it stays as it is
--   past             refused: the list's price is not the one in force, and says that it began before
-- `p_prices` is an array of objects with the fields of `asked`; what has no `effective_at` is the first of its
-- operation and model. `version` and what the price `was` are those of the one in the book.
create or replace function creditd.price_changes(p_prices jsonb, p_withdraw boolean, p_at timestamptz)
returns table (
  operation text, model text, change text, version integer, begins timestamptz,
  base bigint, per_unit bigint, unit text, tier_above bigint[], tier_per_unit bigint[],
  was_base bigint, was_per_unit bigint, was_unit text, was_tier_above bigint[], was_tier_per_unit bigint[]
)
language plpgsql stable set search_path = creditd, pg_temp as $$
#variable_conflict use_column
begin
  return query
    with asked as (
      select a.*, case when a.effective_at > p_at then a.effective_at else '-infinity' end as begins
      from jsonb_to_recordset(p_prices) as a (
        operation text, model text, base bigint, per_unit bigint, unit text, tier_above bigint[],
        tier_per_unit bigint[], effective_at timestamptz)
    ), wanted as (  -- of what began before, the last
      select distinct on (a.operation, a.model, a.begins) a.* from asked a
      order by a.operation, a.model, a.begins, a.effective_at desc nulls last
    ), standing as (
      select o.name as operation, p.model, p.version, p.effective_at, p.base, p.per_unit, p.unit, p.tier_above,
        p.tier_per_unit, case when p.effective_at > p_at then p.effective_at else '-infinity' end as begins
      from price p join operation o using (operation_id) where p.ends_at > greatest(p.effective_at, p_at)
    ), paired as (
      select operation, model, begins, w.base is not null as is_wanted, w.effective_at, s.version,
        exists (select from asked a where a.operation = s.operation and a.model = s.model) as is_listed,
        coalesce(s.effective_at, p_at) as began, w.base, w.per_unit, w.unit, w.tier_above, w.tier_per_unit,
        s.base as was_base, s.per_unit as was_per_unit, s.unit as was_unit, s.tier_above as was_tier_above,
        s.tier_per_unit as was_tier_per_unit
      from wanted w full join standing s using (operation, model, begins)
    ), decided as (
      select x.*, case
        when not is_wanted and begins = '-infinity' and (is_listed or not p_withdraw) then 'left'
        when not is_wanted and begins = '-infinity' then 'ended'
        when not is_wanted and not is_listed and not p_withdraw then 'left'
        when not is_wanted then 'taken_back'
        when (base, per_unit, unit, tier_above, tier_per_unit)
          = (was_base, was_per_unit, was_unit, was_tier_above, was_tier_per_unit) then 'unchanged'
        when begins > '-infinity' then 'scheduled'
        when version is null then 'new'
        when effective_at is not null then 'past'
        else 'changed'
      end as change from paired x
    )
    select operation, model, change, version,
      case when begins > '-infinity' then begins when change = 'past' then effective_at
           when change in ('new', 'changed') then p_at else began end,
      base, per_unit, unit, tier_above, tier_per_unit,
      was_base, was_per_unit, was_unit, was_tier_above, was_tier_per_unit
    from decided order by operation, model, begins;
end $$;

-- Puts a price list in force, or with `p_dry_run` only says what it would change. Nothing is written if a change is
-- 'past'. What is told is what is done: of the same moment, with no other writer of prices meanwhile.
create or replace function creditd.apply_prices(p_prices jsonb, p_withdraw boolean, p_dry_run boolean)
returns table (
  operation text, model text, change text, version integer, begins timestamptz,
  base bigint, per_unit bigint, unit text, tier_above bigint[], tier_per_unit bigint[],
  was_base bigint, was_per_unit bigint, was_unit text, was_tier_above bigint[], was_tier_per_unit bigint[]
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare
  i record;
  v_now timestamptz;
  v_operation integer;
  v_version integer;
  v_writes boolean;
begin
  perform refuse_null('p_prices p_withdraw p_dry_run',
    array[p_prices is null, p_withdraw is null, p_dry_run is null]);
  -- One writer of prices at a time, so that versions have no gaps; charges do not wait for it.
  perform pg_advisory_xact_lock(hashtextextended('creditd prices', 0));
  v_now := clock();
  v_writes := not p_dry_run
    and not exists (select from price_changes(p_prices, p_withdraw, v_now) c where c.change = 'past');
  for i in select * from price_changes(p_prices, p_withdraw, v_now) loop
    v_version := i.version;
    if v_writes and i.change in ('new', 'changed', 'scheduled', 'taken_back', 'ended') then
      insert into operation (name) values (i.operation) on conflict on constraint operation_name_is_one do nothing;
      select o.operation_id into strict v_operation from operation o where o.name = i.operation;
      -- One that has not begun ends as it begins: it never was in force.
      update price p set ends_at = greatest(v_now, p.effective_at)
        where p.operation_id = v_operation and p.version = i.version;
      if i.change in ('new', 'changed', 'scheduled') then
        v_version := 1 + coalesce((select max(p.version) from price p where p.operation_id = v_operation), 0);
        insert into price (operation_id, version, model, base, per_unit, unit, tier_above, tier_per_unit, effective_at)
          values (v_operation, v_version, i.model, i.base, i.per_unit, i.unit, i.tier_above, i.tier_per_unit, i.begins);
      end if;
      update price p set ends_at = n.begins from (
          select x.version, coalesce(lead(x.effective_at) over (order by x.effective_at, x.version), 'infinity') as begins
          from price x where x.operation_id = v_operation and x.model = i.model
            and x.ends_at > greatest(x.effective_at, v_now)
        ) n
        where p.operation_id = v_operation and p.version = n.version and p.ends_at <> n.begins;
    end if;
    operation := i.operation; model := i.model; change := i.change; version := v_version; begins := i.begins;
    base := i.base; per_unit := i.per_unit; unit := i.unit; tier_above := i.tier_above;
    tier_per_unit := i.tier_per_unit; was_base := i.was_base; was_per_unit := i.was_per_unit; was_unit := i.was_unit;
    was_tier_above := i.was_tier_above; was_tier_per_unit := i.was_tier_per_unit;
    return next;
  end loop;
end $$;
