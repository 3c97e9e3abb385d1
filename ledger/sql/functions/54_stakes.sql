-- Stakes earn for the time they are held. Every change of a stake is an event, whose role says whether it adds
-- or takes; what a stake has earned in a period is an event too, an accrual, of the block that ends the period:
-- the first one at or after its end. So accruals are granted, reversed and returned like all events, and are a
-- function of the canonical chain. An accrual is floor(all that was earned until then) less the same for the
-- period before: no fraction is ever lost.
--   roles: 0 earns by itself, 1 adds to a stake, 2 takes from it. Ordinal -1: an accrual.

-- What one base unit has earned between 1970 and a moment, times the rule's divisor.
create or replace function creditd.rate_until(r creditd.rule, p_at timestamptz) returns numeric
language plpgsql immutable set search_path = creditd, pg_temp as $$
declare
  v_at constant bigint := floor(extract(epoch from p_at));
  v_sum numeric := 0;
begin
  for k in 1 .. cardinality(r.rates_from) loop
    exit when r.rates_from[k] >= v_at;
    v_sum := v_sum + r.rates_micro[k]::numeric * (least(v_at, coalesce(r.rates_from[k + 1], v_at)) - r.rates_from[k]);
  end loop;
  return v_sum;
end $$;

-- The stake with all that it has earned up to a moment, and what has matured by then among what earns.
create or replace function creditd.weighed(s creditd.stake, r creditd.rule, p_to timestamptz) returns creditd.stake
language plpgsql immutable set search_path = creditd, pg_temp as $$
declare
  v_rate numeric := rate_until(r, s.since);
  v_next numeric;
begin
  while s.matures_at[1] <= p_to loop
    v_next := rate_until(r, s.matures_at[1]);
    s.weight := s.weight + greatest(0, s.balance) * (v_next - v_rate);
    s.since := s.matures_at[1]; v_rate := v_next;
    s.balance := s.balance + s.maturing[1];
    s.matures_at := s.matures_at[2:]; s.maturing := s.maturing[2:];
  end loop;
  if p_to > s.since then
    s.weight := s.weight + greatest(0, s.balance) * (rate_until(r, p_to) - v_rate);
    s.since := p_to;
  end if;
  return s;
end $$;

-- The stake after an event. What has just come goes first, so what earns at a moment is the least that was
-- there in all of the holding time before it.
create or replace function creditd.changed(s creditd.stake, r creditd.rule, e creditd.event) returns creditd.stake
language plpgsql immutable set search_path = creditd, pg_temp as $$
declare
  -- Whoever stakes in many small parts makes one's own later ones mature together, and nobody else wait.
  c_maturing_max constant integer := 64;
  v_last integer;
  v_left numeric := e.amount;
  v_part numeric;
begin
  s := weighed(s, r, e.block_time);
  v_last := cardinality(s.maturing);
  if e.role = 1 then
    if r.hold_seconds = 0 then
      s.balance := s.balance + e.amount;
    elsif v_last = c_maturing_max then
      s.maturing[v_last] := s.maturing[v_last] + e.amount;
      s.matures_at[v_last] := e.block_time + r.hold_seconds * interval '1 second';
    else
      s.maturing := s.maturing || e.amount;
      s.matures_at := s.matures_at || (e.block_time + r.hold_seconds * interval '1 second');
    end if;
    return s;
  end if;
  while v_left > 0 and v_last > 0 loop
    v_part := least(v_left, s.maturing[v_last]);
    s.maturing[v_last] := s.maturing[v_last] - v_part; v_left := v_left - v_part;
    exit when s.maturing[v_last] > 0;
    v_last := v_last - 1;
    s.maturing := s.maturing[:v_last]; s.matures_at := s.matures_at[:v_last];
  end loop;
  s.balance := s.balance - v_left;
  return s;
end $$;

-- What a stake of nothing is, at its first event.
create or replace function creditd.first_stake(p_rule integer, p_wallet bytea, p_at timestamptz) returns creditd.stake
language sql immutable
return row(p_rule, p_wallet, 0, 0, p_at, '{}'::timestamptz[], '{}'::numeric[], 0, false)::creditd.stake;

-- The end of the period before or at a moment. Periods are counted from 1970, UTC.
create or replace function creditd.period_until(r creditd.rule, p_at timestamptz) returns timestamptz
language sql stable
return date_bin((r).period_seconds * interval '1 second', p_at, to_timestamp(0));

-- Changes the stakes by the confirmed events above block `p_after` and up to `p_to`.
create or replace function creditd.move_stakes(p_chain bigint, p_after bigint, p_to bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  r rule;
  e event;
  s stake;
begin
  for r in select * from rule x where x.chain_id = p_chain and x.divisor is not null order by x.rule_id loop
    for e in
      select * from event x
      where x.chain_id = p_chain and x.block_number > p_after and x.block_number <= p_to
        and x.rule_id = r.rule_id and x.role in (1, 2) and x.state = 'confirmed'
      order by x.wallet, x.block_number, x.log_index, x.role
    loop
      if e.wallet is distinct from s.wallet or s.rule_id <> r.rule_id then
        perform keep_stake(s);
        select * into s from stake x where x.rule_id = r.rule_id and x.wallet = e.wallet;
        if not found then s := first_stake(r.rule_id, e.wallet, e.block_time); end if;
      end if;
      s := changed(s, r, e);
    end loop;
    perform keep_stake(s);
    s := null;
    update rule x set accrued_to = accrues_from(r, p_after, p_to) where x.rule_id = r.rule_id and x.accrued_to is null;
  end loop;
end $$;

create or replace function creditd.keep_stake(s creditd.stake) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if s.wallet is null then return; end if;
  insert into stake as x (rule_id, wallet, balance, weight, since, matures_at, maturing, credited, is_behind)
    values (s.rule_id, s.wallet, s.balance, s.weight, s.since, s.matures_at, s.maturing, s.credited, s.is_behind)
    on conflict on constraint stake_pkey do update
      set balance = excluded.balance, weight = excluded.weight, since = excluded.since,
          matures_at = excluded.matures_at, maturing = excluded.maturing, credited = excluded.credited,
          is_behind = excluded.is_behind;
end $$;

-- The end of the period before the first one that a rule's stakes can earn in, by its events above block
-- `p_after` and up to `p_to`; null if there are none.
create or replace function creditd.accrues_from(r creditd.rule, p_after bigint, p_to bigint) returns timestamptz
language sql stable
return creditd.period_until(r, (
  select min(e.block_time) from creditd.event e
  where e.chain_id = (r).chain_id and e.block_number > p_after and e.block_number <= p_to
    and e.rule_id = (r).rule_id and e.role in (1, 2) and e.state <> 'reversed'));

-- Whether stakes are granted what they earned before a block that ends their period: if their rule was followed
-- in all the blocks before it.
create or replace function creditd.is_followed_before(r creditd.rule, p_number bigint) returns boolean
language sql immutable
return (r).to_block is null or p_number <= (r).to_block + 1;

-- The first block above the confirmed one, `p_to` at most, that ends a period of a rule; null if none does.
create or replace function creditd.block_that_ends_a_period(c creditd.chain, p_to bigint) returns bigint
language sql stable
return (
  select min(e.number)
  from creditd.rule r
    cross join lateral (
      select coalesce(r.accrued_to, creditd.accrues_from(r, (c).confirmed_number, p_to))
        + r.period_seconds * interval '1 second' as at) due
    cross join lateral (
      select b.number from creditd.block b
      where b.chain_id = (c).chain_id and b.number > (c).confirmed_number and b.number <= p_to and b.time >= due.at
      order by b.number limit 1) e
  where r.chain_id = (c).chain_id and r.divisor is not null and creditd.is_followed_before(r, e.number));

-- Grants stakes what they earned in the first period that ends at a block, the next one to be confirmed: at
-- most `p_most` wallets of one rule, and the next call goes on. Returns how many were granted something.
create or replace function creditd.accrue(c creditd.chain, p_number bigint, p_most integer) returns bigint
language plpgsql set search_path = creditd, pg_temp as $$
declare
  c_grant_max constant numeric := 1000000000000000000;  -- as an event's: beyond it a person looks first
  r rule;
  b block;
  v_end timestamptz;
  v_wallets bytea[]; v_last bytea;
  v_amounts numeric[]; v_earned numeric[];
begin
  select * into strict b from block x where x.chain_id = c.chain_id and x.number = p_number;
  select * into strict r from rule x
    where x.chain_id = c.chain_id and x.accrued_to + x.period_seconds * interval '1 second' <= b.time
      and is_followed_before(x, p_number)
    order by x.accrued_to + x.period_seconds * interval '1 second', x.rule_id limit 1;
  v_end := r.accrued_to + r.period_seconds * interval '1 second';
  perform take_back_accruals(r, v_end, p_most);
  with page as materialized (
    select s from stake s
    where s.rule_id = r.rule_id and s.wallet > coalesce(r.accruing_after, '')
      and (s.balance > 0 or s.maturing <> '{}' or s.since > r.accrued_to or s.is_behind)
    order by s.wallet limit p_most
  ), told as (
    update stake x set credited = t.earned, is_behind = false
    from (select (s).wallet, (s).credited, (w).balance, div((w).weight, r.divisor) as earned
          from page cross join lateral weighed(s, r, v_end) w) t
    where x.rule_id = r.rule_id and x.wallet = t.wallet
    returning t.wallet, greatest(0, least(t.balance, 10::numeric ^ 78 - 1)) as amount, t.earned - t.credited as earned
  )
  select array_agg(t.wallet order by t.wallet), array_agg(t.amount order by t.wallet),
      array_agg(t.earned order by t.wallet), (select (array_agg((s).wallet order by (s).wallet desc))[1] from page having count(*) = p_most)
    into v_wallets, v_amounts, v_earned, v_last
    from told t where t.earned > 0;
  update rule x set accruing_after = v_last, accrued_to = case when v_last is null then v_end else x.accrued_to end
    where x.rule_id = r.rule_id;
  update chain x set accruing_number = p_number where x.chain_id = c.chain_id;
  if v_wallets is null then return 0; end if;
  perform see_accruals(c, b, r, v_end, v_wallets, v_amounts, v_earned, c_grant_max);
  return grant_events(c.chain_id, p_number - 1, p_number, true, false);
end $$;

-- Writes accruals down as events of the block that ends their period. Their identity takes the place of a
-- transaction's: the rule, the end of the period in unix seconds and the wallet.
create or replace function creditd.see_accruals(
  c creditd.chain, b creditd.block, r creditd.rule, p_end timestamptz, p_wallets bytea[], p_amounts numeric[],
  p_earned numeric[], p_grant_max numeric
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_prefix constant bytea := int4send(r.rule_id) || int8send(floor(extract(epoch from p_end))::bigint);
begin
  insert into set_aside (chain_id, tx_hash, ordinal, block_number, block_hash, log_index, rule_id, address, topics,
                         data, reason)
    select c.chain_id, v_prefix || t.wallet, -1, b.number, b.hash, -1, r.rule_id, r.contract, '{}',
      convert_to(t.earned::text, 'UTF8'),
      format('the stake of 0x%s would earn %s micro-credits in a period: more than one grant may be',
             encode(t.wallet, 'hex'), t.earned)
    from unnest(p_wallets, p_earned) t (wallet, earned) where t.earned > p_grant_max
    on conflict on constraint set_aside_pkey do nothing;
  perform see_events(
      c.chain_id, c.epoch, array_agg(b.number), array_agg(v_prefix || t.wallet), array_agg(-1),
      array_agg(0::smallint), array_agg(-1), array_agg(r.rule_id), array_agg(t.wallet),
      array_agg(t.amount), array_agg(t.earned::bigint))
    from unnest(p_wallets, p_amounts, p_earned) t (wallet, amount, earned) where t.earned <= p_grant_max
    having count(*) > 0;
end $$;

-- Makes stakes what they were at a block that the chain goes on from: what was accrued above it has been
-- reversed. The events above it are still there, as reversed.
create or replace function creditd.put_stakes_back(p_chain bigint, p_to bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  r rule;
  v_wallet bytea;
begin
  for r in select * from rule x where x.chain_id = p_chain and x.divisor is not null and x.accrued_to is not null loop
    update rule x set accruing_after = null,
        accrued_to = least(x.accrued_to, (select period_until(x, b.time) from block b
                                          where b.chain_id = p_chain and b.number = p_to))
      where x.rule_id = r.rule_id returning * into r;
    for v_wallet in
      select e.wallet from event e
        where e.chain_id = p_chain and e.block_number > p_to and e.rule_id = r.rule_id and (e.role > 0 or e.ordinal = -1)
      union
      select substr(a.tx_hash, 13) from set_aside a
        where a.chain_id = p_chain and a.block_number > p_to and a.rule_id = r.rule_id and a.ordinal = -1
    loop
      perform rebuild_stake(r, v_wallet);
      -- What it should have been granted by now, and was not, late events have yet to be made up for.
      update stake s set credited = t.credited, is_behind = s.credited <> t.credited
        from (select accrued_by_now(r.rule_id, v_wallet, p_to) as credited) t
        where s.rule_id = r.rule_id and s.wallet = v_wallet;
    end loop;
  end loop;
end $$;

-- What a stake was granted or would have been, had it not been set aside, in blocks up to `p_to`.
create or replace function creditd.accrued_by_now(p_rule integer, p_wallet bytea, p_to bigint) returns numeric
language sql stable
return (
    select coalesce(sum(e.credits), 0) from creditd.event e
    where e.wallet = p_wallet and e.rule_id = p_rule and e.ordinal = -1 and e.state = 'confirmed'
      and e.block_number <= p_to)
  + (select coalesce(sum(convert_from(a.data, 'UTF8')::numeric), 0) from creditd.set_aside a
     where a.rule_id = p_rule and a.ordinal = -1 and substr(a.tx_hash, 13) = p_wallet and a.block_number <= p_to);

-- Changes a stake by events that came late. What it should have been granted until now is made up for when the
-- next period ends.
create or replace function creditd.change_stake_late(r creditd.rule, p_wallet bytea) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare v_credited numeric := (select s.credited from stake s where s.rule_id = r.rule_id and s.wallet = p_wallet);
begin
  perform rebuild_stake(r, p_wallet);
  update stake s set credited = coalesce(v_credited, 0), is_behind = true
    where s.rule_id = r.rule_id and s.wallet = p_wallet;
end $$;

-- Takes back, the newest first, what stakes were granted that had earned less, as late events have shown: until
-- it is no more than what they will have earned by the end of a period. The next `p_most` stakes.
create or replace function creditd.take_back_accruals(r creditd.rule, p_end timestamptz, p_most integer) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  s stake;
  e event;
  v_earned numeric;
begin
  for s in
    select * from stake x where x.rule_id = r.rule_id and x.is_behind and x.wallet > coalesce(r.accruing_after, '')
    order by x.wallet limit p_most
  loop
    v_earned := div((weighed(s, r, p_end)).weight, r.divisor);
    for e in
      select * from event x
      where x.wallet = s.wallet and x.rule_id = r.rule_id and x.ordinal = -1 and x.state = 'confirmed'
      order by x.block_number desc
    loop
      exit when s.credited <= v_earned;
      if e.lot_no is not null then
        perform lock_with_links(array_agg(l.root_id), array_agg(l.account_id))
          from lots_of(e.root_id, e.account_id, e.lot_no) l;
        perform reverse_grant(e.root_id, e.account_id, e.lot_no);
      end if;
      update event x set state = 'reversed' where x.event_no = e.event_no;
      s.credited := s.credited - e.credits;
    end loop;
    update stake x set credited = s.credited where x.rule_id = s.rule_id and x.wallet = s.wallet;
  end loop;
end $$;

-- Makes a stake anew from its confirmed events.
create or replace function creditd.rebuild_stake(r creditd.rule, p_wallet bytea) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  e event;
  s stake;
  v_is_accrued boolean := false;
begin
  delete from stake x where x.rule_id = r.rule_id and x.wallet = p_wallet;
  for e in
    select * from event x
    where x.wallet = p_wallet and x.rule_id = r.rule_id and x.role > 0 and x.state = 'confirmed'
    order by x.block_number, x.log_index, x.role
  loop
    if s.wallet is null then s := first_stake(r.rule_id, p_wallet, e.block_time); end if;
    if not v_is_accrued and e.block_time >= r.accrued_to then
      s.credited := div((weighed(s, r, r.accrued_to)).weight, r.divisor);
      v_is_accrued := true;
    end if;
    s := changed(s, r, e);
  end loop;
  if s.wallet is not null and not v_is_accrued then
    s.credited := div((weighed(s, r, r.accrued_to)).weight, r.divisor);
  end if;
  perform keep_stake(s);
end $$;
