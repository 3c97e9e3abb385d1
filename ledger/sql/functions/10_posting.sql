-- One entry at a time, chained to the one before. Nothing but these functions writes the books.

create or replace function creditd.refuse_change() returns trigger
language plpgsql set search_path = creditd, pg_temp as $$
begin
  raise exception 'entries are never changed or removed: correct them by another entry'
    using errcode = 'CD000';
end $$;

-- To lay a trigger locks its table: only where it is not there as it should be.
do $$ begin
  if not exists (select from pg_trigger t where t.tgrelid = 'creditd.entry'::regclass
      and t.tgname = 'entry_is_append_only' and t.tgfoid = 'creditd.refuse_change'::regproc
      and t.tgtype = 27 and t.tgenabled = 'O' and t.tgqual is null) then  -- for each row, before update or delete
    create or replace trigger entry_is_append_only before update or delete on creditd.entry
      for each row execute function creditd.refuse_change();
    alter table creditd.entry enable trigger entry_is_append_only;
  end if;
  if not exists (select from pg_trigger t where t.tgrelid = 'creditd.entry'::regclass
      and t.tgname = 'entry_is_never_truncated' and t.tgfoid = 'creditd.refuse_change'::regproc
      and t.tgtype = 34 and t.tgenabled = 'O') then  -- for each statement, before truncate
    create or replace trigger entry_is_never_truncated before truncate on creditd.entry
      for each statement execute function creditd.refuse_change();
    alter table creditd.entry enable trigger entry_is_never_truncated;
  end if;
end $$;

-- The functions in plain SQL name what they call when they are made: no search path can mislead them.

-- The time that decides. Not now(): a charge that waited for its account is made when it is made.
create or replace function creditd.clock() returns timestamptz
language sql volatile
return clock_timestamp();

-- What an account may be granted and hold at most, and one charge may take: with `most_sum` it stays within a bigint,
-- which ends at 9.2 * 10^18. `charge_batch` writes both out.
create or replace function creditd.most_credits() returns bigint
language sql immutable
return 4000000000000000000;

-- What an account's charges may come to at most, with what is held of it.
create or replace function creditd.most_sum() returns bigint
language sql immutable
return 5000000000000000000;

-- A random number of 62 bits: an account's name tells nobody how many accounts there are.
create or replace function creditd.new_id() returns bigint
language sql volatile
return (('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64) & x'3fffffffffffffff')::bigint;

create or replace function creditd.first_hash(p_root bigint, p_account bigint) returns bytea
language sql immutable
return sha256(int8send(p_root) || int8send(p_account));

-- The end of what an entry's hash is taken over: under which key, what, and by which API key if by any.
create or replace function creditd.asked_by(p_key uuid, p_request uuid, p_api_key integer) returns bytea
language sql immutable
return uuid_send(p_key) || uuid_send(p_request)
  || case when p_api_key is null then ''::bytea else int8send(p_api_key) end;

-- What an entry's hash is taken over. -1 stands for null: none of these numbers is negative. The API key comes
-- last and only where there is one: entries from before there was that column keep their hash.
create or replace function creditd.entry_hash(p_before bytea, e creditd.entry) returns bytea
language sql immutable
return sha256(
  p_before
  || int8send(e.root_id) || int8send(e.account_id) || int8send(e.seq) || int8send(e.kind)
  || int8send(e.amount) || int8send(e.available_after) || int8send(e.held_after) || int8send(e.debt_after)
  || int8send(coalesce(e.lot_no, -1)) || int8send(e.movement) || int8send(coalesce(e.total, -1))
  || int8send(coalesce(e.refers_to, -1)) || int8send(coalesce(e.peer_root, -1))
  || int8send(coalesce(e.peer_account, -1)) || int8send(coalesce(e.member_id, -1))
  || int8send(coalesce(e.app_id, -1)) || int8send(coalesce(e.operation_id, -1))
  || int8send(coalesce(e.units, -1)) || int8send(coalesce(e.price_version, -1)) || timestamptz_send(e.at)
  || creditd.asked_by(
       coalesce(e.key_hash, '00000000-0000-0000-0000-000000000000'),
       coalesce(e.request_hash, '00000000-0000-0000-0000-000000000000'), e.api_key_id)
);

-- Takes the account as its caller holds it locked, moves it by one entry, and gives it back.
-- The caller sets kind, amount, lot_no, movement (null: starts here) and what else the entry says.
create or replace function creditd.post(a creditd.account, e creditd.entry) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
begin
  a.seq := a.seq + 1;
  -- The clock may step back; an account's entries do not.
  a.last_at := greatest(clock(), a.last_at + interval '1 microsecond');
  case e.kind
    when 1 then a.granted := a.granted + e.amount;
    when 2, 9 then a.spent := a.spent + e.amount;
    when 3 then a.refunded := a.refunded + e.amount;
    when 4 then a.reversed := a.reversed + e.amount;
    when 5 then a.owed := a.owed + e.amount;
    when 6 then a.repaid := a.repaid + e.amount;
    when 7 then a.expired := a.expired + e.amount;
    when 8, 10 then null;
    when 11 then a.absorbed := a.absorbed + e.amount;
    when 12 then a.recovered := a.recovered + e.amount;
    when 13 then a.moved := a.moved - e.amount;
    when 14 then a.moved := a.moved + e.amount;
    when 15 then a.debt_moved := a.debt_moved - e.amount;
    when 16 then a.debt_moved := a.debt_moved + e.amount;
    when 17 then a.line := a.line + e.amount;
    when 18 then a.line := a.line - e.amount;
  end case;
  a.available := a.available + case
    when e.kind in (1, 3, 10, 14, 17) then e.amount when e.kind in (2, 4, 6, 7, 8, 12, 13, 18) then -e.amount else 0 end;
  a.held := a.held + case e.kind when 8 then e.amount when 9 then -e.amount when 10 then -e.amount else 0 end;
  a.debt := a.debt + case when e.kind in (5, 16) then e.amount when e.kind in (6, 15) then -e.amount else 0 end;
  e.root_id := a.root_id;
  e.account_id := a.account_id;
  e.seq := a.seq;
  e.movement := coalesce(e.movement, a.seq);
  e.available_after := a.available;
  e.held_after := a.held;
  e.debt_after := a.debt;
  e.at := a.last_at;
  e.hash := entry_hash(a.head_hash, e);
  a.head_hash := e.hash;
  insert into entry select e.*;
  return a;
end $$;

-- Locks an account for whatever is more than a charge. From here to `keep` its lots' own rows tell
-- what is left of them: no lot is ahead of its row.
create or replace function creditd.locked_account(p_root bigint, p_account bigint) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare a account;
begin
  select * into a from account x where x.root_id = p_root and x.account_id = p_account for no key update;
  if a.head_lot is not null then
    update lot l set remaining = a.head_left
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = a.head_lot;
    a.head_lot := null; a.head_left := 0;
  end if;
  return a;
end $$;

-- Writes a moved account back, with the lot that is to be burned next. One statement whatever moved:
-- the CHECKs see the whole row.
create or replace function creditd.keep(a creditd.account) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v_now timestamptz := clock();
begin
  if a.is_special then
    a.is_special := exists (
      select from lot l where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
        and l.operations is not null);
  end if;
  -- Between lots that not every operation may burn, each charge must choose for itself.
  if not a.is_special and a.available > 0 then
    select l.lot_no, l.remaining into a.head_lot, a.head_left from lot l
      where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
        and l.effective_at <= v_now and l.expires_at > v_now
      order by l.priority, l.expires_at, l.lot_no limit 1;
    a.head_left := coalesce(a.head_left, 0);
  end if;
  perform tell_if_low(a);
  update account set
    status = a.status, available = a.available, held = a.held, debt = a.debt, granted = a.granted,
    refunded = a.refunded, spent = a.spent, expired = a.expired, reversed = a.reversed, owed = a.owed,
    repaid = a.repaid, absorbed = a.absorbed, recovered = a.recovered, moved = a.moved,
    debt_moved = a.debt_moved, line = a.line, seq = a.seq, head_lot = a.head_lot, head_left = a.head_left,
    valid_until = a.valid_until, is_special = a.is_special, head_hash = a.head_hash, last_at = a.last_at
  where root_id = a.root_id and account_id = a.account_id;
  perform tell_changed(array[a.root_id], array[a.account_id]);
end $$;

-- Says when an account's lots are to be looked at again, once that time has come.
create or replace function creditd.lots_valid_until(a creditd.account, p_now timestamptz) returns timestamptz
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return coalesce((
    select least(min(l.expires_at), min(l.effective_at) filter (where l.effective_at > p_now)) from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0), 'infinity');
end $$;

-- Posts the expiry of what is due. A lot ends at its `expires_at`, that moment excluded.
create or replace function creditd.expire_due(a creditd.account) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  e entry;
  v_now timestamptz := clock();
begin
  if a.valid_until > v_now then return a; end if;
  for v_lot in
    select * from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0 and l.expires_at <= v_now
    order by l.priority, l.expires_at, l.lot_no
  loop
    e := null; e.kind := 7; e.amount := v_lot.remaining; e.lot_no := v_lot.lot_no;
    a := post(a, e);
    update lot l set remaining = 0, expired = l.expired + v_lot.remaining
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
  end loop;
  a.valid_until := lots_valid_until(a, v_now);
  return a;
end $$;

-- What an operation could burn of the account now (null: an operation that every lot is open to). Of the lot that
-- is being burned the account's row says what is left, until it is locked.
create or replace function creditd.spendable(a creditd.account, p_operation integer) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
declare v_now timestamptz := clock();
begin
  return coalesce((
    select sum(case when l.lot_no = a.head_lot then a.head_left else l.remaining end) from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
      and l.effective_at <= v_now and l.expires_at > v_now
      and (l.operations is null or p_operation = any (l.operations))), 0);
end $$;
