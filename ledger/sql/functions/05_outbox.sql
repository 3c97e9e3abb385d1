-- What others are to hear of is written with what happened, in the same transaction, and only where
-- somebody asked for it. Whoever announces holds the account: its messages are in the order of its entries.

-- Whether anybody is to hear of a topic, for who would otherwise assemble what nobody reads.
create or replace function creditd.is_heard(p_topic text) returns boolean
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  return exists (select from receiver r where r.left_at is null and p_topic = any (r.topics));
end $$;

-- Amounts in a body are numbers of micro-credits.
create or replace function creditd.announce(p_root bigint, p_account bigint, p_topic text, p_body jsonb) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if not is_heard(p_topic) then return; end if;
  perform announce_many(array[p_root], array[p_account], array[p_topic], array[p_body]);
end $$;

-- The same for many at once, those of one account in the order given.
-- The setting: a plan made while the tables were empty must not scan them when they are full.
create or replace function creditd.announce_many(
  p_roots bigint[], p_accounts bigint[], p_topics text[], p_bodies jsonb[]
) returns void
language plpgsql set search_path = creditd, pg_temp set enable_seqscan = off as $$
declare v_now timestamptz := clock();
begin
  if not exists (select from receiver r where r.left_at is null and r.topics && p_topics) then return; end if;
  with heard as (
    select t.root, t.account, t.topic, t.body, t.no, e.seq, coalesce(m.place, 0) as before
    from unnest(p_roots, p_accounts, p_topics, p_bodies) with ordinality t (root, account, topic, body, no)
      left join lateral (
        select x.seq from entry x where x.root_id = t.root and x.account_id = t.account
        order by x.seq desc limit 1) e on true
      left join lateral (
        select x.place from message x
        where x.root_id = t.root and x.account_id = t.account and x.seq = coalesce(e.seq, 0)
        order by x.place desc limit 1) m on true
    where exists (select from receiver r where r.left_at is null and t.topic = any (r.topics))
  ), named as materialized (  -- a message is one, however many hear it
    select h.*, h.before + row_number() over (partition by h.root, h.account order by h.no) as place,
      gen_random_uuid() as id
    from heard h
  )
  insert into message (root_id, account_id, seq, place, receiver_id, message_id, topic, body, at, next_try_at)
    select n.root, n.account, coalesce(n.seq, 0), n.place, r.receiver_id, n.id, n.topic, n.body, v_now, v_now
    from named n join receiver r on r.left_at is null and n.topic = any (r.topics);
  if found then perform pg_notify('creditd_outbox', ''); end if;
end $$;

-- Tells of an account that falls below its threshold. Before its row is written: that still says what
-- was available before.
create or replace function creditd.tell_if_low(a creditd.account) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if a.alert_below is null or a.available >= a.alert_below then return; end if;
  if exists (
    select from account x
    where x.root_id = a.root_id and x.account_id = a.account_id and x.available >= a.alert_below
  ) then
    perform announce(a.root_id, a.account_id, 'balance.low',
                     jsonb_build_object('available', a.available, 'below', a.alert_below));
  end if;
end $$;

-- Sets what an account is told of falling below; null: it is not. Whoever is below already is told at
-- the next crossing. Says whether there is such an account.
create or replace function creditd.set_alert(p_root bigint, p_account bigint, p_below bigint) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_root p_account', array[p_root is null, p_account is null]);
  if p_below < 1 then
    raise exception 'nothing falls below %', p_below using errcode = '22023';
  end if;
  update account a set alert_below = p_below where a.root_id = p_root and a.account_id = p_account;
  return found;
end $$;

-- Makes the named receivers (topics separated by blanks) those that are written for; others no more.
create or replace function creditd.enter_receivers(p_names text[], p_topics text[])
returns table (name text, receiver_id integer)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
begin
  perform refuse_null('p_names p_topics',
    array[lacks(p_names, cardinality(p_names)), lacks(p_topics, cardinality(p_names))]);
  -- One at a time: two programs that start together enter the same receivers.
  perform pg_advisory_xact_lock(hashtextextended('creditd receivers', 0));
  update receiver r set left_at = clock() where r.left_at is null and r.name <> all (p_names);
  insert into receiver as r (name, topics)
    select t.name, string_to_array(t.topics, ' ') from unnest(p_names, p_topics) t (name, topics)
    on conflict on constraint receiver_name_is_one do update set topics = excluded.topics, left_at = null
      where r.left_at is not null or r.topics <> excluded.topics;
  return query select r.name, r.receiver_id from receiver r where r.name = any (p_names);
end $$;

-- Makes the caller's session the one that delivers to the receiver, for as long as it lasts. Two would
-- overtake each other. False while another one does.
create or replace function creditd.lead_receiver(p_receiver integer) returns boolean
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_receiver', array[p_receiver is null]);
  return pg_try_advisory_lock(hashtextextended('creditd delivers to receiver ' || p_receiver, 0));
end $$;

-- What is to be delivered now: of at most `p_accounts` accounts the first `p_each` messages, in their
-- order. While the first of an account waits for its next try, those after it wait with it. Where few
-- accounts have all that has been due longest, others join by chance: nobody waits behind one's flood.
-- The settings: as above.
create or replace function creditd.due_messages(p_receiver integer, p_accounts integer, p_each integer)
returns setof creditd.message
language plpgsql security definer set search_path = creditd, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_now timestamptz := clock();
  v_root bigint;
  v_account bigint;
  v_first timestamptz;
  v_count integer := 0;
  v_looked bigint := 0;
  v_of bigint;
  v_met bigint[] := '{}';
begin
  perform refuse_null('p_receiver p_accounts p_each', array[p_receiver is null, p_accounts is null, p_each is null]);
  if not exists (select from receiver r where r.receiver_id = p_receiver and r.left_at is null) then return; end if;
  for v_root, v_account, v_of in
    select d.root_id, d.account_id, count(*) from (
      select m.root_id, m.account_id, m.next_try_at from message m
      where m.receiver_id = p_receiver and m.state = 'waiting' and m.next_try_at <= v_now
      order by m.next_try_at limit p_accounts * p_each) d
    group by d.root_id, d.account_id order by min(d.next_try_at)
  loop
    v_looked := v_looked + v_of; v_met := v_met || v_account;
    select m.next_try_at into v_first from message m
      where m.receiver_id = p_receiver and m.state = 'waiting' and m.root_id = v_root and m.account_id = v_account
      order by m.seq, m.place limit 1;
    if v_first > v_now then
      update message m set next_try_at = v_first
        where m.receiver_id = p_receiver and m.state = 'waiting' and m.root_id = v_root
          and m.account_id = v_account and m.next_try_at < v_first;
      continue;
    end if;
    return query select * from message m
      where m.receiver_id = p_receiver and m.state = 'waiting' and m.root_id = v_root and m.account_id = v_account
      order by m.seq, m.place limit p_each;
    v_count := v_count + 1;
    exit when v_count = p_accounts;
  end loop;
  if v_count = p_accounts or v_looked < p_accounts * p_each then return; end if;
  for v_root, v_account in
    select o.root, o.account from accounts_from(p_receiver, new_id(), p_accounts) o
    where o.first <= v_now and o.account <> all (v_met) limit p_accounts - v_count
  loop
    return query select * from message m
      where m.receiver_id = p_receiver and m.state = 'waiting' and m.root_id = v_root and m.account_id = v_account
      order by m.seq, m.place limit p_each;
  end loop;
end $$;

-- The accounts that something waits for, at most so many: those whose roots come after `p_root`, then from
-- the least on. `first` is when the first message of each is due. Each costs one look, however many wait.
create or replace function creditd.accounts_from(p_receiver integer, p_root bigint, p_limit integer)
returns table (root bigint, account bigint, first timestamptz)
language plpgsql stable set search_path = creditd, pg_temp set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  v_again boolean := false;
begin
  root := p_root; account := 0;
  for k in 0 .. p_limit loop
    select m.root_id, m.account_id, m.next_try_at into root, account, first from message m
      where m.receiver_id = p_receiver and m.state = 'waiting' and (m.root_id, m.account_id) > (root, account)
      order by m.root_id, m.account_id, m.seq, m.place limit 1;
    if found then
      exit when v_again and root > p_root;
      return next;
    else
      exit when v_again;
      v_again := true; root := -1; account := 0;
    end if;
  end loop;
end $$;

-- In how many seconds the next message is due; null if none waits.
create or replace function creditd.next_message_in(p_receiver integer) returns double precision
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_receiver', array[p_receiver is null]);
  return (
    select extract(epoch from min(m.next_try_at) - clock()) from message m
    where m.receiver_id = p_receiver and m.state = 'waiting');
end $$;

-- Writes down what came of tries: delivered, dead, or waiting for another one in so many seconds.
create or replace function creditd.end_messages(
  p_receiver integer, p_roots bigint[], p_accounts bigint[], p_seqs bigint[], p_places integer[],
  p_states text[], p_said text[], p_waits double precision[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  n constant integer := cardinality(p_roots);
  v_now timestamptz := clock();
begin
  perform refuse_null('p_receiver p_roots p_accounts p_seqs p_places p_states p_waits',
    array[p_receiver is null, lacks(p_roots, n), lacks(p_accounts, n), lacks(p_seqs, n), lacks(p_places, n),
    lacks(p_states, n), lacks(p_waits, n)]);
  for k in 1 .. cardinality(p_roots) loop
    update message m set state = p_states[k], tries = m.tries + 1, tried_at = v_now, said = p_said[k],
        next_try_at = v_now + make_interval(secs => p_waits[k]),
        ended_at = case when p_states[k] <> 'waiting' then v_now end
      where m.root_id = p_roots[k] and m.account_id = p_accounts[k] and m.seq = p_seqs[k]
        and m.place = p_places[k] and m.receiver_id = p_receiver and m.state = 'waiting';
  end loop;
end $$;

-- Removes what ended long enough ago, and ends what nobody came to take; at most `p_limit` of each.
-- Returns how many rows were touched.
create or replace function creditd.tidy_messages(
  p_delivered_days integer, p_dead_days integer, p_waiting_days integer, p_limit integer
) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_now timestamptz := clock();
  v_count bigint;
  v_total bigint := 0;
begin
  perform refuse_null('p_delivered_days p_dead_days p_waiting_days p_limit',
    array[p_delivered_days is null, p_dead_days is null, p_waiting_days is null, p_limit is null]);
  delete from message m where m.ctid = any (array(
    select x.ctid from message x
    where x.state = 'delivered' and x.ended_at < v_now - make_interval(days => p_delivered_days)
    limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  v_total := v_total + v_count;
  delete from message m where m.ctid = any (array(
    select x.ctid from message x
    where x.state = 'dead' and x.ended_at < v_now - make_interval(days => p_dead_days)
    limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  v_total := v_total + v_count;
  update message m set state = 'dead', ended_at = v_now, said = coalesce(m.said, 'nobody took it')
    where m.ctid = any (array(
      select x.ctid from receiver r cross join lateral (
        select y.ctid from message y
        where y.receiver_id = r.receiver_id and y.state = 'waiting'
          and y.next_try_at < v_now - make_interval(days => p_waiting_days)
        limit p_limit for update skip locked) x
      limit p_limit));
  get diagnostics v_count = row_count;
  return v_total + v_count;
end $$;

-- Lets dead messages be tried again, as if for the first time. Returns how many.
create or replace function creditd.retry_dead(p_name text) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  v_now timestamptz := clock();
  v_count bigint;
begin
  perform refuse_null('p_name', array[p_name is null]);
  update message m set state = 'waiting', tries = 0, next_try_at = v_now, ended_at = null
    from receiver r where r.name = p_name and m.receiver_id = r.receiver_id and m.state = 'dead';
  get diagnostics v_count = row_count;
  if v_count > 0 then perform pg_notify('creditd_outbox', ''); end if;
  return v_count;
end $$;
