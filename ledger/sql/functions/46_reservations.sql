-- Credits held for work whose price is not known yet.

-- Ends the account's reservations that are due. The caller keeps the account.
create or replace function creditd.sweep_reservations(a creditd.account) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return a;
end $$;
