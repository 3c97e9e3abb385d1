-- One entry at a time, chained to the one before. Nothing but these functions writes the books.

create or replace function creditd.refuse_change() returns trigger
language plpgsql set search_path = creditd, pg_temp as $$
begin
  raise exception 'entries are never changed or removed: correct them by another entry'
    using errcode = 'CD000';
end $$;

create or replace trigger entry_is_append_only before update or delete on creditd.entry
  for each row execute function creditd.refuse_change();
create or replace trigger entry_is_never_truncated before truncate on creditd.entry
  for each statement execute function creditd.refuse_change();

-- The functions in plain SQL name what they call when they are made: no search path can mislead them.

-- A random number of 62 bits: an account's name tells nobody how many accounts there are.
create or replace function creditd.new_id() returns bigint
language sql volatile
return (('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64) & x'3fffffffffffffff')::bigint;

create or replace function creditd.first_hash(p_root bigint, p_account bigint) returns bytea
language sql immutable
return sha256(int8send(p_root) || int8send(p_account));

-- What an entry's hash is taken over. -1 stands for null: none of these numbers is negative.
create or replace function creditd.entry_hash(p_before bytea, e creditd.entry) returns bytea
language sql immutable
return sha256(
  p_before
  || int8send(e.root_id) || int8send(e.account_id) || int8send(e.seq) || int8send(e.kind)
  || int8send(e.amount) || int8send(e.available_after) || int8send(e.debt_after)
  || int8send(coalesce(e.lot_no, -1)) || int8send(e.movement) || int8send(coalesce(e.total, -1))
  || int8send(coalesce(e.refers_to, -1)) || int8send(coalesce(e.app_id, -1))
  || int8send(coalesce(e.operation_id, -1)) || int8send(coalesce(e.units, -1))
  || int8send(coalesce(e.price_version, -1)) || timestamptz_send(e.at)
  || uuid_send(coalesce(e.key_hash, '00000000-0000-0000-0000-000000000000'))
  || uuid_send(coalesce(e.request_hash, '00000000-0000-0000-0000-000000000000'))
);

-- Takes the account as its caller holds it locked, moves it by one entry, and gives it back.
-- The caller sets kind, amount, lot_no, movement (null: starts here) and what else the entry says.
create or replace function creditd.post(a creditd.account, e creditd.entry) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  a.seq := a.seq + 1;
  -- The clock may step back; an account's entries do not.
  a.last_at := greatest(clock_timestamp(), a.last_at + interval '1 microsecond');
  case e.kind
    when 1 then a.granted   := a.granted + e.amount;   a.available := a.available + e.amount;
    when 2 then a.spent     := a.spent + e.amount;     a.available := a.available - e.amount;
    when 3 then a.refunded  := a.refunded + e.amount;  a.available := a.available + e.amount;
    when 4 then a.reversed  := a.reversed + e.amount;  a.available := a.available - e.amount;
    when 5 then a.owed      := a.owed + e.amount;      a.debt := a.debt + e.amount;
    when 6 then a.repaid    := a.repaid + e.amount;    a.available := a.available - e.amount;
                                                       a.debt := a.debt - e.amount;
    when 7 then a.expired   := a.expired + e.amount;   a.available := a.available - e.amount;
  end case;
  e.root_id := a.root_id;
  e.account_id := a.account_id;
  e.seq := a.seq;
  e.movement := coalesce(e.movement, a.seq);
  e.available_after := a.available;
  e.debt_after := a.debt;
  e.at := a.last_at;
  e.hash := entry_hash(a.head_hash, e);
  a.head_hash := e.hash;
  insert into entry select e.*;
  return a;
end $$;

-- Writes a moved account back. One statement whatever moved: the CHECKs see the whole row.
create or replace function creditd.keep(a creditd.account) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  update account set
    available = a.available, held = a.held, debt = a.debt, granted = a.granted,
    refunded = a.refunded, spent = a.spent, expired = a.expired, reversed = a.reversed,
    owed = a.owed, repaid = a.repaid, seq = a.seq, next_expiry = a.next_expiry,
    head_hash = a.head_hash, last_at = a.last_at
  where root_id = a.root_id and account_id = a.account_id;
end $$;
