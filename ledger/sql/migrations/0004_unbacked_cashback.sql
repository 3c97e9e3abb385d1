-- What was granted because of a charge beyond half of what the charge holds after refunds: so much less may
-- the account's charges cause.
alter table creditd.charge_cause
  add column unbacked bigint not null default 0,
  add constraint charge_cause_unbacked_is_never_negative check (unbacked >= 0);
create index charge_cause_unbacked on creditd.charge_cause (root_id, account_id) where unbacked > 0;

-- Refunds that are under way are counted below, those that begin wait and count themselves. With the table
-- held no charge causes its first grant meanwhile, so these are all accounts that have one.
select from creditd.account a
  where (a.root_id, a.account_id) in (select c.root_id, c.account_id from creditd.charge_cause c)
  order by a.root_id, a.account_id for no key update;

update creditd.charge_cause c set unbacked = c.granted - h.half
  from (
    select x.root_id, x.account_id, x.seq, (e.total - coalesce(sum(r.amount), 0)::bigint) / 2 as half
    from creditd.charge_cause x
      join creditd.entry e on e.root_id = x.root_id and e.account_id = x.account_id and e.seq = x.seq
      left join creditd.entry r on r.root_id = x.root_id and r.account_id = x.account_id and r.refers_to = x.seq
        and r.kind = 3
    group by x.root_id, x.account_id, x.seq, e.total) h
  where c.root_id = h.root_id and c.account_id = h.account_id and c.seq = h.seq and c.granted > h.half;
