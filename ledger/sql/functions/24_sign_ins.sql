-- Wallets sign in and are linked by signing a text that was made for them. Whose signature it is has been found
-- out by whoever calls; that the text is one that was given out, and is used once, is decided here.

-- The app that people act by who come without one, for the account of their wallet.
create or replace function creditd.self_service_app() returns integer
language plpgsql set search_path = creditd, pg_temp as $$
declare v_app integer;
begin
  select a.app_id into v_app from app a where a.name = 'creditd';
  if found then return v_app; end if;
  insert into app (name) values ('creditd') on conflict on constraint app_name_is_free do nothing;
  select a.app_id into strict v_app from app a where a.name = 'creditd';
  return v_app;
end $$;

-- Enters a text that a wallet is asked to sign; of a link, for an account whose wallets the app sees to. Says "entered",
-- "no_account", or "full": more wait to be signed than anybody could want.
create or replace function creditd.enter_challenge(
  p_digest bytea, p_purpose text, p_chain bigint, p_address bytea, p_seconds integer,
  p_app integer, p_root bigint, p_account bigint
) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c_most constant bigint := 100000;  -- about 170 for each second that one is good for
  c_tidied constant bigint := 100;   -- at a time: they go as fast as they come, and soon faster
  v_now timestamptz := clock();
  v_oldest bigint;
begin
  perform refuse_null('p_digest p_purpose p_chain p_address p_seconds',
    array[p_digest is null, p_purpose is null, p_chain is null, p_address is null, p_seconds is null]);
  if p_purpose = 'link' and (sees_to_wallets(p_app, p_root, p_account) is not true) then return 'no_account'; end if;
  select min(c.challenge_no) into v_oldest from challenge c;
  delete from challenge c where c.challenge_no between v_oldest and v_oldest + c_tidied - 1 and c.expires_at <= v_now;
  if (select max(c.challenge_no) - min(c.challenge_no) >= c_most - 1 from challenge c) then return 'full'; end if;
  insert into challenge (digest, purpose, chain_id, address, app_id, root_id, account_id, expires_at)
    values (p_digest, p_purpose, p_chain, p_address, p_app, p_root, p_account, v_now + make_interval(secs => p_seconds));
  return 'entered';
end $$;

-- Counts a try at a text, and gives what it was made for: nothing for one that was not given out for this
-- purpose, is over, was used, or was tried too often.
create or replace function creditd.try_challenge(
  p_digest bytea, p_purpose text,
  out chain bigint, out address bytea, out app integer, out root bigint, out account bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare c_tries constant smallint := 5;  -- a wallet whose chain is slow may have to be asked again
begin
  perform refuse_null('p_digest p_purpose', array[p_digest is null, p_purpose is null]);
  update challenge c set tries = c.tries + 1
    where c.digest = p_digest and c.purpose = p_purpose and c.tries < c_tries and c.expires_at > clock()
    returning c.chain_id, c.address, c.app_id, c.root_id, c.account_id into chain, address, app, root, account;
end $$;

-- Signs in by a text that its wallet has signed, to the account that the wallet leads to. `p_digest` is of the
-- new session's secret, `p_former` of the one it takes the place of (null: of none). Gives nothing if the text is
-- not good (any more).
create or replace function creditd.sign_in(
  p_challenge bytea, p_digest bytea, p_former bytea,
  out root bigint, out account bigint, out ends_at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c_most constant integer := 50;  -- of one account at once: more are forgotten than used
  v_now timestamptz := clock();
  v challenge;
begin
  perform refuse_null('p_challenge p_digest', array[p_challenge is null, p_digest is null]);
  delete from challenge c
    where c.digest = p_challenge and c.purpose = 'sign_in' and c.expires_at > v_now returning c.* into v;
  if not found then return; end if;
  perform wallet_account(v.chain_id, v.address);
  select coalesce(w.linked_root, w.root_id), coalesce(w.linked_account, w.account_id) into strict root, account
    from wallet w where w.chain_id = v.chain_id and w.address = v.address;
  insert into account_access (root_id, account_id, app_id) values (root, account, self_service_app())
    on conflict on constraint account_access_pkey do nothing;
  update sign_in s set ended_at = v_now where s.digest = p_former and s.ended_at is null;
  delete from sign_in s where s.digest in (
    select x.digest from sign_in x where x.ends_at <= v_now order by x.ends_at limit 100 for update skip locked);
  delete from sign_in s where s.digest in (
    select x.digest from sign_in x where x.root_id = root and x.account_id = account
    order by x.created_at desc offset c_most - 1 limit 100 for update skip locked);
  ends_at := v_now + interval '7 days';
  insert into sign_in (digest, root_id, account_id, chain_id, address, created_at, seen_at, ends_at)
    values (p_digest, root, account, v.chain_id, v.address, v_now, v_now, ends_at);
end $$;

-- Who is signed in by a session's secret, and notes that it was seen. A session is over when it was idle for
-- twelve hours, after seven days, when its holder signs out, and when its wallet leads to another account.
create or replace function creditd.signed_in(
  p_digest bytea,
  out root bigint, out account bigint, out app integer, out chain bigint, out address bytea,
  out ends_at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c_idle constant interval := '12 hours';
  c_noted constant interval := '1 minute';  -- a write for each request would cost more than it tells
  v_now timestamptz := clock();
  s sign_in;
begin
  perform refuse_null('p_digest', array[p_digest is null]);
  select x.* into s from sign_in x join wallet w on w.chain_id = x.chain_id and w.address = x.address
    where x.digest = p_digest and x.ended_at is null and x.ends_at > v_now and x.seen_at > v_now - c_idle
      and (coalesce(w.linked_root, w.root_id), coalesce(w.linked_account, w.account_id)) = (x.root_id, x.account_id);
  if not found then return; end if;
  if s.seen_at < v_now - c_noted then
    update sign_in x set seen_at = greatest(x.seen_at, v_now) where x.digest = p_digest;
    s.seen_at := v_now;
  end if;
  root := s.root_id; account := s.account_id; app := self_service_app(); chain := s.chain_id; address := s.address;
  ends_at := least(s.ends_at, s.seen_at + c_idle);
end $$;

-- Ends a session. Says whether it was there and not ended yet.
create or replace function creditd.sign_out(p_digest bytea) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_digest', array[p_digest is null]);
  update sign_in s set ended_at = clock() where s.digest = p_digest and s.ended_at is null;
  return found;
end $$;

-- Ends all sessions of an account. Says how many.
create or replace function creditd.sign_out_all(p_root bigint, p_account bigint) returns integer
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_ended integer;
begin
  perform refuse_null('p_root p_account', array[p_root is null, p_account is null]);
  update sign_in s set ended_at = clock()
    where s.root_id = p_root and s.account_id = p_account and s.ended_at is null;
  get diagnostics v_ended = row_count;
  return v_ended;
end $$;

-- Links a wallet by the text it has signed, to the account that the text was made for. `p_by_key`: its key signed,
-- so the address is linked on every chain; else the contract on its own. Outcomes as of `join_wallet`,
-- 'no_account', and 'spent': the text is not good (any more). Whatever comes of it, the text is used up.
create or replace function creditd.link_by_signature(
  p_app integer, p_root bigint, p_account bigint, p_message text, p_signature bytea, p_by_key boolean,
  out outcome text, out wallets integer, out moved bigint, out debt bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v challenge;
  v_chain bigint;
begin
  perform refuse_null('p_app p_root p_account p_message p_signature p_by_key',
    array[p_app is null, p_root is null, p_account is null, p_message is null, p_signature is null, p_by_key is null]);
  delete from challenge c
    where c.digest = sha256(convert_to(p_message, 'UTF8')) and c.purpose = 'link' and c.expires_at > clock()
      and (c.app_id, c.root_id, c.account_id) = (p_app, p_root, p_account)
    returning c.* into v;
  if not found then outcome := 'spent'; return; end if;
  wallets := 0; moved := 0; debt := 0;
  if not sees_to_wallets(p_app, p_root, p_account) then outcome := 'no_account'; return; end if;
  v_chain := case when p_by_key then null else v.chain_id end;
  select l.* into outcome, wallets, moved, debt from join_wallet(v_chain, v.address, p_root, p_account) l;
  if outcome in ('linked', 'replayed') then
    insert into wallet_proof (root_id, account_id, app_id, chain_id, address, message, signature, linked_at)
      values (p_root, p_account, p_app, v_chain, v.address, p_message, p_signature, clock());
  end if;
end $$;
