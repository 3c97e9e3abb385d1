-- What operators do, each with who did it and why, in the transaction that does it.

-- Notes what an operator did. `p_api_key` is by which API key (0: by a command).
create or replace function creditd.note_act(
  p_kind text, p_root bigint, p_account bigint, p_entry bigint, p_amount bigint, p_chain bigint, p_address bytea,
  p_api_key integer, p_by text, p_reason text
) returns void
language sql set search_path = creditd, pg_temp
begin atomic
  insert into creditd.operator_act (kind, root_id, account_id, entry, amount, chain_id, address, api_key_id, signed_by,
                                    reason, at)
    values (p_kind, p_root, p_account, p_entry, p_amount, p_chain, p_address, nullif(p_api_key, 0), p_by, p_reason,
            creditd.clock());
end;

-- Grants an account credits to put something right, once under a key. Outcomes as of `grant_credits`.
create or replace function creditd.adjust(
  p_root bigint, p_account bigint, p_amount bigint, p_key uuid, p_request uuid, p_api_key integer, p_by text, p_reason text
) returns creditd.grant_outcome
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare o grant_outcome;
begin
  perform refuse_null('p_root p_account p_amount p_key p_request p_api_key p_by p_reason',
    array[p_root is null, p_account is null, p_amount is null, p_key is null, p_request is null, p_api_key is null,
    p_by is null, p_reason is null]);
  o := grant_credits(p_root, p_account, 'adjustment', p_amount, p_key, p_request, '-infinity', 'infinity',
                     100::smallint, null, p_reason, null, null, null);
  if o.outcome = 'granted' then
    perform note_act('adjustment', p_root, p_account, o.seq, o.amount, null, null, p_api_key, p_by, p_reason);
  end if;
  return o;
end $$;

-- Takes back a grant that no chain made, wherever its credits have moved to: what is left of it goes, what is
-- reserved is decided when that ends, what was spent is owed. Again is a no-op: 'replayed'.
create or replace function creditd.take_back_grant(
  p_root bigint, p_account bigint, p_lot bigint, p_api_key integer, p_by text, p_reason text,
  out outcome text, out granted bigint, out taken bigint, out available bigint, out debt bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare l lot;
begin
  perform refuse_null('p_root p_account p_lot p_api_key p_by p_reason',
    array[p_root is null, p_account is null, p_lot is null, p_api_key is null, p_by is null, p_reason is null]);
  select * into l from lot x where x.root_id = p_root and x.account_id = p_account and x.lot_no = p_lot
    and x.origin_root is null and x.source in ('purchased', 'promotional', 'plan', 'adjustment');
  if not found then outcome := 'no_grant'; return; end if;
  perform lock_grants(array[p_root], array[p_account], array[p_lot]);
  select * into strict l from lot x where x.root_id = p_root and x.account_id = p_account and x.lot_no = p_lot;
  outcome := case l.state when 'live' then 'taken_back' else 'replayed' end;
  granted := l.amount;
  if outcome = 'taken_back' then
    perform reverse_grant(p_root, p_account, p_lot);
    perform note_act('take_back', p_root, p_account, p_lot, null, null, null, p_api_key, p_by, p_reason);
  end if;
  select coalesce(sum(x.reversed), 0)::bigint into taken from lots_of(p_root, p_account, p_lot) x;
  select x.available, x.debt into available, debt from account x where x.root_id = p_root and x.account_id = p_account;
end $$;

-- Links an address to an account on an operator's word, as `link_by_signature` does on its holder's.
create or replace function creditd.attest_link(
  p_chain bigint, p_address bytea, p_root bigint, p_account bigint, p_api_key integer, p_by text, p_reason text,
  out outcome text, out wallets integer, out moved bigint, out debt bigint
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_address p_root p_account p_api_key p_by p_reason',
    array[p_address is null, p_root is null, p_account is null, p_api_key is null, p_by is null, p_reason is null]);
  wallets := 0; moved := 0; debt := 0;
  perform from account a where a.root_id = p_root and a.account_id = p_account;
  if not found then outcome := 'no_account'; return; end if;
  select l.* into outcome, wallets, moved, debt from join_wallet(p_chain, p_address, p_root, p_account) l;
  if outcome = 'linked' then
    perform note_act('link', p_root, p_account, null, null, p_chain, p_address, p_api_key, p_by, p_reason);
  end if;
end $$;

-- Ends the links of an address to an account, as `unlink_wallet` does for an app.
create or replace function creditd.end_link(
  p_chain bigint, p_address bytea, p_root bigint, p_account bigint, p_api_key integer, p_by text, p_reason text
) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_outcome text;
begin
  perform refuse_null('p_address p_root p_account p_api_key p_by p_reason',
    array[p_address is null, p_root is null, p_account is null, p_api_key is null, p_by is null, p_reason is null]);
  v_outcome := part_wallet(p_chain, p_address, p_root, p_account);
  if v_outcome = 'unlinked' then
    perform note_act('unlink', p_root, p_account, null, null, p_chain, p_address, p_api_key, p_by, p_reason);
  end if;
  return v_outcome;
end $$;

-- Freezes an account, or opens it again.
create or replace function creditd.set_frozen(
  p_root bigint, p_account bigint, p_frozen boolean, p_api_key integer, p_by text, p_reason text,
  out outcome text, out changed boolean
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_root p_account p_frozen p_api_key p_by p_reason',
    array[p_root is null, p_account is null, p_frozen is null, p_api_key is null, p_by is null, p_reason is null]);
  select f.* into outcome, changed from freeze_or_open(p_root, p_account, p_frozen, p_by, p_reason) f;
  if changed then
    perform note_act(case when p_frozen then 'freeze' else 'unfreeze' end, p_root, p_account, null, null, null, null,
                     p_api_key, p_by, p_reason);
  end if;
end $$;

-- Notes that an operator has a source's logs that were set aside read again, in blocks `p_first` to `p_last` (null: all
-- from the first on). It is noted before it is done: what is granted then is entered block by block, by a watcher's
-- session, which may be cut off. 'no_source': the books have none of the name, and nothing is noted.
create or replace function creditd.note_replay(
  p_source text, p_first bigint, p_last bigint, p_api_key integer, p_by text, p_reason text
) returns text
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_rule integer;
begin
  perform refuse_null('p_source p_first p_api_key p_by p_reason',
    array[p_source is null, p_first is null, p_api_key is null, p_by is null, p_reason is null]);
  select r.rule_id into v_rule from rule r where r.name = p_source;
  if not found then return 'no_source'; end if;
  insert into operator_act (kind, rule_id, first_block, last_block, api_key_id, signed_by, reason, at)
    values ('replay', v_rule, p_first, p_last, nullif(p_api_key, 0), p_by, p_reason, clock());
  return 'noted';
end $$;
