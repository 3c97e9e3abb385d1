-- A member's budgets with what was used of each in the period that is now. Beside a payment it may be
-- of the moment before: who pays looks again, with the pool locked.
create or replace function creditd.budgets_of(p_root bigint, p_account bigint)
returns table (o_period text, o_begins date, o_amount bigint, o_used bigint, o_levels smallint[])
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
declare v_now timestamptz := clock();
begin
  return query
    select b.period, nullif(period_start(b.period, v_now), '-infinity'), b.amount, budget_used(b, v_now), b.levels
    from budget b where b.root_id = p_root and b.account_id = p_account order by b.period;
end $$;

-- The caps of a family of API keys, what was used of each in the period that is now, and when it begins anew. As
-- above of the moment before.
create or replace function creditd.caps_of(p_family integer)
returns table (o_period text, o_amount bigint, o_used bigint, o_renews_at timestamptz)
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
declare v_now timestamptz := clock();
begin
  return query
    select c.period, c.amount, greatest(0,
      case when c.begins >= b.begins then c.used else 0 end + coalesce((
        select sum(n.amount) from api_key_cap_note n
        where n.family = c.family and period_start(c.period, n.at) = b.begins), 0))::bigint,
      nullif(period_end(c.period, b.begins), 'infinity')
    from api_key_cap c cross join lateral (select greatest(c.begins, period_start(c.period, v_now)) as begins) b
    where c.family = p_family order by c.period;
end $$;
