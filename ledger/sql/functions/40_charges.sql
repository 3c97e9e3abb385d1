-- Charges. An outcome is a row, never an exception: one bad item must not undo its neighbours.

do $$ begin
  if to_regtype('creditd.charge_outcome') is null then
    create type creditd.charge_outcome as (
      outcome text, payer bigint, seq bigint, price_version integer, amount bigint,
      available bigint, debt bigint, at timestamptz
    );
  end if;
end $$;

-- Takes credits from the lots an operation may burn, in burn order: a charge's legs, or a
-- reservation's. The caller knows that they cover it.
create or replace function creditd.burn(
  a creditd.account, first creditd.entry, p_amount bigint, p_operation integer
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_lot lot;
  e entry := first;
  v_left bigint := p_amount;
  v_now timestamptz := clock();
begin
  if p_amount = 0 then
    e.amount := 0;
    return post(a, e);
  end if;
  for v_lot in
    select * from lot l
    where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
      and l.effective_at <= v_now and l.expires_at > v_now
      and (l.operations is null or p_operation = any (l.operations))
    order by l.priority, l.expires_at, l.lot_no
  loop
    e.amount := least(v_left, v_lot.remaining);
    e.lot_no := v_lot.lot_no;
    a := post(a, e);
    update lot l set remaining = l.remaining - e.amount,
        held = l.held + case e.kind when 8 then e.amount else 0 end
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = v_lot.lot_no;
    v_left := v_left - e.amount;
    exit when v_left = 0;
    if e.movement is null then  -- further lots of the same movement
      e := null; e.kind := first.kind; e.movement := a.seq; e.refers_to := first.refers_to;
      e.member_id := first.member_id;
    end if;
  end loop;
  if v_left > 0 then
    if exists (select from lot l where l.root_id = a.root_id and l.account_id = a.account_id and l.remaining > 0
               and l.expires_at <= v_now) then
      raise exception 'a lot has ended since the account was looked at: try again' using errcode = '40001';
    end if;
    raise exception 'account %/%: its lots hold % less than its balance', a.root_id, a.account_id, v_left
      using errcode = 'CD009', hint = 'run creditd audit';
  end if;
  return a;
end $$;

-- A charge that stands, read from its first entry.
create or replace function creditd.charge_as_made(e creditd.entry, p_request uuid) returns creditd.charge_outcome
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if e.kind <> 2 or e.request_hash <> p_request then
    return row('key_reused', null, null, null, null, null, null, null)::charge_outcome;
  end if;
  return row('replayed', e.account_id, e.seq, e.price_version, e.total,
             e.available_after + e.amount - e.total, e.debt_after, e.at)::charge_outcome;
end $$;

-- One charge with every rule, for an account that `charge_batch` cannot read in passing: lots end or
-- begin, not every operation may burn them, reservations may be due. `p_member` is whose budget pays, if
-- the account is an organisation's pool. The caller has looked at access, key, status and price, and
-- holds the locks.
create or replace function creditd.charge_with_care(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid, p_cost bigint,
  p_operation integer, p_units bigint, p_version integer, p_api_key integer, p_member bigint
) returns creditd.charge_outcome
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  e entry;
  v_spendable bigint;
  v_seq bigint := a.seq;
  v_valid_until timestamptz := a.valid_until;
begin
  a := expire_due(a);
  v_spendable := spendable(a, p_operation);
  if v_spendable < p_cost and a.held > 0 then
    a := sweep_reservations(a);
    v_spendable := spendable(a, p_operation);
  end if;
  if v_spendable < p_cost then
    if a.seq > v_seq or a.valid_until > v_valid_until then perform keep(a); end if;  -- a refusal alone writes nothing
    return row('insufficient', p_account, null, p_version, p_cost, v_spendable, a.debt, null)::charge_outcome;
  end if;
  e.kind := 2; e.total := p_cost; e.app_id := p_app; e.key_hash := p_key; e.request_hash := p_request;
  e.operation_id := p_operation; e.units := p_units; e.price_version := p_version; e.member_id := p_member;
  e.api_key_id := p_api_key;
  v_seq := a.seq + 1;
  a := burn(a, e, p_cost, p_operation);
  perform keep(a);
  select x.* into e from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = v_seq;
  return row('charged', p_account, v_seq, p_version, p_cost, a.available, a.debt, e.at)::charge_outcome;
end $$;
