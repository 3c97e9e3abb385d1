-- What somebody has to look at. An alarm is what the books say just now; who is told of it, when it begins
-- and when it is over, is told once.

-- The alarms there are just now. Chain 0, without a name, stands for the books themselves.
create or replace function creditd.alarms()
returns table (chain_id bigint, chain text, kind text, said text, remedy text, since timestamptz)
language sql stable security definer set search_path = creditd, pg_temp
begin atomic
  with now as materialized (select creditd.clock() as at),
  watched as (
    select c.*, extract(epoch from now.at - c.leader_seen_at)::bigint as silent,
      extract(epoch from now.at - coalesce(c.indexed_at, now.at))::bigint as still,
      -- A watcher is heard of at every turn and every step: the slowest takes less than two minutes.
      coalesce(c.cursor_alarm_seconds, 122) as patience,
      extract(epoch from c.indexed_time - coalesce(c.confirmed_time, (
        select b.time from creditd.block b
        where b.chain_id = c.chain_id and b.number = c.confirmed_number and b.number >= 0)))::bigint as unconfirmed
    from creditd.chain c cross join now
  ), found as (
    select w.chain_id, w.name as chain, 'halted' as kind, w.reason as said,
      case when w.other_hash is not null
        then 'creditd reorg show ' || w.name || ': grants go on once the old history is back, or the new one is accepted'
        else 'grants go on by themselves once its nodes show blocks that are proven and of the books; until then the'
          || ' reason says what to mend' end as remedy
    from watched w where w.state = 'halted'
    union all
    select w.chain_id, w.name, 'unwatched', 'no watcher has been seen for ' || w.silent || ' s',
      'it does not run, or its node does not answer; start `creditd up` or `creditd watch`, or look at its log'
    from watched w where w.silent > w.patience
    union all
    select w.chain_id, w.name, 'behind',
      'nothing has been read for ' || w.still || ' s, and there are blocks up to ' || w.head_number || ' to read',
      'its nodes do not give the blocks after ' || w.indexed_number || ', or do not agree on what is final: the'
        || ' watcher''s log says which; add a node under rpc_url'
    from watched w
    where w.state <> 'halted' and w.silent <= w.patience and w.head_number > w.indexed_number and w.still > w.patience
    union all
    select w.chain_id, w.name, 'still',
      'its head has been block ' || w.head_number || ' for ' || w.still || ' s, so nothing is granted',
      'the chain stands still, or its nodes do: ask another node, and add it under rpc_url; if that is how the chain'
        || ' is, set head_alarm_seconds'
    from watched w
    where w.state = 'following' and w.silent <= w.patience and w.still > w.head_alarm_seconds
    union all
    select w.chain_id, w.name, 'finality',
      'the last final block is ' || w.confirmed_number || ', ' || w.unconfirmed || ' s older than the newest',
      'the chain does not finalise, or too few of its nodes agree: nothing is granted until it does; if that is how'
        || ' the chain is, set finality_alarm_seconds'
    from watched w
    where w.state = 'following' and w.unconfirmed > w.finality_alarm_seconds
    union all
    select u.chain_id, c.name, 'node', string_agg(u.node || ': ' || u.trouble, '; ' order by u.node),
      'the chain is read through its other nodes: mend it, or take it out of rpc_url'
    from creditd.upstream_status u join creditd.chain c using (chain_id) cross join now
    -- Who is back within a minute has alarmed nobody.
    where u.trouble is not null and u.since < now.at - interval '1 minute'
    group by u.chain_id, c.name
    union all
    select s.chain_id, c.name, 'set_aside',
      count(*) || ' log(s) are set aside, of ' || string_agg(distinct r.name, ', ' order by r.name),
      'creditd set-aside says why; mend the source, then creditd replay --source ' || min(r.name)
    from creditd.set_aside s join creditd.chain c using (chain_id) join creditd.rule r using (rule_id)
    group by s.chain_id, c.name
    union all
    select y.chain_id, c.name, 'reread', 'blocks ' || y.found_first || ' to ' || y.found_last || ', read again, say otherwise than the books: '
        || y.found,
      'creditd verify --chain ' || c.name || ' --from ' || y.found_first || ' --to ' || y.found_last
        || ' shows the differences, and with --repair enters what is missing'
    from creditd.rereading y join creditd.chain c using (chain_id) where y.found is not null
    union all
    select d.chain_id, c.name, 'stakes', string_agg(d.said, '; ' order by d.said),
      'events are missing, or a token changes balances without any: look at from_block and the contract''s events;'
        || ' creditd verify --chain ' || c.name || ' reads what is there again'
    from (
      select r.chain_id, r.total_said as said from creditd.rule r where r.total_said is not null
      union all
      select r.chain_id, r.name || ': ' || string_agg(
          'at block ' || w.block_number || ' its contract says that 0x' || encode(w.wallet, 'hex') || ' has staked '
            || w.said || ' base units, the books ' || w.booked, '; ' order by w.wallet) filter (where w.place <= 3)
        || case when count(*) > 3 then '; and so of ' || count(*) - 3 || ' more wallet(s)' else '' end
      from (select x.*, row_number() over (partition by x.rule_id order by x.wallet) as place
            from creditd.differing_stake x) w join creditd.rule r using (rule_id)
      group by r.chain_id, r.name
      union all
      select r.chain_id, r.name || ': from ' || count(*) || ' stake(s) more was taken than was seen to come in'
      from creditd.stake s join creditd.rule r using (rule_id) where s.balance < 0 group by r.chain_id, r.name
    ) d join creditd.chain c using (chain_id)
    group by d.chain_id, c.name
    union all
    select 0, null, 'books', 'the audit of ' || to_char(d.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC found '
        || d.breaches || ' breach(es): ' || d.said,
      'creditd audit shows them: stop charging, and find out who wrote to the database'
    from creditd.audited d where d.breaches > 0
  )
  select f.chain_id, f.chain, f.kind, f.said, f.remedy, coalesce(a.since, now.at)
  from found f cross join now left join creditd.alarm a on a.chain_id = f.chain_id and a.kind = f.kind
  order by f.chain_id, f.kind;
end;

-- Tells receivers what a chain's operator has to know. It has a line of its own under root 0, where no account is.
create or replace function creditd.announce_chain(p_chain bigint, p_topic text, p_body jsonb) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_now timestamptz := clock();
  v_seq bigint;
begin
  if not is_heard(p_topic) then return; end if;
  -- Not by count: what was delivered is removed after some days, and the order stays.
  select greatest(coalesce(max(m.seq), 0) + 1, (extract(epoch from v_now) * 1000000)::bigint) into v_seq
    from message m where m.root_id = 0 and m.account_id = p_chain;
  with said as materialized (select gen_random_uuid() as id)
  insert into message (root_id, account_id, seq, place, receiver_id, message_id, topic, body, at, next_try_at)
    select 0, p_chain, v_seq, 1, r.receiver_id, said.id, p_topic, p_body, v_now, v_now
    from receiver r cross join said where r.left_at is null and p_topic = any (r.topics);
  perform pg_notify('creditd_outbox', '');
end $$;

-- Tells of the alarms that have begun since, and of those that are over. Returns them, for a log.
create or replace function creditd.tell_alarms()
returns table (chain text, kind text, said text, remedy text, begins boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
#variable_conflict use_column
declare
  v record;
begin
  -- One at a time: each is told of once.
  perform pg_advisory_xact_lock(hashtextextended('creditd alarms', 0));
  for v in
    select coalesce(n.chain_id, a.chain_id) as chain_id, coalesce(n.chain, c.name) as chain,
      coalesce(n.kind, a.kind) as kind, coalesce(n.said, a.said) as said, n.remedy,
      coalesce(a.since, n.since) as since, n.kind is not null as begins
    from alarms() n full join alarm a on a.chain_id = n.chain_id and a.kind = n.kind
      left join chain c on c.chain_id = a.chain_id
    where n.kind is null or a.kind is null
    order by 1, 3
  loop
    if v.begins then
      insert into alarm (chain_id, kind, said, since) values (v.chain_id, v.kind, v.said, v.since);
    else
      delete from alarm a where a.chain_id = v.chain_id and a.kind = v.kind;
    end if;
    perform announce_chain(v.chain_id, case when v.begins then 'alarm.raised' else 'alarm.cleared' end,
      jsonb_strip_nulls(jsonb_build_object('chain', v.chain, 'chain_id', nullif(v.chain_id, 0), 'alarm', v.kind,
        'said', v.said, 'remedy', v.remedy, 'since', to_char(v.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))));
    chain := v.chain; kind := v.kind; said := v.said; remedy := v.remedy; begins := v.begins;
    return next;
  end loop;
end $$;

-- Notes what the leader knows of its chain's nodes (a trouble is null where there is none), and how long what
-- may last before it is an alarm.
create or replace function creditd.note_watch(
  p_chain bigint, p_epoch bigint, p_cursor_seconds integer, p_finality_seconds integer, p_head_seconds integer,
  p_nodes text[], p_troubles text[]
) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_cursor_seconds p_finality_seconds p_nodes',
    array[p_cursor_seconds is null, p_finality_seconds is null, lacks(p_nodes, cardinality(p_nodes))]);
  perform chain_held(p_chain, p_epoch);
  update chain c set cursor_alarm_seconds = p_cursor_seconds, finality_alarm_seconds = p_finality_seconds,
      head_alarm_seconds = p_head_seconds, indexed_at = coalesce(c.indexed_at, clock())
    where c.chain_id = p_chain;
  delete from upstream_status u where u.chain_id = p_chain and u.node <> all (p_nodes);
  insert into upstream_status as u (chain_id, node, trouble, since)
    select p_chain, t.node, t.trouble, clock() from unnest(p_nodes, p_troubles) t (node, trouble)
    on conflict on constraint upstream_status_pkey do update
      set trouble = excluded.trouble,
          since = case when (u.trouble is null) = (excluded.trouble is null) then u.since else excluded.since end
      where u.trouble is distinct from excluded.trouble;
end $$;

-- Notes what an audit of all books found.
create or replace function creditd.note_audit(p_breaches integer, p_said text) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform refuse_null('p_breaches p_said', array[p_breaches is null, p_said is null]);
  insert into audited (at, breaches, said) values (clock(), p_breaches, p_said)
    on conflict on constraint audited_pkey do update
      set at = excluded.at, breaches = excluded.breaches, said = excluded.said;
  perform tell_alarms();
end $$;
