-- What API keys spend, and the caps of those that have one. Caps are locked after accounts, in the order of their
-- families; what is given back is noted for the next who locks the cap, and waits for nobody.

-- A session's slot among those that count what an API key does.
create or replace function creditd.own_slot() returns integer
language sql stable
return pg_backend_pid() % 64;

-- The moment at which the period ends that begins on a day.
create or replace function creditd.period_end(p_period text, p_begins date) returns timestamptz
language sql stable
return case p_period when 'ever' then 'infinity'::timestamptz
                     else (p_begins + ('1 ' || p_period)::interval) at time zone 'UTC' end;

-- Locks a family's caps and says what they leave, when the one that leaves least begins anew (infinity: never),
-- and until when that can be counted.
create or replace function creditd.cap_left(
  p_family integer, out available bigint, out renews timestamptz, out good_until timestamptz
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c api_key_cap;
  v_now timestamptz;
  v_begins date;
begin
  perform from api_key_cap x where x.family = p_family order by x.period for no key update;
  v_now := clock();  -- statements from here on see what the lock was waited for
  if exists (select from api_key_cap_note n where n.family = p_family) then
    perform count_notes(p_family);
  end if;
  good_until := 'infinity';
  for c in select * from api_key_cap x where x.family = p_family order by x.period loop
    v_begins := greatest(c.begins, period_start(c.period, v_now));
    if v_begins > c.begins then c.used := 0; end if;
    if available is null or c.amount - c.used < available then
      available := c.amount - c.used; renews := period_end(c.period, v_begins);
    end if;
    good_until := least(good_until, period_end(c.period, v_begins));
  end loop;
  available := greatest(0, available);
end $$;

-- Counts what was noted since, in the periods that are counted now: of very much the first of it, and what is left
-- with the next charges. The caller holds the caps.
create or replace function creditd.count_notes(p_family integer) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c_most constant integer := 10000;  -- a few hundredths of a second: other charges wait meanwhile
begin
  with counted as (
    delete from api_key_cap_note x where x.note_no in (
      select y.note_no from api_key_cap_note y where y.family = p_family order by y.note_no limit c_most)
    returning x.at, x.amount
  ), newest as (  -- what falls into a period before that is counted no more
    select distinct on (c.period) c.period, period_start(c.period, n.at) as begins, sum(n.amount) as amount
      from api_key_cap c cross join counted n where c.family = p_family group by 1, 2 order by 1, 2 desc
  )
  -- All at once: an update for each would look at what all before it have left. What is given back can be more
  -- than is left only where the clock has stepped back meanwhile; and a sum stays within a bigint.
  update api_key_cap c set begins = n.begins,
      used = least(9000000000000000000, greatest(0, case when c.begins = n.begins then c.used else 0 end + n.amount))
    from newest n where c.family = p_family and c.period = n.period and c.begins <= n.begins;
end $$;

-- Counts what a family took, at a moment within what `cap_left` said of it. The caller holds the caps.
create or replace function creditd.cap_take(p_family integer, p_amount bigint, p_at timestamptz) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  update api_key_cap c set
      used = case when c.begins >= period_start(c.period, p_at) then c.used else 0 end + p_amount,
      begins = greatest(c.begins, period_start(c.period, p_at))
    where c.family = p_family;
end $$;

-- Raises unless a moment lies within the periods that were looked at.
create or replace function creditd.refuse_next_period(p_at timestamptz, p_good_until timestamptz) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if p_at >= p_good_until then
    raise exception 'a period of the API key''s caps has ended since they were looked at: try again' using errcode = '40001';
  end if;
end $$;

-- Notes what is to be counted in the caps of an API key if it has any: below zero, what is given back.
create or replace function creditd.note_cap(p_api_key integer, p_amount bigint, p_at timestamptz) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  insert into api_key_cap_note (family, at, amount)
    select k.family, p_at, p_amount from capped_api_key k where k.key_id = p_api_key;
end $$;

-- Counts what an API key did beside charges: settlements, and what was given back of either.
create or replace function creditd.note_key_use(
  p_api_key integer, p_slot integer, p_charges bigint, p_spent bigint, p_refunded bigint, p_at timestamptz
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  insert into api_key_use as k (key_id, day, slot, charges, spent, refunded, last_at)
    values (p_api_key, period_start('day', p_at), p_slot, p_charges, p_spent, p_refunded, p_at)
    on conflict on constraint api_key_use_pkey do update set charges = k.charges + excluded.charges,
      spent = k.spent + excluded.spent, refunded = k.refunded + excluded.refunded,
      last_at = greatest(k.last_at, excluded.last_at);
end $$;
