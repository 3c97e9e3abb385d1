-- What an account was charged, in sums.

-- How many entries of an account came before a time. Times rise with the entries' numbers, so halving finds it.
create or replace function creditd.entries_before(p_root bigint, p_account bigint, p_at timestamptz) returns bigint
language plpgsql stable set search_path = creditd, pg_temp as $$
declare
  v_low bigint := 0;
  v_high bigint := coalesce((select a.seq from account a where a.root_id = p_root and a.account_id = p_account), 0);
  v_middle bigint;
begin
  while v_low < v_high loop
    v_middle := (v_low + v_high + 1) / 2;
    if (select x.at from entry x where x.root_id = p_root and x.account_id = p_account and x.seq = v_middle) < p_at then
      v_low := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  return v_low;
end $$;

-- The charges of entries after `p_after` and up to `p_to`, what they took, and what was given back meanwhile, by
-- operation, by API key or by day (UTC). What a reservation's settlement took is of its reservation's operation, a
-- refund of its charge's; each is of its own day. Units are those that entries say: of a settlement, those that were
-- used, even where they cost nothing; none where it was by an amount.
create or replace function creditd.usage_of(
  p_root bigint, p_account bigint, p_by text, p_after bigint, p_to bigint
) returns table (used_by text, charges bigint, units numeric, spent numeric, refunded numeric)
language sql stable
begin atomic
  select case p_by
      when 'operation' then (select o.name from creditd.operation o where o.operation_id = u.operation_id)
      when 'api_key' then u.api_key_id::text
      else u.day::text end,
    u.charges, u.units, u.spent, u.refunded
    from (
      select case when p_by = 'operation' then coalesce(e.operation_id, c.operation_id, r.operation_id) end as operation_id,
        case when p_by = 'api_key' then coalesce(e.api_key_id, c.api_key_id, r.api_key_id) end as api_key_id,
        case when p_by = 'day' then (e.at at time zone 'UTC')::date end as day,
        count(*) filter (where e.kind in (2, 9) and e.movement = e.seq) as charges,
        coalesce(sum(e.units), 0) as units,
        coalesce(sum(e.amount) filter (where e.kind in (2, 9)), 0) as spent,
        coalesce(sum(e.amount) filter (where e.kind = 3), 0) as refunded
        from creditd.entry e
          -- The first entry of what a settlement or a refund is of; and of the reservation of a settlement given back.
          -- Of a charge's further legs, that charge.
          left join lateral (
            select x.operation_id, x.api_key_id, x.kind, x.refers_to from creditd.entry x
            where (e.kind <> 2 or e.movement <> e.seq) and x.root_id = e.root_id and x.account_id = e.account_id
              and x.seq = coalesce(e.refers_to, e.movement)
            limit 1) c on true
          left join lateral (
            select x.operation_id, x.api_key_id from creditd.entry x
            where c.kind = 9 and x.root_id = e.root_id and x.account_id = e.account_id and x.seq = c.refers_to
            limit 1) r on true
        where e.root_id = p_root and e.account_id = p_account and e.seq > p_after and e.seq <= p_to
          and (e.kind in (2, 3, 9) or e.kind = 10 and e.units > 0)
        group by 1, 2, 3) u;
end;
