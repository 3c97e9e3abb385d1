-- What an account had at an earlier time.

-- After the last entry at or before `p_at`, less what had passed its end by then and was posted as
-- expired only later, or is not yet. Times rise with the entries' numbers, so halving finds the entry.
-- Whatever moves an account posts first what is due: the expiries that were missing follow at once.
-- Stable, so that all of it is of one moment. Nulls: there is no such account.
create or replace function creditd.balance_as_of(
  p_root bigint, p_account bigint, p_at timestamptz,
  out o_seq bigint, out o_available bigint, out o_held bigint, out o_debt bigint
)
language plpgsql stable set search_path = creditd, pg_temp as $$
declare
  a account;
  v_high bigint;
  v_middle bigint;
  v_end bigint;  -- the first later entry that is no expiry
  v_due bigint;
begin
  select * into a from account x where x.root_id = p_root and x.account_id = p_account;
  if not found then return; end if;
  o_seq := 0; v_high := a.seq;
  while o_seq < v_high loop
    v_middle := (o_seq + v_high + 1) / 2;
    if (select x.at from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = v_middle) <= p_at then
      o_seq := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  o_available := 0; o_held := 0; o_debt := 0;
  if o_seq = 0 then return; end if;
  select x.available_after, x.held_after, x.debt_after into strict o_available, o_held, o_debt from entry x
    where x.root_id = p_root and x.account_id = p_account and x.seq = o_seq;
  v_end := (
    select x.seq from entry x
    where x.root_id = p_root and x.account_id = p_account and x.seq > o_seq and x.kind <> 7
    order by x.seq limit 1);
  select coalesce(sum(x.amount), 0) into v_due
    from entry x join lot l using (root_id, account_id, lot_no)
    where x.root_id = p_root and x.account_id = p_account and x.seq > o_seq and x.seq < coalesce(v_end, a.seq + 1)
      and l.expires_at <= p_at;
  o_available := o_available - v_due;
  if v_end is null then
    select coalesce(sum(case l.lot_no when a.head_lot then a.head_left else l.remaining end), 0) into v_due from lot l
      where l.root_id = p_root and l.account_id = p_account and l.remaining > 0 and l.expires_at <= p_at;
    o_available := o_available - v_due;
  end if;
end $$;
