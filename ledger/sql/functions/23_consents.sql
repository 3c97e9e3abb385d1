-- An account's owner says which apps may act for it, and takes it back. Who acts is a row of `account_access`,
-- looked up with every charge: what is withdrawn is over with the answer. Whoever gives or takes consent holds the
-- account's row, so that what waits for it finds what was said.

-- Whether an app reaches an account as its own: it opened it under a name, or reaches the pool it is a member of.
create or replace function creditd.owns_by_itself(p_app integer, p_root bigint, p_account bigint) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return exists (select from account_name n
                 where n.app_id = p_app and n.root_id = p_root and n.account_id in (p_account, p_root));
end $$;

-- Whether an app may say which wallets earn for an account. Whoever signs in by one of them is its owner: so it must be
-- the app's own, or the owner asks, whom the self-service app stands for. Acting for an account is not enough.
create or replace function creditd.sees_to_wallets(p_app integer, p_root bigint, p_account bigint) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return reaches(p_app, p_root, p_account) and (
    owns_by_itself(p_app, p_root, p_account)
    or exists (select from app x where x.app_id = p_app and x.name = 'creditd'));
end $$;

-- Enters a consent and what follows from it. The caller holds the account's row, and none stands for the app.
create or replace function creditd.enter_consent(
  p_root bigint, p_account bigint, p_app integer, p_may_spend boolean, p_by text
) returns integer
language plpgsql set search_path = creditd, pg_temp as $$
declare v_no integer;
begin
  insert into consent (root_id, account_id, consent_no, app_id, may_spend, given_by, given_at)
    select p_root, p_account, 1 + coalesce(max(c.consent_no), 0), p_app, p_may_spend, p_by, clock()
    from consent c where c.root_id = p_root and c.account_id = p_account
    returning consent_no into v_no;
  if p_may_spend then
    insert into account_access (root_id, account_id, app_id) values (p_root, p_account, p_app)
      on conflict on constraint account_access_pkey do nothing;
  end if;
  perform tell_changed(array[p_root], array[p_account]);
  return v_no;
end $$;

-- Ends the consent that stands for an app, if one does. The caller holds the account's row.
create or replace function creditd.leave_consent(p_root bigint, p_account bigint, p_app integer, p_by text)
returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  update consent c set withdrawn_by = p_by, withdrawn_at = clock()
    where c.root_id = p_root and c.account_id = p_account and c.app_id = p_app and c.withdrawn_at is null;
  delete from account_access x where x.root_id = p_root and x.account_id = p_account and x.app_id = p_app;
  perform tell_changed(array[p_root], array[p_account]);
end $$;

-- Lets an app act for an account, or only read it. The same again changes nothing; otherwise takes its place.
create or replace function creditd.give_consent(
  p_root bigint, p_account bigint, p_app text, p_may_spend boolean, p_by text, out outcome text, out no integer
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account;
  v_app integer;
  v_consent consent;
begin
  perform refuse_null('p_root p_account p_app p_may_spend p_by',
    array[p_root is null, p_account is null, p_app is null, p_may_spend is null, p_by is null]);
  select x.app_id into v_app from app x where x.name = p_app;
  if not found then outcome := 'no_app'; return; end if;
  perform from account x where x.root_id = p_root and x.account_id = p_account for no key update;
  select * into a from account x where x.root_id = p_root and x.account_id = p_account;
  if not found then outcome := 'no_account'; return; end if;
  -- Who reaches a pool has the say over the organisation: that is the app's that opened it.
  if a.kind = 'organisation' or owns_by_itself(v_app, p_root, p_account) then outcome := 'own'; return; end if;
  if a.status = 'closed' then outcome := 'closed'; return; end if;
  select * into v_consent from consent c
    where c.root_id = p_root and c.account_id = p_account and c.app_id = v_app and c.withdrawn_at is null;
  if found and v_consent.may_spend = p_may_spend then
    outcome := 'replayed'; no := v_consent.consent_no; return;
  end if;
  perform leave_consent(p_root, p_account, v_app, p_by);
  no := enter_consent(p_root, p_account, v_app, p_may_spend, p_by);
  outcome := 'given';
end $$;

-- Takes a consent back. From now on the app neither charges nor reads; what it has reserved it may still settle, up
-- to what is held, or release, and what it has charged it may give back.
create or replace function creditd.withdraw_consent(p_root bigint, p_account bigint, p_no integer, p_by text)
returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_consent consent;
begin
  perform refuse_null('p_root p_account p_no p_by',
    array[p_root is null, p_account is null, p_no is null, p_by is null]);
  perform from account x where x.root_id = p_root and x.account_id = p_account for no key update;
  select * into v_consent from consent c where c.root_id = p_root and c.account_id = p_account and c.consent_no = p_no;
  if not found then return 'no_consent'; end if;
  if v_consent.withdrawn_at is not null then return 'replayed'; end if;
  perform leave_consent(p_root, p_account, v_consent.app_id, p_by);
  return 'withdrawn';
end $$;

-- Lets an app act for a wallet's account on its own word that it has checked whose the wallet is, unless the
-- owner has said something about this app, ever: that counts. Says whether the app reaches the account.
create or replace function creditd.attest(p_app integer, p_root bigint, p_account bigint) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if reaches(p_app, p_root, p_account) then return true; end if;
  perform from account x where x.root_id = p_root and x.account_id = p_account for no key update;
  if not exists (
    select from consent c where c.root_id = p_root and c.account_id = p_account and c.app_id = p_app
  ) then
    perform enter_consent(p_root, p_account, p_app, true, 'the app''s own word');
  end if;
  return exists (
    select from consent c
    where c.root_id = p_root and c.account_id = p_account and c.app_id = p_app and c.withdrawn_at is null);
end $$;
