-- The hot path. A batch of charges is one round trip: accounts are locked, keys looked up and prices
-- read in bulk, every charge is decided in memory in the order it came, and what was decided is
-- written in bulk. Single charges go the same way, as a batch of one.

-- Outcomes as numbers, for arrays of a fixed width: 1 charged, 2 replayed, 3 insufficient, 4 key_reused,
-- 5 no_account, 6 unknown_operation, 7 price_changed, 8 too_expensive, 9 frozen, 10 over_budget, 11 over_key_cap,
-- 12 unknown_model.
create or replace function creditd.outcome_number(p_outcome text) returns smallint
language sql immutable
return array_position(array['charged', 'replayed', 'insufficient', 'key_reused', 'no_account',
  'unknown_operation', 'price_changed', 'too_expensive', 'frozen', 'over_budget',
  'over_key_cap', 'unknown_model'], p_outcome);

-- `entry_hash` of a charge's leg, from what is at hand: `p_account` is root and account, `p_said` and
-- `p_asked` are what its first entry says or, for further legs, nulls.
create or replace function creditd.leg_hash(
  p_before bytea, p_account bytea, p_seq bigint, p_amount bigint, p_available bigint, p_held bigint,
  p_debt bigint, p_lot bigint, p_movement bigint, p_said bytea, p_at timestamptz, p_asked bytea
) returns bytea
language sql immutable
return sha256(p_before || p_account || int8send(p_seq) || int8send(2) || int8send(p_amount)
  || int8send(p_available) || int8send(p_held) || int8send(p_debt) || int8send(coalesce(p_lot, -1))
  || int8send(p_movement) || p_said || timestamptz_send(p_at) || p_asked);

-- What the first entry of a charge says: its cost, that it refers to nothing and nobody, and the rest.
create or replace function creditd.charge_says(
  p_cost bigint, p_app integer, p_operation integer, p_units bigint, p_version integer
) returns bytea
language sql immutable
return int8send(p_cost) || int8send(-1) || int8send(-1) || int8send(-1) || int8send(-1)
  || int8send(p_app) || int8send(p_operation) || int8send(p_units) || int8send(p_version);

create or replace function creditd.says_nothing() returns bytea
language sql immutable
return decode(repeat('ff', 72), 'hex');

create or replace function creditd.asks_nothing() returns bytea
language sql immutable
return decode(repeat('00', 32), 'hex');

-- A charge that nothing stands in the way of, in one statement: the head covers it, its key is new, and
-- nobody has to be told. Gives null otherwise; then `charge_batch` says why.
create or replace function creditd.charge_at_once(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid, p_cost bigint,
  p_operation integer, p_units bigint, p_version integer, p_api_key integer
) returns creditd.entry
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_now timestamptz := clock();  -- one moment for the row and for the hash over it
  e entry;
begin
  with moved as (
    update account a set seq = a.seq + 1, available = a.available - p_cost, spent = a.spent + p_cost,
        head_left = a.head_left - p_cost, last_at = greatest(v_now, a.last_at + interval '1 microsecond'),
        head_hash = leg_hash(a.head_hash, int8send(p_root) || int8send(p_account), a.seq + 1, p_cost,
          a.available - p_cost, a.held, a.debt, a.head_lot, a.seq + 1,
          charge_says(p_cost, p_app, p_operation, p_units, p_version),
          greatest(v_now, a.last_at + interval '1 microsecond'), asked_by(p_key, p_request, p_api_key))
    where a.root_id = p_root and a.account_id = p_account and a.status = 'open' and not a.is_special
      and p_cost between 1 and a.head_left and p_cost <= 5000000000000000000 - a.spent
      and a.valid_until > clock()
      and (a.alert_below is null or a.available < a.alert_below or a.available - p_cost >= a.alert_below)
      and exists (select from account_access s
                  where s.root_id = p_root and s.account_id = p_account and s.app_id = p_app)
      -- Another charge under this key may be made while the row is waited for: the unique index sees it.
      and not exists (select from entry x where x.root_id = p_root and x.key_hash = p_key)
      and not exists (select from capped_api_key k where k.key_id = p_api_key)
    returning a.*
  ), counted as (
    insert into api_key_use as k (key_id, day, slot, charges, spent, last_at)
      select p_api_key, period_start('day', a.last_at), own_slot(), 1, p_cost, a.last_at
      from moved a where p_api_key is not null
      on conflict on constraint api_key_use_pkey do update
        set charges = k.charges + 1, spent = k.spent + p_cost, last_at = greatest(k.last_at, excluded.last_at)
  )
  insert into entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                     movement, total, app_id, key_hash, request_hash, operation_id, units, price_version, at, hash,
                     api_key_id)
    select a.root_id, a.account_id, a.seq, 2, p_cost, a.available, a.held, a.debt, a.head_lot, a.seq, p_cost,
      p_app, p_key, p_request, p_operation, p_units, p_version, a.last_at, a.head_hash, p_api_key
    from moved a
    returning * into e;
  -- Access may have ended while the row was waited for. Another statement sees that, and nobody ends it now.
  if e.seq is not null and not exists (
    select from account_access s where s.root_id = p_root and s.account_id = p_account and s.app_id = p_app
  ) then
    raise exception 'access to the account has ended since it was looked up: try again' using errcode = '40001';
  end if;
  return e;
end $$;

-- Locks the accounts of a batch, and the pools of the organisations they belong to, in their order:
-- two batches never wait for each other in a circle.
create or replace function creditd.lock_accounts(p_roots bigint[], p_accounts bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if cardinality(p_roots) = 1 and p_roots[1] = p_accounts[1] then
    perform from account a where a.root_id = p_roots[1] and a.account_id = p_accounts[1] for no key update;
    return;
  end if;
  perform from (
      select t.root, t.account from unnest(p_roots, p_accounts) t (root, account)
      union select t.root, t.root from unnest(p_roots, p_accounts) t (root, account) where t.root <> t.account
    ) k join account a on a.root_id = k.root and a.account_id = k.account
    order by k.root, k.account for no key update of a;
end $$;

-- Charges a batch. Its roots all live on `p_route`'s shard. `p_operation_of` says which of the names in
-- `p_operations`, with the model beside it in `p_models` (empty: none), each charge is for, `p_versions` which
-- price version it expects (0: any), and `p_api_keys` by which API key it is made (0: none). The answers are in
-- the order of the charges; where one has no number, it is 0. `o_by_models` is 1 where the price is that of the
-- charge's model alone.
create or replace function creditd.charge_batch(
  p_route bigint, p_roots bigint[], p_accounts bigint[], p_apps integer[], p_keys uuid[], p_requests uuid[],
  p_operations text[], p_models text[], p_operation_of integer[], p_units bigint[], p_versions integer[],
  p_api_keys integer[],
  out o_outcomes smallint[], out o_payers bigint[], out o_seqs bigint[], out o_versions integer[],
  out o_amounts bigint[], out o_availables bigint[], out o_debts bigint[], out o_times timestamptz[],
  out o_by_models smallint[]
)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_roots);
  i record; l record; k integer; c charge_outcome; e entry; v_price price;
  -- The prices in force, by the place of the operation's name: `v_units_max` is null where the price has tiers.
  v_operation integer[]; v_base bigint[]; v_per_unit bigint[]; v_version integer[]; v_units_max bigint[];
  v_tiered price[]; v_by_model smallint[];
  -- The account at hand.
  v_root bigint; v_account bigint; v_seq bigint; v_seq_before bigint; v_available bigint; v_spent bigint;
  v_alert bigint; v_available_before bigint;
  v_head bigint; v_left bigint; v_priority smallint; v_expires timestamptz;  -- the head, and its place in burn order
  v_hash bytea; v_last timestamptz; v_prefix bytea; v_now timestamptz;
  v_careful boolean;  -- whatever comes next of it is for charge_with_care
  -- The charge at hand and its legs.
  v_op integer; v_cost bigint; v_need bigint; v_movement bigint; v_said bytea; v_asked bytea;
  v_lots bigint[]; v_takes bigint[];
  -- What is to be written: w accounts, m entries, the lots used up; and what is for charge_with_care.
  w integer := 0; w_root bigint[]; w_account bigint[]; w_seq bigint[]; w_available bigint[]; w_spent bigint[];
  w_head bigint[]; w_left bigint[]; w_hash bytea[]; w_last timestamptz[];
  m integer := 0; m_item integer[]; m_root bigint[]; m_account bigint[]; m_seq bigint[]; m_amount bigint[];
  m_available bigint[]; m_held bigint[]; m_debt bigint[]; m_lot bigint[]; m_movement bigint[];
  m_at timestamptz[]; m_hash bytea[]; m_cost bigint[]; m_operation integer[]; m_version integer[];
  u integer := 0; u_root bigint[]; u_account bigint[]; u_lot bigint[];
  v_later integer[] := '{}'; v_low bigint[] := '{}';
  -- The families of API keys with caps, what these leave and when that ends; and the place of each charge's own.
  f integer; f_family integer[]; f_left bigint[]; f_taken bigint[]; f_renews timestamptz[]; f_good_until timestamptz[];
  f_of integer[]; v_cap record;
begin
  perform refuse_null('p_route p_roots p_accounts p_apps p_keys p_requests p_operation_of p_units p_versions '
    'p_api_keys p_operations p_models', array[p_route is null, lacks(p_roots, n), lacks(p_accounts, n),
    lacks(p_apps, n), lacks(p_keys, n), lacks(p_requests, n), lacks(p_operation_of, n), lacks(p_units, n),
    lacks(p_versions, n), lacks(p_api_keys, n), lacks(p_operations, cardinality(p_operations)),
    lacks(p_models, cardinality(p_operations))]);
  v_now := clock();
  for k in 1 .. cardinality(p_operations) loop
    if p_models[k] = '' then
      select p.* into v_price from price_of_any_model(p_operations[k], v_now) p;
    else
      select p.* into v_price from price_in_force(p_operations[k], p_models[k], v_now) p;
    end if;
    v_operation[k] := v_price.operation_id; v_base[k] := v_price.base; v_per_unit[k] := v_price.per_unit;
    v_version[k] := v_price.version; v_by_model[k] := (v_price.model <> '')::integer;
    if v_price.tier_above <> '{}' then
      v_tiered[k] := v_price; v_units_max[k] := null;
    else
      -- A charge takes at most 4e18: with all that an account may be granted it stays within a bigint.
      v_units_max[k] := (4000000000000000000 - v_price.base) / greatest(v_price.per_unit, 1);
    end if;
  end loop;
  if n = 1 and p_roots[1] = p_accounts[1] and p_versions[1] in (0, v_version[1]) then
    if p_units[1] between 1 and v_units_max[1] then
      v_cost := v_base[1] + v_per_unit[1] * p_units[1];
    else
      v_cost := cost_of(v_tiered[1], p_units[1]);
    end if;
    e := charge_at_once(p_roots[1], p_accounts[1], p_apps[1], p_keys[1], p_requests[1], v_cost,
                        v_operation[1], p_units[1], v_version[1], nullif(p_api_keys[1], 0));
    if e.seq is not null then
      o_outcomes := '{1}'; o_payers := p_accounts; o_seqs := array[e.seq]; o_versions := v_version;
      o_amounts := array[v_cost]; o_availables := array[e.available_after]; o_debts := array[e.debt_after];
      o_times := array[e.at]; o_by_models := v_by_model;
      return;
    end if;
  end if;
  perform lock_accounts(p_roots, p_accounts);
  if exists (select from capped_api_key x where x.key_id = any (p_api_keys)) then
    for l in select distinct x.family from capped_api_key x where x.key_id = any (p_api_keys) order by 1 loop
      select x.* into v_cap from cap_left(l.family) x;
      f_family := f_family || l.family; f_left := f_left || v_cap.available; f_taken := f_taken || 0::bigint;
      f_renews := f_renews || v_cap.renews; f_good_until := f_good_until || v_cap.good_until;
    end loop;
    f_of := (select array_agg(array_position(f_family, x.family) order by t.no)
             from unnest(p_api_keys) with ordinality t (key_id, no) left join capped_api_key x using (key_id));
  end if;
  o_outcomes := array_fill(0::smallint, array[n]); o_payers := array_fill(0::bigint, array[n]);
  o_seqs := o_payers; o_amounts := o_payers; o_availables := o_payers; o_debts := o_payers;
  o_versions := array_fill(0, array[n]); o_by_models := o_outcomes; o_times := array_fill('epoch'::timestamptz, array[n]);

  for i in
    -- A statement of its own: it sees what the locks were waited for. Past the last charge there is
    -- one row more, which ends the last account.
    select t.no, p_roots[t.no] as root, p_accounts[t.no] as account, p_operation_of[t.no] as op,
      p_units[t.no] as units, p_versions[t.no] as version, a.status, a.kind, a.available, a.held, a.debt, a.spent, a.seq, a.head_lot, a.head_left, a.valid_until,
      a.is_special, a.alert_below, a.head_hash, a.last_at, x.seq as known, x.account_id as known_account,
      s.app_id is not null as reaches
    from generate_series(1, n + 1) t (no)
      left join account a on a.root_id = p_roots[t.no] and a.account_id = p_accounts[t.no]
      left join account_access s
        on s.root_id = p_roots[t.no] and s.account_id = p_accounts[t.no] and s.app_id = p_apps[t.no]
      left join entry x on x.root_id = p_roots[t.no] and x.key_hash = p_keys[t.no]
    order by p_roots[t.no] nulls last, p_accounts[t.no], t.no
  loop
    if i.root is distinct from v_root or i.account is distinct from v_account then
      if v_seq > v_seq_before then
        w := w + 1; w_root[w] := v_root; w_account[w] := v_account; w_seq[w] := v_seq;
        w_available[w] := v_available; w_spent[w] := v_spent; w_head[w] := v_head; w_left[w] := v_left;
        w_hash[w] := v_hash; w_last[w] := v_last;
        if v_available < v_alert and v_available_before >= v_alert then v_low := v_low || w::bigint; end if;
      end if;
      exit when i.root is null;
      v_root := i.root; v_account := i.account; v_seq := i.seq; v_seq_before := i.seq;
      v_available := i.available; v_available_before := i.available; v_alert := i.alert_below;
      v_spent := i.spent; v_head := i.head_lot; v_left := i.head_left; v_priority := null;
      v_hash := i.head_hash; v_last := i.last_at; v_prefix := int8send(v_root) || int8send(v_account);
      v_careful := i.is_special or i.kind = 'member';
    end if;

    -- What may refuse: no access before all else, then a known key before whatever has changed since.
    if not i.reaches then o_outcomes[i.no] := 5; continue; end if;
    if i.known is not null then
      select (charge_as_made(x, p_requests[i.no])).* into c from entry x
        where x.root_id = v_root and x.account_id = i.known_account and x.seq = i.known;
      o_outcomes[i.no] := outcome_number(c.outcome);
      if c.outcome = 'replayed' then
        o_payers[i.no] := c.payer; o_seqs[i.no] := c.seq; o_versions[i.no] := c.price_version;
        o_amounts[i.no] := c.amount; o_availables[i.no] := c.available; o_debts[i.no] := c.debt;
        o_times[i.no] := c.at;
        o_by_models[i.no] := (
          select count(*) from entry x join price p on p.operation_id = x.operation_id and p.version = x.price_version
          where x.root_id = v_root and x.account_id = i.known_account and x.seq = i.known and p.model <> '');
      end if;
      continue;
    end if;
    if i.status <> 'open' then o_outcomes[i.no] := 9; continue; end if;
    v_op := i.op;
    if v_operation[v_op] is null then
      o_outcomes[i.no] := outcome_number(why_unpriced(p_operations[v_op], v_now)); continue;
    end if;
    o_versions[i.no] := v_version[v_op];
    if i.version <> 0 and i.version <> v_version[v_op] then o_outcomes[i.no] := 7; continue; end if;
    if i.units between 1 and v_units_max[v_op] then
      v_cost := v_base[v_op] + v_per_unit[v_op] * i.units;
    else
      v_cost := cost_of(v_tiered[v_op], i.units);
    end if;
    if v_cost is null or v_cost > 4000000000000000000 or v_cost > 5000000000000000000 - v_spent then
      o_outcomes[i.no] := 8; continue;
    end if;
    o_amounts[i.no] := v_cost; o_by_models[i.no] := v_by_model[v_op];
    v_now := clock();  -- one moment for what may pay and for when it did
    f := f_of[i.no];
    if f is not null then
      perform refuse_next_period(v_now, f_good_until[f]);
      if v_cost > f_left[f] then
        o_outcomes[i.no] := 11; o_availables[i.no] := f_left[f]; o_times[i.no] := f_renews[f]; continue;
      end if;
    end if;
    if v_careful or i.valid_until <= v_now or (v_available < v_cost and i.held > 0 and exists (
         select from reservation y where y.root_id = v_root and y.account_id = v_account and y.state = 'open'
           and y.expires_at <= v_now)) then
      v_careful := true; v_later := v_later || i.no; continue;
    end if;
    if v_available < v_cost then
      -- What comes into effect later is not there yet; no charge of this batch has touched it.
      o_outcomes[i.no] := 3; o_debts[i.no] := i.debt; o_availables[i.no] := v_available;
      if i.valid_until < 'infinity' then
        o_availables[i.no] := v_available - coalesce((
          select sum(y.remaining) from lot y
          where y.root_id = v_root and y.account_id = v_account and y.remaining > 0 and y.effective_at > v_now), 0);
      end if;
      continue;
    end if;

    -- The legs: the head's, and where it does not cover the cost, those of the lots that come next.
    v_need := v_cost - least(v_left, v_cost);
    if v_need = 0 then
      v_lots := array[case when v_cost > 0 then v_head end]; v_takes := array[v_cost];
    else
      v_lots := '{}'; v_takes := '{}';
      if v_left > 0 then v_lots := array[v_head]; v_takes := array[v_left]; end if;
      if v_head is not null and v_priority is null then
        select y.priority, y.expires_at into strict v_priority, v_expires from lot y
          where y.root_id = v_root and y.account_id = v_account and y.lot_no = v_head;
      end if;
      for l in
        select y.lot_no, y.remaining, y.priority, y.expires_at from lot y
        where y.root_id = v_root and y.account_id = v_account and y.remaining > 0 and y.effective_at <= v_now
          and (y.priority, y.expires_at, y.lot_no)
            > (coalesce(v_priority, -1), coalesce(v_expires, '-infinity'), coalesce(v_head, 0))
        order by y.priority, y.expires_at, y.lot_no
      loop
        v_lots := v_lots || l.lot_no; v_takes := v_takes || least(l.remaining, v_need);
        v_need := v_need - least(l.remaining, v_need);
        exit when v_need = 0;
      end loop;
      if v_need > 0 then v_careful := true; v_later := v_later || i.no; continue; end if;
      if v_head is not null and v_left = 0 then
        u := u + 1; u_root[u] := v_root; u_account[u] := v_account; u_lot[u] := v_head;
      end if;
      for k in 1 .. cardinality(v_lots) - 1 loop
        u := u + 1; u_root[u] := v_root; u_account[u] := v_account; u_lot[u] := v_lots[k];
      end loop;
      v_head := l.lot_no; v_left := l.remaining; v_priority := l.priority; v_expires := l.expires_at;
    end if;
    v_left := v_left - v_takes[cardinality(v_takes)];

    v_movement := v_seq + 1;
    v_said := charge_says(v_cost, p_apps[i.no], v_operation[v_op], p_units[i.no], v_version[v_op]);
    v_asked := asked_by(p_keys[i.no], p_requests[i.no], nullif(p_api_keys[i.no], 0));
    for k in 1 .. cardinality(v_lots) loop
      v_seq := v_seq + 1; v_available := v_available - v_takes[k]; v_spent := v_spent + v_takes[k];
      v_last := greatest(v_now, v_last + interval '1 microsecond');  -- the clock may step back
      v_hash := leg_hash(v_hash, v_prefix, v_seq, v_takes[k], v_available, i.held, i.debt, v_lots[k], v_movement,
                         v_said, v_last, v_asked);
      m := m + 1; m_root[m] := v_root; m_account[m] := v_account; m_seq[m] := v_seq; m_amount[m] := v_takes[k];
      m_available[m] := v_available; m_held[m] := i.held; m_debt[m] := i.debt; m_lot[m] := v_lots[k];
      m_movement[m] := v_movement; m_at[m] := v_last; m_hash[m] := v_hash;
      if k = 1 then  -- the first entry says who asked for what, under which key
        m_item[m] := i.no; m_cost[m] := v_cost; m_operation[m] := v_operation[v_op]; m_version[m] := v_version[v_op];
        o_outcomes[i.no] := 1; o_payers[i.no] := v_account; o_seqs[i.no] := v_seq; o_debts[i.no] := i.debt;
        o_times[i.no] := v_last; v_said := says_nothing(); v_asked := asks_nothing();
      else
        m_item[m] := null; m_cost[m] := null; m_operation[m] := null; m_version[m] := null;
      end if;
    end loop;
    o_availables[i.no] := v_available;
    if f is not null then f_left[f] := f_left[f] - v_cost; f_taken[f] := f_taken[f] + v_cost; end if;
  end loop;

  update account a set seq = w_seq[t.no], available = w_available[t.no], spent = w_spent[t.no],
      head_lot = w_head[t.no], head_left = w_left[t.no], head_hash = w_hash[t.no], last_at = w_last[t.no]
    from generate_series(1, w) t (no) where a.root_id = w_root[t.no] and a.account_id = w_account[t.no];
  if u > 0 then
    update lot y set remaining = 0 from generate_series(1, u) t (no)
      where y.root_id = u_root[t.no] and y.account_id = u_account[t.no] and y.lot_no = u_lot[t.no];
  end if;
  insert into entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                     movement, total, app_id, key_hash, request_hash, operation_id, units, price_version, at, hash,
                     api_key_id)
    select m_root[t.no], m_account[t.no], m_seq[t.no], 2, m_amount[t.no], m_available[t.no], m_held[t.no],
      m_debt[t.no], m_lot[t.no], m_movement[t.no], m_cost[t.no], p_apps[m_item[t.no]], p_keys[m_item[t.no]],
      p_requests[m_item[t.no]], m_operation[t.no], p_units[m_item[t.no]], m_version[t.no], m_at[t.no], m_hash[t.no],
      nullif(p_api_keys[m_item[t.no]], 0)
    from generate_series(1, m) t (no);
  foreach k in array v_low loop
    perform announce(w_root[k], w_account[k], 'balance.low', jsonb_build_object('available', w_available[k], 'below',
      (select x.alert_below from account x where x.root_id = w_root[k] and x.account_id = w_account[k])));
  end loop;

  foreach k in array v_later loop
    f := f_of[k];
    if o_amounts[k] > f_left[f] then  -- by now: a charge before it took what was left
      o_outcomes[k] := 11; o_availables[k] := f_left[f]; o_times[k] := f_renews[f]; continue;
    end if;
    if p_roots[k] = p_accounts[k] then
      c := charge_with_care(p_roots[k], p_accounts[k], p_apps[k], p_keys[k], p_requests[k], o_amounts[k],
                            v_operation[p_operation_of[k]], p_units[k], v_version[p_operation_of[k]],
                            nullif(p_api_keys[k], 0), null);
    else
      c := charge_of_member(p_roots[k], p_accounts[k], p_apps[k], p_keys[k], p_requests[k], o_amounts[k],
                            v_operation[p_operation_of[k]], p_units[k], v_version[p_operation_of[k]],
                            nullif(p_api_keys[k], 0));
    end if;
    o_outcomes[k] := outcome_number(c.outcome); o_payers[k] := coalesce(c.payer, 0);
    o_seqs[k] := coalesce(c.seq, 0); o_availables[k] := coalesce(c.available, 0);
    o_debts[k] := coalesce(c.debt, 0); o_times[k] := coalesce(c.at, 'epoch');
    if f is not null and c.outcome = 'charged' then
      perform refuse_next_period(c.at, f_good_until[f]);
      f_left[f] := f_left[f] - o_amounts[k]; f_taken[f] := f_taken[f] + o_amounts[k];
    end if;
  end loop;

  for f in 1 .. coalesce(cardinality(f_family), 0) loop
    perform cap_take(f_family[f], f_taken[f], f_good_until[f] - interval '1 microsecond');
  end loop;
  if 0 < any (p_api_keys) then
    insert into api_key_use as k (key_id, day, slot, charges, spent, last_at)
      select p_api_keys[t.no], period_start('day', o_times[t.no]), own_slot(), count(*), sum(o_amounts[t.no]),
        max(o_times[t.no])
      from generate_series(1, n) t (no) where o_outcomes[t.no] = 1 and p_api_keys[t.no] > 0 group by 1, 2 order by 1, 2
      on conflict on constraint api_key_use_pkey do update set charges = k.charges + excluded.charges,
        spent = k.spent + excluded.spent, last_at = greatest(k.last_at, excluded.last_at);
  end if;
end $$;
