-- An overdraft is a lot of its own, burned last: what is used of it the account pays back by what comes
-- in. It is never moved, and repays no debt.

-- Brings the line to its limit: more at once, less as far as it is not in use. In the movement
-- `p_movement` (null: one of its own).
create or replace function creditd.fit_line(a creditd.account, p_movement bigint) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  v_more bigint;
  e entry;
begin
  select l.* into v_lot from overdraft o
    join lot l on l.root_id = o.root_id and l.account_id = o.account_id and l.lot_no = o.lot_no
    where o.root_id = a.root_id and o.account_id = a.account_id;
  if not found then return a; end if;
  select greatest(o.amount - v_lot.amount, -v_lot.remaining) into v_more from overdraft o
    where o.root_id = a.root_id and o.account_id = a.account_id;
  if v_more = 0 then return a; end if;
  e.kind := case when v_more > 0 then 17 else 18 end;
  e.amount := abs(v_more); e.lot_no := v_lot.lot_no; e.movement := p_movement;
  a := post(a, e);
  update lot l set amount = l.amount + v_more, remaining = l.remaining + v_more
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
  return a;
end $$;

-- Pays what is used of the account's line out of a lot that has just come in. What was used beyond a
-- lowered limit is the operator's again; the rest can be used anew.
create or replace function creditd.refill_line(a creditd.account, p_lot bigint, p_movement bigint)
returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_line lot;
  v_limit bigint;
  v_pays bigint;
  v_again bigint;
  e entry;
begin
  select o.amount into v_limit from overdraft o where o.root_id = a.root_id and o.account_id = a.account_id;
  if not found then return a; end if;
  select l.* into strict v_line from overdraft o
    join lot l on l.root_id = o.root_id and l.account_id = o.account_id and l.lot_no = o.lot_no
    where o.root_id = a.root_id and o.account_id = a.account_id;
  select least(l.remaining, v_line.amount - v_line.remaining - v_line.held) into strict v_pays from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
  if v_pays = 0 then return a; end if;
  e.kind := 18; e.amount := v_pays; e.lot_no := p_lot; e.movement := p_movement;
  a := post(a, e);
  update lot l set remaining = l.remaining - v_pays
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
  v_again := greatest(0, v_pays - greatest(0, v_line.amount - v_limit));
  if v_again > 0 then
    e.kind := 17; e.amount := v_again; e.lot_no := v_line.lot_no;
    a := post(a, e);
  end if;
  update lot l set amount = l.amount - (v_pays - v_again), remaining = l.remaining + v_again
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_line.lot_no;
  return a;
end $$;

-- Sets how far an account may go below nothing. Setting it to what it is changes nothing.
create or replace function creditd.set_overdraft(
  p_root bigint, p_account bigint, p_limit bigint, out outcome text, out used bigint, out unused bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  v_lot lot;
begin
  perform refuse_null('p_root p_account p_limit', array[p_root is null, p_account is null, p_limit is null]);
  perform from account x where x.root_id = p_root and x.account_id = p_account and x.status <> 'closed' for no key update;
  if not found then outcome := 'no_account'; return; end if;
  a := expire_due(locked_account(p_root, p_account));
  update overdraft o set amount = p_limit where o.root_id = p_root and o.account_id = p_account;
  if not found and p_limit > 0 then
    -- Its number is that of the entry that `fit_line` posts now.
    insert into lot (root_id, account_id, lot_no, source, amount, remaining, priority, created_at)
      values (p_root, p_account, a.seq + 1, 'overdraft', 0, 0, 32767, clock());
    insert into overdraft (root_id, account_id, lot_no, amount) values (p_root, p_account, a.seq + 1, p_limit);
  end if;
  a := fit_line(a, null);
  perform keep(a);
  outcome := 'set';
  select l.amount - l.remaining, l.remaining into used, unused from overdraft o
    join lot l on l.root_id = o.root_id and l.account_id = o.account_id and l.lot_no = o.lot_no
    where o.root_id = p_root and o.account_id = p_account;
  used := coalesce(used, 0); unused := coalesce(unused, 0);
end $$;
