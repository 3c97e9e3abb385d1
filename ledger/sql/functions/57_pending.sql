-- What waits to be confirmed, and when it will be: an estimate, by how fast the chain's last blocks came.

-- When a block will be final enough to be granted; no row, or a null, where nobody can say: the chain is not at its
-- head, or nobody follows it. By the chain's depth, or by how many blocks its finality lags behind now.
create or replace function creditd.expected_at(c creditd.chain, p_number bigint) returns table (ready_at timestamptz)
language sql stable
begin atomic
  select case when t.seconds between -1e9 and 1e9
              then greatest(statement_timestamp(), (c).indexed_time + make_interval(secs => t.seconds)) end
    from creditd.block b cross join lateral (
      select extract(epoch from (c).indexed_time - b.time)::double precision / ((c).indexed_number - b.number)
        * (p_number::double precision + coalesce((c).depth, (c).indexed_number - (c).confirmed_number) - (c).indexed_number)
          as seconds) t
    where (c).state = 'following' and (c).leader_seen_at > statement_timestamp() - interval '1 minute'
      and b.chain_id = (c).chain_id and b.number >= (c).indexed_number - 100 and b.number < (c).indexed_number
      and b.time > 'epoch'  -- what comes before everything, and some chains' first block, have no time
    order by b.number limit 1;
end;

-- The pending credits of an account, by chain and by the block that has to be confirmed for them. Of each wallet
-- what lies above the last final block, or waits below it: no other event is looked at. An event that was granted
-- once keeps its account; one that never was goes where its wallet leads.
create or replace function creditd.pending_of(p_root bigint, p_account bigint)
returns table (credits numeric, ready_at timestamptz)
language sql stable
begin atomic
  select d.credits, r.ready_at from (
    select w.chain_id, p.number, sum(p.credits) as credits
    from (
      select x.chain_id, x.address, x.linked_root is null as leads_here from creditd.wallet x
        where x.root_id = p_root and x.account_id = p_account
      union all
      select x.chain_id, x.address, (y.linked_root, y.linked_account) is not distinct from (x.root_id, x.account_id)
        from creditd.linked_wallet x join creditd.wallet y on y.chain_id = x.chain_id and y.address = x.address
        where x.root_id = p_root and x.account_id = p_account) w
      join creditd.chain c on c.chain_id = w.chain_id
      cross join lateral (
        select e.credits, coalesce(
            (select y.due_number from creditd.waiting_event y where y.event_no = e.event_no), e.block_number) as number
          from creditd.event e
          where e.wallet = w.address and e.chain_id = w.chain_id and e.block_number > c.confirmed_number and e.state = 'pending'
            and (e.root_id = p_root and e.account_id = p_account or e.account_id is null and w.leads_here)
        union all
        select e.credits, y.due_number from creditd.waiting_event y join creditd.event e on e.event_no = y.event_no
          where y.chain_id = w.chain_id and y.wallet = w.address and e.block_number <= c.confirmed_number and e.state = 'pending'
            and (e.root_id = p_root and e.account_id = p_account or e.account_id is null and w.leads_here)) p
    group by w.chain_id, p.number) d
    join creditd.chain c on c.chain_id = d.chain_id
    left join lateral creditd.expected_at(c, d.number) r on true;
end;
