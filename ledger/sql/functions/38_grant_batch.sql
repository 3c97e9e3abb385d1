-- What a chain's events earn, in bulk: accounts are locked and read in one go, every grant is decided in
-- memory in the order of its account's events, and what was decided is written in bulk. Caps, debts and
-- whatever else a grant may meet are for `grant_event`, one by one.

-- Grants what is pending above block `p_after` and up to `p_to`, or of that what stakes accrued only. If any event
-- of the chain `p_waits`, not those that do, but those that are due by then. Returns how many events.
create or replace function creditd.grant_events(
  p_chain bigint, p_after bigint, p_to bigint, p_accruals_only boolean, p_waits boolean
) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c_null constant bytea := int8send(-1);
  c_null_8 constant bytea := c_null || c_null || c_null || c_null || c_null || c_null || c_null || c_null;
  c_grant constant bytea := int8send(1);
  n integer; k integer; i record; g record; v_now timestamptz;
  -- The events, in the order of accounts and on each as the chain has them, or as they are due.
  v_events bigint[]; v_dues bigint[]; v_roots bigint[]; v_accounts bigint[]; v_rules integer[]; v_sources text[]; v_causes bytea[];
  v_incarnations integer[]; v_credits bigint[]; v_expires timestamptz[]; v_priorities smallint[];
  v_keys uuid[]; v_plain boolean[]; v_may_go_on boolean;
  v_onto bigint[] := '{}';  -- accounts that others' credits go on to
  -- The account at hand; of its head, the place in burn order.
  v_root bigint; v_account bigint; v_seq bigint; v_seq_before bigint; v_available bigint; v_granted bigint; v_room bigint;
  v_head bigint; v_left bigint; v_head_priority smallint; v_head_expires timestamptz; v_valid timestamptz;
  v_hash bytea; v_last timestamptz; v_prefix bytea; v_held_debt bytea;
  v_careful boolean;  -- whatever comes next of it is for grant_event
  v_amount bigint; v_said bytea; v_no bytea; v_key bytea;
  v_item integer;     -- its last event with an entry
  -- What is to be written: an entry and a lot for each event that has a number, the account as its last one
  -- leaves it, heads put back; and what is for grant_event.
  m_seq bigint[]; m_available bigint[]; m_granted bigint[]; m_held bigint[]; m_at timestamptz[]; m_hash bytea[];
  m_head bigint[]; m_left bigint[]; m_valid timestamptz[]; m_is_last boolean[];
  u integer := 0; u_root bigint[]; u_account bigint[]; u_lot bigint[]; u_left bigint[];
  v_later integer[] := '{}';
begin
  select array_agg(x.event_no), array_agg(x.due), array_agg(x.root), array_agg(x.account), array_agg(x.rule_id), array_agg(x.source),
      array_agg(x.cause), array_agg(x.incarnation), array_agg(x.credits), array_agg(x.expires), array_agg(x.priority),
      array_agg(grant_key(x.account, x.rule_id, x.cause, x.incarnation)), array_agg(x.plain),
      bool_or(x.incarnation > 1 or x.root <> x.account)
    into v_events, v_dues, v_roots, v_accounts, v_rules, v_sources, v_causes, v_incarnations, v_credits, v_expires,
      v_priorities, v_keys, v_plain, v_may_go_on
    from (select * from (
            select * from events_to_grant(p_chain, p_after, p_to, p_accruals_only, p_waits)
            union all
            select * from events_due(p_chain, p_to) where p_waits) e
          order by e.root, e.account, e.due, e.block_number, e.log_index, e.role) x;
  n := coalesce(cardinality(v_events), 0);
  -- What an account is granted that was linked since, or a member that has left, goes on to another one.
  if v_may_go_on then
    perform lock_with_links(v_roots, v_accounts);
    -- There it takes its place among what that one earns itself, in the order of the chain.
    select coalesce(array_agg(o.account), '{}') into v_onto
      from (select distinct t.root, t.account from unnest(v_roots, v_accounts) t (root, account)) t
        join account a on a.root_id = t.root and a.account_id = t.account cross join lateral goes_on_to(a) o
      where o.account is not null;
  end if;
  -- Filled, so that what is for an event is in its place whichever comes first.
  m_seq := array_fill(null::bigint, array[n]); m_available := m_seq; m_granted := m_seq; m_held := m_seq;
  m_head := m_seq; m_left := m_seq; m_at := array_fill(null::timestamptz, array[n]); m_valid := m_at;
  m_hash := array_fill(null::bytea, array[n]); m_is_last := array_fill(false, array[n]);

  for i in
    -- Accounts are locked in their order, as charges lock them; whoever was waited for has written what
    -- is read here.
    select t.no, t.root, t.account, t.credits, t.expires, t.priority, t.key, t.plain,
      a.available, a.held, a.debt, a.granted, a.moved, a.line, a.status, a.seq, a.head_lot, a.head_left, a.valid_until, a.is_special,
      a.head_hash, a.last_at, h.lot_no as head_of,
      h.priority as head_priority, h.expires_at as head_expires
    from unnest(v_roots, v_accounts, v_credits, v_expires, v_priorities, v_keys, v_plain)
        with ordinality t (root, account, credits, expires, priority, key, plain, no)
      join account a on a.root_id = t.root and a.account_id = t.account
      -- The limit has it looked up by its whole key: of a join, a planner without statistics takes a part.
      left join lateral (
        select x.lot_no, x.priority, x.expires_at from lot x
        where x.root_id = a.root_id and x.account_id = a.account_id and x.lot_no = a.head_lot limit 1) h on true
    order by t.no for no key update of a
  loop
    if i.account is distinct from v_account then
      if v_item is not null then m_is_last[v_item] := true; v_item := null; end if;
      v_root := i.root; v_account := i.account; v_seq := i.seq; v_seq_before := i.seq;
      v_available := i.available; v_granted := i.granted; v_head := i.head_lot; v_left := i.head_left;
      v_head_priority := i.head_priority; v_head_expires := i.head_expires; v_valid := i.valid_until;
      v_hash := i.head_hash; v_last := i.last_at; v_prefix := int8send(v_root) || int8send(v_account);
      v_held_debt := int8send(i.held) || int8send(i.debt);
      v_careful := i.debt > 0 or i.line > 0 or i.is_special or i.status = 'closed' or i.valid_until <= clock()
        or i.account = any (v_onto);
      v_room := most_credits() - i.granted - greatest(0, i.moved + i.line);  -- as `grantable` says
      if v_head is distinct from i.head_of then  -- another head, since the statement began
        select y.priority, y.expires_at into v_head_priority, v_head_expires from lot y
          where y.root_id = v_root and y.account_id = v_account and y.lot_no = v_head;
      end if;
    end if;
    v_amount := i.credits; k := i.no;
    -- The books' own cap keeps every balance within a bigint: one account must not stop a chain.
    if v_careful or not i.plain or v_amount > v_room then
      v_careful := true; v_later := v_later || k; continue;
    end if;
    if v_amount = 0 then continue; end if;
    v_item := k; v_seq := v_seq + 1; v_available := v_available + v_amount; v_granted := v_granted + v_amount;
    v_room := v_room - v_amount;
    v_now := clock();
    v_last := greatest(v_now, v_last + interval '1 microsecond');  -- the clock may step back
    v_no := int8send(v_seq); v_said := int8send(v_amount); v_key := uuid_send(i.key);
    v_hash := sha256(v_hash || v_prefix || v_no || c_grant || v_said || int8send(v_available) || v_held_debt
      || v_no || v_no || v_said || c_null_8 || timestamptz_send(v_last) || v_key || v_key);
    if i.expires < v_valid then v_valid := i.expires; end if;
    -- The newest lot comes before the head only by priority or by ending sooner.
    if (v_head is null or (i.priority, i.expires) < (v_head_priority, v_head_expires)) and i.expires > v_now then
      if v_head <= v_seq_before then
        u := u + 1; u_root[u] := v_root; u_account[u] := v_account; u_lot[u] := v_head; u_left[u] := v_left;
      end if;
      v_head := v_seq; v_left := v_amount; v_head_priority := i.priority; v_head_expires := i.expires;
    end if;
    v_careful := i.expires <= v_now;  -- what is over already ends before the next grant
    m_seq[k] := v_seq; m_available[k] := v_available; m_granted[k] := v_granted; m_held[k] := i.held;
    m_at[k] := v_last; m_hash[k] := v_hash; m_head[k] := v_head; m_left[k] := v_left; m_valid[k] := v_valid;
  end loop;
  if v_item is not null then m_is_last[v_item] := true; end if;

  insert into entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                     movement, total, key_hash, request_hash, at, hash)
    select t.root, t.account, t.seq, 1, t.credits, t.available, t.held, 0, t.seq, t.seq, t.credits, t.key, t.key,
      t.at, t.hash
    from unnest(v_roots, v_accounts, m_seq, v_credits, m_available, m_held, v_keys, m_at, m_hash)
      t (root, account, seq, credits, available, held, key, at, hash)
    where t.seq is not null;
  insert into lot (root_id, account_id, lot_no, source, rule_id, cause, incarnation, amount, remaining, priority,
                   expires_at, created_at)
    select t.root, t.account, t.seq, t.source, t.rule, t.cause, t.incarnation, t.credits, t.credits, t.priority,
      t.expires, t.at
    from unnest(v_roots, v_accounts, m_seq, v_sources, v_rules, v_causes, v_incarnations, v_credits, v_priorities,
                v_expires, m_at)
      t (root, account, seq, source, rule, cause, incarnation, credits, priority, expires, at)
    where t.seq is not null;
  if u > 0 then
    update lot y set remaining = t.left from unnest(u_root, u_account, u_lot, u_left) t (root, account, lot, "left")
      where y.root_id = t.root and y.account_id = t.account and y.lot_no = t.lot;
  end if;
  update account a set seq = t.seq, available = t.available, granted = t.granted, head_lot = t.head,
      head_left = t.left, valid_until = t.valid, head_hash = t.hash, last_at = t.at
    from unnest(v_roots, v_accounts, m_seq, m_available, m_granted, m_head, m_left, m_valid, m_hash, m_at, m_is_last)
      t (root, account, seq, available, granted, head, "left", valid, hash, at, is_last)
    where a.root_id = t.root and a.account_id = t.account and t.is_last;
  if is_heard('grant.confirmed') then
    perform announce_many(array_agg(t.root), array_agg(t.account), array_agg('grant.confirmed'::text),
                          array_agg(grant_said(t.lot, t.source, t.credits, t.cause, t.expires)))
      from unnest(v_roots, v_accounts, m_seq, v_sources, v_credits, v_causes, v_expires)
        t (root, account, lot, source, credits, cause, expires)
      where t.lot is not null;
  end if;
  -- In the order of the chain: caps that all accounts share are for who comes first.
  for k in
    select t.k from unnest(v_later) t (k) join event e on e.event_no = v_events[t.k]
    order by v_dues[t.k], e.block_number, e.log_index, e.role
  loop
    select x.o_lot, x.o_granted into strict g from event e join rule r on r.rule_id = e.rule_id
      cross join lateral grant_event(v_roots[k], v_accounts[k], e, r) x where e.event_no = v_events[k];
    m_seq[k] := g.o_lot; v_credits[k] := g.o_granted;
  end loop;
  update event e set state = 'confirmed', root_id = t.root, account_id = t.account, lot_no = t.lot, granted = t.granted
    from unnest(v_events, v_roots, v_accounts, m_seq, v_credits) t (event_no, root, account, lot, granted)
    where e.event_no = t.event_no;
  if p_waits then delete from waiting_event y where y.event_no = any (v_events); end if;
  if n > 0 then perform tell_changed(v_roots, v_accounts); end if;
  return n;
end $$;

-- What is to be known of an event that is granted with the block `p_due`. What is not plain is for `grant_event`.
create or replace function creditd.as_granted(e creditd.event, w creditd.wallet, r creditd.rule, p_due bigint)
returns table (
  event_no bigint, due bigint, root bigint, account bigint, block_number bigint, log_index integer, role smallint,
  rule_id integer, source text, cause bytea, incarnation integer, credits bigint, expires timestamptz,
  priority smallint, plain boolean
)
language sql stable
begin atomic
  select (e).event_no, p_due, coalesce((e).root_id, (w).linked_root, (w).root_id),
    coalesce((e).account_id, (w).linked_account, (w).account_id), (e).block_number, (e).log_index, (e).role, (e).rule_id,
    (r).source, creditd.event_cause(e), (e).incarnation, (e).credits, creditd.lot_end((e).block_time, (r).expires_days),
    (r).priority,
    (e).incarnation = 1 and num_nonnulls(creditd.cap_day(r, (e).block_time), (r).operations) = 0;
end;

-- The pending events above block `p_after` and up to `p_to`, without those that wait, if any of the chain does. No
-- link comes or goes while its wallet's row is held, so whose they are stays decided.
create or replace function creditd.events_to_grant(
  p_chain bigint, p_after bigint, p_to bigint, p_accruals_only boolean, p_waits boolean
) returns table (
  event_no bigint, due bigint, root bigint, account bigint, block_number bigint, log_index integer, role smallint,
  rule_id integer, source text, cause bytea, incarnation integer, credits bigint, expires timestamptz,
  priority smallint, plain boolean
)
language sql volatile
begin atomic
  select g.*
  from creditd.event e join creditd.wallet w on w.chain_id = e.chain_id and w.address = e.wallet
    join creditd.rule r on r.rule_id = e.rule_id
    cross join lateral creditd.as_granted(e, w, r, e.block_number) g
  where e.chain_id = p_chain and e.block_number > p_after and e.block_number <= p_to and e.state = 'pending'
    and (e.ordinal = -1 or not p_accruals_only)
    and (not p_waits or not exists (select from creditd.waiting_event y where y.event_no = e.event_no))
  for share of w;
end;

-- The events that wait for a block up to `p_to`; whose they are stays decided, too.
create or replace function creditd.events_due(p_chain bigint, p_to bigint) returns table (
  event_no bigint, due bigint, root bigint, account bigint, block_number bigint, log_index integer, role smallint,
  rule_id integer, source text, cause bytea, incarnation integer, credits bigint, expires timestamptz,
  priority smallint, plain boolean
)
language sql volatile
begin atomic
  select g.*
  from creditd.waiting_event y
    -- The limit has each looked up by its key, however many a planner thinks there are.
    cross join lateral (select x as event from creditd.event x where x.event_no = y.event_no limit 1) v
    join creditd.wallet w on w.chain_id = y.chain_id and w.address = y.wallet
    join creditd.rule r on r.rule_id = (v.event).rule_id
    cross join lateral creditd.as_granted(v.event, w, r, y.due_number) g
  where y.chain_id = p_chain and y.due_number <= p_to and (v.event).state = 'pending'
  for share of w;
end;
