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
