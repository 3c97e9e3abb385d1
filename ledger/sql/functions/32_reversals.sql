-- A grant turns out to be void: its block left the chain, or an operator takes it back. What is left of it is
-- taken back, wherever it has moved to; what reservations hold of it stays, and is decided when they end; what was spent is owed, or
-- borne by the operator, as the rule says. What expired unspent is owed by nobody.

-- Says who bears what was spent of a grant that turned out to be void: by the rule of the lot, or of the one
-- it began as, whoever spent it (a debt) or the operator (absorbed).
create or replace function creditd.make_up(
  a creditd.account, p_lot bigint, p_amount bigint, p_movement bigint
) returns creditd.account
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_policy text;
  e entry;
begin
  select r.on_reversal into v_policy from lot l
    join lot o on o.root_id = coalesce(l.origin_root, l.root_id)
      and o.account_id = coalesce(l.origin_account, l.account_id) and o.lot_no = coalesce(l.origin_lot, l.lot_no)
    join rule r on r.rule_id = o.rule_id
    where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
  e.kind := case v_policy when 'absorb' then 11 else 5 end;
  e.amount := p_amount; e.lot_no := p_lot; e.movement := p_movement;
  a := post(a, e);
  if v_policy = 'absorb' then
    update lot l set absorbed = l.absorbed + p_amount
      where l.root_id = a.root_id and l.account_id = a.account_id and l.lot_no = p_lot;
    return a;
  end if;
  if v_policy = 'freeze' and a.status = 'open' then a.status := 'indebted'; end if;
  perform announce(a.root_id, a.account_id, 'debt.opened', jsonb_build_object('owed', p_amount, 'debt', a.debt));
  return a;
end $$;

-- Takes one lot back where it is. Again is a no-op.
create or replace function creditd.reverse_lot(p_root bigint, p_account bigint, p_lot bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account;
  l lot;
  e entry;
  v_movement bigint;
  v_spent bigint;
begin
  a := expire_due(locked_account(p_root, p_account));
  select * into strict l from lot x
    where x.root_id = p_root and x.account_id = p_account and x.lot_no = p_lot;
  v_movement := a.seq + 1;
  if l.state = 'live' then
    if l.remaining > 0 then
      e.kind := 4; e.amount := l.remaining; e.lot_no := p_lot; e.movement := v_movement;
      a := post(a, e);
    end if;
    update lot x set remaining = 0, reversed = l.remaining, state = 'reversed'
      where x.root_id = p_root and x.account_id = p_account and x.lot_no = p_lot;
    v_spent := l.amount - l.remaining - l.held - l.expired - l.moved;
    perform announce(p_root, p_account, 'grant.reversed',
                     jsonb_build_object('grant', p_lot, 'taken_back', l.remaining, 'spent', v_spent, 'held', l.held));
    if v_spent > 0 then a := make_up(a, p_lot, v_spent, v_movement); end if;
    if a.seq >= v_movement then a := finish(a, v_movement, null); end if;
  end if;
  perform keep(a);
end $$;

-- The lots that hold what was granted as one: itself and what has moved of it.
create or replace function creditd.lots_of(p_root bigint, p_account bigint, p_lot bigint) returns setof creditd.lot
language sql stable
begin atomic
  select l.* from creditd.lot l where l.root_id = p_root and l.account_id = p_account and l.lot_no = p_lot
  union all
  select m.* from creditd.lot m where m.origin_root = p_root and m.origin_account = p_account and m.origin_lot = p_lot;
end;

-- Takes a grant back wherever it has moved to, and gives its caps back. The caller holds all of these
-- accounts. Again is a no-op.
create or replace function creditd.reverse_grant(p_root bigint, p_account bigint, p_lot bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  l lot;
begin
  for l in select * from lots_of(p_root, p_account, p_lot) x order by x.root_id, x.account_id, x.lot_no loop
    if l.state = 'live' and l.origin_root is null then perform give_back_to_caps(l); end if;
    perform reverse_lot(l.root_id, l.account_id, l.lot_no);
  end loop;
end $$;

-- Locks, in their order, the accounts of all that was granted as these lots, wherever it has moved to. What
-- moves meanwhile is found by another look.
create or replace function creditd.lock_grants(p_roots bigint[], p_accounts bigint[], p_lots bigint[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_roots bigint[];
  v_accounts bigint[];
  v_found integer := 0;
begin
  for k in 1 .. 5 loop  -- who moves one grant's credits faster than that, again and again, is no person
    select array_agg(x.root_id), array_agg(x.account_id) into v_roots, v_accounts from (
      select distinct l.root_id, l.account_id from unnest(p_roots, p_accounts, p_lots) t (root, account, lot)
        cross join lateral lots_of(t.root, t.account, t.lot) l) x;
    if v_roots is null or cardinality(v_roots) = v_found then return; end if;
    v_found := cardinality(v_roots);
    perform lock_with_links(v_roots, v_accounts);
  end loop;
  raise exception '% grants keep moving, the first of them % of account %/%', cardinality(p_lots), p_lots[1], p_roots[1],
    p_accounts[1] using errcode = '40001';
end $$;

-- `lock_grants` of all that a chain's events above a block were granted. The caller holds the chain.
create or replace function creditd.lock_grants_above(p_chain bigint, p_to bigint) returns void
language plpgsql set search_path = creditd, pg_temp as $$
declare
  v_roots bigint[];
  v_accounts bigint[];
  v_lots bigint[];
begin
  select array_agg(e.root_id), array_agg(e.account_id), array_agg(e.lot_no) into v_roots, v_accounts, v_lots from event e
    where e.chain_id = p_chain and e.block_number > p_to and e.state = 'confirmed' and e.lot_no is not null;
  perform lock_grants(v_roots, v_accounts, v_lots);
end $$;

-- What the operator still bears of an event's earlier incarnations: what comes back makes up for it.
create or replace function creditd.borne_of(
  p_root bigint, p_account bigint, p_rule integer, p_cause bytea, p_incarnation integer
) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
begin
  if p_incarnation = 1 then return 0; end if;
  return (
    select coalesce(sum(l.absorbed - case when l.origin_root is null then coalesce(x.amount, 0) else 0 end), 0)
    from generate_series(1, p_incarnation - 1) k
      join entry g on g.root_id = p_root and g.key_hash = grant_key(p_account, p_rule, p_cause, k)
      cross join lateral lots_of(g.root_id, g.account_id, g.seq) l
      -- What a grant makes up for follows it at once.
      left join entry x on x.root_id = g.root_id and x.account_id = g.account_id and x.seq = g.seq + 1 and x.kind = 12);
end $$;

-- What would come of it if a chain left a block and all above it, account by account: `taken_back` of what
-- is left, `owed` and `absorbed` of what was spent, `reserved` is decided when the reservations end. What is
-- left of a lot past its end would be posted as expired first, whether it has been or not.
create or replace function creditd.exposure(p_chain bigint, p_block bigint)
returns table (root_id bigint, account_id bigint, taken_back bigint, owed bigint, absorbed bigint, reserved bigint)
language sql stable security definer set search_path = creditd, pg_temp
begin atomic
  with now as materialized (select creditd.clock() as at)
  select x.root_id, x.account_id, sum(case when x.expires_at > now.at then x.remaining else 0 end)::bigint,
    coalesce(sum(x.spent) filter (where x.on_reversal <> 'absorb'), 0)::bigint,
    coalesce(sum(x.spent) filter (where x.on_reversal = 'absorb'), 0)::bigint, sum(x.held)::bigint
  from (
    select l.root_id, l.account_id, l.expires_at, l.held, r.on_reversal, n.remaining,
      l.amount - n.remaining - l.held - l.expired - l.moved as spent
    from creditd.event e
      cross join lateral creditd.lots_of(e.root_id, e.account_id, e.lot_no) l
      join creditd.account a on a.root_id = l.root_id and a.account_id = l.account_id
      cross join lateral (
        select case when l.lot_no = a.head_lot then a.head_left else l.remaining end as remaining) n
      join creditd.rule r on r.rule_id = e.rule_id
    where e.chain_id = p_chain and e.block_number >= p_block and e.state = 'confirmed' and e.lot_no is not null) x
    cross join now
  group by x.root_id, x.account_id
  order by x.root_id, x.account_id;
end;
