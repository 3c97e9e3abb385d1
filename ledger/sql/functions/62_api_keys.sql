-- API keys: made, replaced and ended. What one may do never changes; its successor may do the same.

-- How many API keys an account may have in force: whoever needs more has lost count of them.
create or replace function creditd.most_api_keys() returns integer
language sql immutable
return 100;

-- A key that was replaced stays good for this long at most.
create or replace function creditd.longest_overlap() returns interval
language sql immutable
return interval '7 days';

create or replace function creditd.is_in_force(k creditd.api_key) returns boolean
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return k.revoked_at is null and (k.expires_at is null or k.expires_at > clock());
end $$;

-- Whether an API key is a person's own, or else (p_root null) one of the app itself.
create or replace function creditd.is_own(k creditd.api_key, p_app integer, p_root bigint, p_account bigint) returns boolean
language sql immutable
return case when p_root is null then k.kind = 'app' and k.app_id = p_app
            else k.kind = 'personal' and k.root_id = p_root and k.account_id = p_account end;

-- Whether a rate (null: none) lets more through than that of an API key: at once, or over time.
create or replace function creditd.exceeds_rate(p_requests integer, p_seconds integer, k creditd.api_key) returns boolean
language sql immutable
return k.rate_requests is not null and (
  p_requests is null or p_requests > k.rate_requests
  or p_requests::bigint * k.rate_seconds > k.rate_requests::bigint * p_seconds);

-- Enters an API key as it is given but for its number and its family, which are its own where it has none yet.
create or replace function creditd.enter_api_key(k creditd.api_key) returns integer
language plpgsql set search_path = creditd, pg_temp as $$
begin
  k.key_id := nextval(pg_get_serial_sequence('creditd.api_key', 'key_id'));
  k.family := coalesce(k.family, k.key_id);
  k.created_at := clock();
  insert into api_key overriding system value select k.*;
  insert into capped_api_key (key_id, family)
    select k.key_id, k.family where exists (select from api_key_cap c where c.family = k.family);
  return k.key_id;
end $$;

-- Caps a new API key that has none yet by its family.
create or replace function creditd.cap_api_key(p_key integer, p_periods text[], p_amounts bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if cardinality(p_periods) = 0 then return; end if;
  insert into api_key_cap (family, period, amount) select p_key, t.period, t.amount
    from unnest(p_periods, p_amounts) t (period, amount);
  insert into capped_api_key (key_id, family) values (p_key, p_key);
end $$;

-- Makes an API key: of an app, which is entered if it is new; of a person, for one account; of an operator.
-- Gives null where there is no such account.
create or replace function creditd.create_api_key(
  p_app text, p_kind text, p_root bigint, p_account bigint, p_scopes text[], p_operations text[], p_digest bytea,
  p_hint text, p_expires_at timestamptz, p_cap_periods text[], p_cap_amounts bigint[], p_rate_requests integer,
  p_rate_seconds integer
) returns integer
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare k api_key;
begin
  perform refuse_null('p_app p_kind p_digest p_hint p_scopes p_cap_periods p_cap_amounts',
    array[p_app is null, p_kind is null, p_digest is null, p_hint is null, lacks(p_scopes, cardinality(p_scopes)),
    lacks(p_cap_periods, cardinality(p_cap_periods)), lacks(p_cap_amounts, cardinality(p_cap_periods))]);
  if (p_app = 'creditd') <> (p_kind <> 'app') then
    raise exception 'creditd is the app of people''s and operators'' own API keys, and of nothing else' using errcode = '22023';
  end if;
  if p_kind = 'app' then
    insert into app (name) values (p_app) on conflict on constraint app_name_is_free do nothing;
    select a.app_id into strict k.app_id from app a where a.name = p_app;
  else
    k.app_id := self_service_app();
  end if;
  if p_kind = 'personal' then
    perform from account a where a.root_id = p_root and a.account_id = p_account and a.status <> 'closed';
    if not found then return null; end if;
    insert into account_access (root_id, account_id, app_id) values (p_root, p_account, k.app_id)
      on conflict on constraint account_access_pkey do nothing;
  end if;
  k.kind := p_kind; k.root_id := p_root; k.account_id := p_account; k.scopes := p_scopes; k.operations := p_operations;
  k.digest := p_digest; k.hint := p_hint; k.expires_at := p_expires_at;
  k.rate_requests := p_rate_requests; k.rate_seconds := p_rate_seconds;
  k.key_id := enter_api_key(k);
  perform cap_api_key(k.key_id, p_cap_periods, p_cap_amounts);
  return k.key_id;
end $$;

-- What was made under an idempotency key: nothing, the same, or something else.
create or replace function creditd.made_under(p_under uuid, p_asked uuid, out outcome text, out key_id integer)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_asked uuid;
begin
  select k.key_id, k.made_asked into key_id, v_asked from api_key k where k.made_under = p_under;
  if found then outcome := case when v_asked = p_asked then 'replayed' else 'key_reused' end; end if;
end $$;

-- Makes an API key for one's own account: by a session (p_made_by 0), or by an API key, and then with no more
-- rights than that one has, under the same caps, and for no longer.
create or replace function creditd.create_own_api_key(
  p_root bigint, p_account bigint, p_made_by integer, p_scopes text[], p_operations text[], p_digest bytea, p_hint text,
  p_expires_at timestamptz, p_cap_periods text[], p_cap_amounts bigint[], p_rate_requests integer,
  p_rate_seconds integer, p_under uuid, p_asked uuid, out outcome text, out key_id integer
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  k api_key;
  v_by api_key;
begin
  perform refuse_null('p_root p_account p_made_by p_digest p_hint p_under p_asked p_scopes p_cap_periods p_cap_amounts',
    array[p_root is null, p_account is null, p_made_by is null, p_digest is null, p_hint is null, p_under is null,
    p_asked is null, lacks(p_scopes, cardinality(p_scopes)), lacks(p_cap_periods, cardinality(p_cap_periods)),
    lacks(p_cap_amounts, cardinality(p_cap_periods))]);
  -- One writer of an account's API keys at a time: they are counted, and made once by their key.
  perform pg_advisory_xact_lock(hashtextextended('creditd api keys ' || p_root || ' ' || p_account, 0));
  select m.* into outcome, key_id from made_under(p_under, p_asked) m;
  if outcome is not null then return; end if;
  perform from account a where a.root_id = p_root and a.account_id = p_account and a.status <> 'closed';
  if not found then outcome := 'no_account'; return; end if;
  k.scopes := p_scopes; k.operations := p_operations; k.expires_at := p_expires_at;
  k.rate_requests := p_rate_requests; k.rate_seconds := p_rate_seconds;
  if p_made_by <> 0 then
    select x.* into v_by from api_key x where x.key_id = p_made_by;
    if not (is_own(v_by, 0, p_root, p_account) and is_in_force(v_by)) or not p_scopes <@ v_by.scopes
       or not (v_by.operations is null or coalesce(p_operations <@ v_by.operations, false)) then
      outcome := 'beyond_own'; return;
    end if;
    if p_rate_requests is not null and exceeds_rate(p_rate_requests, p_rate_seconds, v_by) then
      outcome := 'beyond_own'; return;
    end if;
    k.made_by := p_made_by;
    k.expires_at := least(p_expires_at, v_by.expires_at);
    if p_rate_requests is null then k.rate_requests := v_by.rate_requests; k.rate_seconds := v_by.rate_seconds; end if;
    select c.family into k.family from capped_api_key c where c.key_id = p_made_by;
    if k.family is not null and cardinality(p_cap_periods) > 0 then outcome := 'capped_already'; return; end if;
  end if;
  if most_api_keys() <= (
    select count(*) from api_key x where x.root_id = p_root and x.account_id = p_account and is_in_force(x)
  ) then
    outcome := 'too_many'; return;
  end if;
  k.app_id := self_service_app(); k.kind := 'personal'; k.root_id := p_root; k.account_id := p_account;
  k.digest := p_digest; k.hint := p_hint; k.made_under := p_under; k.made_asked := p_asked;
  insert into account_access (root_id, account_id, app_id) values (p_root, p_account, k.app_id)
    on conflict on constraint account_access_pkey do nothing;
  key_id := enter_api_key(k);
  perform cap_api_key(key_id, p_cap_periods, p_cap_amounts);
  outcome := 'made';
end $$;

-- Gives an API key its successor, which may do the same, and lets the old one end after the overlap. The successor
-- expires at p_expires_at, or when the old one would have.
create or replace function creditd.replace_api_key(
  p_key integer, p_digest bytea, p_hint text, p_overlap interval, p_expires_at timestamptz, p_under uuid, p_asked uuid,
  out outcome text, out key_id integer, out old_ends_at timestamptz
)
language plpgsql set search_path = creditd, pg_temp as $$
declare
  k api_key;
  v_now timestamptz;
begin
  if p_overlap < interval '0' or p_overlap > longest_overlap() then
    raise exception 'an API key that is replaced stays good for at most %', longest_overlap() using errcode = '22023';
  end if;
  select x.* into k from api_key x where x.key_id = p_key for no key update;
  outcome := case when k.key_id is null then 'no_api_key' when k.replaced_by is not null then 'replaced'
                  when not is_in_force(k) then 'ended' end;
  if outcome is not null then key_id := k.replaced_by; return; end if;
  v_now := clock();
  old_ends_at := least(k.expires_at, v_now + p_overlap);
  k.digest := p_digest; k.hint := p_hint; k.made_under := p_under; k.made_asked := p_asked;
  k.expires_at := coalesce(p_expires_at, k.expires_at);
  key_id := enter_api_key(k);
  update api_key x set expires_at = old_ends_at, replaced_by = replace_api_key.key_id where x.key_id = p_key;
  outcome := 'rotated';
end $$;

-- As an operator.
create or replace function creditd.rotate_api_key(
  p_key integer, p_digest bytea, p_hint text, p_overlap interval, p_expires_at timestamptz,
  out outcome text, out key_id integer, out old_ends_at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_key p_digest p_hint p_overlap',
    array[p_key is null, p_digest is null, p_hint is null, p_overlap is null]);
  select r.* into outcome, key_id, old_ends_at from replace_api_key(p_key, p_digest, p_hint, p_overlap, p_expires_at, null, null) r;
end $$;

-- As its owner, by a session (p_made_by 0), or by an API key that itself may do all that this one may.
create or replace function creditd.rotate_own_api_key(
  p_key integer, p_app integer, p_root bigint, p_account bigint, p_made_by integer, p_scopes text[], p_digest bytea,
  p_hint text, p_overlap interval, p_under uuid, p_asked uuid,
  out outcome text, out key_id integer, out old_ends_at timestamptz
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  k api_key;
  v_by api_key;
begin
  perform refuse_null('p_key p_app p_made_by p_digest p_hint p_overlap p_under p_asked p_scopes',
    array[p_key is null, p_app is null, p_made_by is null, p_digest is null, p_hint is null, p_overlap is null,
    p_under is null, p_asked is null, lacks(p_scopes, cardinality(p_scopes))]);
  select x.* into k from api_key x where x.key_id = p_key for no key update;
  if not found or not is_own(k, p_app, p_root, p_account) then outcome := 'no_api_key'; return; end if;
  select m.* into outcome, key_id from made_under(p_under, p_asked) m;
  if outcome is not null then old_ends_at := k.expires_at; return; end if;
  if p_made_by <> p_key then
    if not k.scopes <@ p_scopes then outcome := 'beyond_own'; return; end if;
    select x.* into v_by from api_key x where x.key_id = p_made_by;
    if p_made_by <> 0 and not (
      is_own(v_by, p_app, p_root, p_account) and is_in_force(v_by) and k.scopes <@ v_by.scopes
      and (v_by.operations is null or coalesce(k.operations <@ v_by.operations, false))
      and (k.family = v_by.family or not exists (select from capped_api_key c where c.key_id = p_made_by))
      and coalesce(k.expires_at, 'infinity') <= coalesce(v_by.expires_at, 'infinity')
      and not exceeds_rate(k.rate_requests, k.rate_seconds, v_by)
    ) then
      outcome := 'beyond_own'; return;
    end if;
  end if;
  select r.* into outcome, key_id, old_ends_at from replace_api_key(p_key, p_digest, p_hint, p_overlap, null, p_under, p_asked) r;
end $$;

-- Ends an API key. Says whether it was good until now.
create or replace function creditd.revoke_api_key(p_key integer) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_key', array[p_key is null]);
  update api_key k set revoked_at = clock() where k.key_id = p_key and k.revoked_at is null;
  return found;
end $$;

-- Ends an API key of one's own: null where it is not, else whether it was not ended already.
create or replace function creditd.revoke_own_api_key(
  p_key integer, p_app integer, p_root bigint, p_account bigint
) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare k api_key;
begin
  perform refuse_null('p_key p_app', array[p_key is null, p_app is null]);
  select x.* into k from api_key x where x.key_id = p_key;
  if not found or not is_own(k, p_app, p_root, p_account) then return null; end if;
  return revoke_api_key(p_key);
end $$;
