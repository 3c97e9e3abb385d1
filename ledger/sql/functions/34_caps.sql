-- Caps of a rule: what it grants one account, or all together, on a day (UTC, by block time) and ever. A
-- grant is cut to what they leave. Once any is set, what the rule grants is counted under all of them.

-- The day whose caps a grant counts in; null: the rule has no caps.
create or replace function creditd.cap_day(r creditd.rule, p_time timestamptz) returns date
language sql immutable
return case when num_nonnulls((r).cap_account, (r).cap_account_day, (r).cap_day, (r).cap_total) > 0
            then (p_time at time zone 'UTC')::date end;

-- What the caps leave of a grant, taken from them.
create or replace function creditd.take_from_caps(
  a creditd.account, r creditd.rule, p_day date, p_credits bigint
) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare
  used record;  -- of each cap
  v_room bigint;
begin
  if p_day is null then return p_credits; end if;
  select
      coalesce((select x.granted from cap_use x where x.root_id = a.root_id and x.account_id = a.account_id
                and x.rule_id = r.rule_id and x.day = '-infinity'), 0) as account,
      coalesce((select x.granted from cap_use x where x.root_id = a.root_id and x.account_id = a.account_id
                and x.rule_id = r.rule_id and x.day = p_day), 0) as account_day,
      coalesce((select x.granted from rule_use x where x.rule_id = r.rule_id and x.day = '-infinity'), 0) as total,
      coalesce((select x.granted from rule_use x where x.rule_id = r.rule_id and x.day = p_day), 0) as day
    into strict used;
  -- A cap that is not set is null, and least() passes nulls over.
  v_room := greatest(0, least(p_credits, r.cap_account - used.account, r.cap_account_day - used.account_day,
                              r.cap_total - used.total, r.cap_day - used.day));
  if v_room > 0 then
    insert into cap_use as c (root_id, account_id, rule_id, day, granted)
      select a.root_id, a.account_id, r.rule_id, d, v_room from unnest(array['-infinity'::date, p_day]) d
      on conflict on constraint cap_use_pkey do update set granted = c.granted + excluded.granted;
    insert into rule_use as c (rule_id, day, granted)
      select r.rule_id, d, v_room from unnest(array['-infinity'::date, p_day]) d
      on conflict on constraint rule_use_pkey do update set granted = c.granted + excluded.granted;
  end if;
  return v_room;
end $$;

-- Gives back to the caps what a grant took from them.
create or replace function creditd.give_back_to_caps(l creditd.lot) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if l.cap_day is null then return; end if;
  update cap_use c set granted = c.granted - l.amount
    where c.root_id = l.root_id and c.account_id = l.account_id and c.rule_id = l.rule_id
      and c.day in ('-infinity', l.cap_day);
  update rule_use c set granted = c.granted - l.amount
    where c.rule_id = l.rule_id and c.day in ('-infinity', l.cap_day);
end $$;
