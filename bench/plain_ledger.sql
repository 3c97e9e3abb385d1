-- The reference: double entry in plain SQL, both sides' rows updated in one well-written function.
-- Account 0 is the operator's revenue: its row is updated last, so that its lock is held shortest.
create table plain_account (id bigint primary key, balance bigint not null) with (fillfactor = 50);
create table plain_entry (
  id bigint generated always as identity primary key, account bigint not null, amount bigint not null,
  balance_after bigint not null, key uuid not null, at timestamptz not null default clock_timestamp()
);
create unique index on plain_entry (account, key);

create function plain_charge(p_from bigint, p_amount bigint, p_key uuid) returns boolean
language plpgsql as $$
declare v_from bigint; v_to bigint;
begin
  update plain_account set balance = balance - p_amount where id = p_from and balance >= p_amount
    returning balance into v_from;
  if not found then return false; end if;
  update plain_account set balance = balance + p_amount where id = 0 returning balance into v_to;
  insert into plain_entry (account, amount, balance_after, key)
    values (p_from, -p_amount, v_from, p_key), (0, p_amount, v_to, p_key);
  return true;
end $$;
