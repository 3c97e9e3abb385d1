-- promise: 2. What a wallet has staked is what its confirmed events added and took, and it was granted what that
--   earned, second by second, up to the last period that ended: no fraction more, none less.
-- row: A stake that is another one than its events make it, or earned something else. What is held for some time
--   before it earns, or went below zero, or changed late, is only held against what was granted for it.
-- scope: books

select count(*) from stake;

with rate as (
  select r.rule_id, t.since, t.micro, lead(t.since) over (partition by r.rule_id order by t.since) as until
  from rule r cross join lateral unnest(r.rates_from, r.rates_micro) t (since, micro)
), change as (
  select v.rule_id, v.wallet, v.block_number, v.log_index, v.role, extract(epoch from v.block_time)::bigint as at,
    case v.role when 1 then v.amount else -v.amount end as amount
  from event v where v.role > 0 and v.state = 'confirmed'
), running as (
  select x.*, r.divisor, extract(epoch from r.accrued_to)::bigint
      + case when x.wallet <= r.accruing_after then r.period_seconds else 0 end as until,
    sum(x.amount) over (partition by x.rule_id, x.wallet order by x.block_number, x.log_index, x.role) as balance
  from change x join rule r using (rule_id)
), by_events as (
  select x.rule_id, x.wallet, sum(x.amount) as staked, min(x.balance) as lowest,
    -- What comes earns from then on, what goes no longer does.
    div(sum(x.amount * w.weight), x.divisor) as earned
  from running x cross join lateral (
    select coalesce(sum(t.micro * greatest(0, least(coalesce(t.until, x.until), x.until) - greatest(t.since, x.at))), 0) as weight
    from rate t where t.rule_id = x.rule_id) w
  group by x.rule_id, x.wallet, x.divisor
), by_accruals as (
  select v.rule_id, v.wallet, sum(v.credits) as credited
  from event v where v.ordinal = -1 and v.state = 'confirmed' group by v.rule_id, v.wallet
), aside as (
  select distinct a.rule_id, substr(a.tx_hash, 13) as wallet from set_aside a where a.ordinal = -1
)
select rule_id, wallet, s.balance, s.maturing::text as maturing, b.staked, s.credited, b.earned, c.credited as granted
from stake s
  full join by_events b using (rule_id, wallet)
  full join by_accruals c using (rule_id, wallet)
  left join rule r using (rule_id)
  left join aside a using (rule_id, wallet)
where b.staked is null
  or s.balance + coalesce((select sum(x) from unnest(s.maturing) x), 0) is distinct from b.staked
  or (a.wallet is null and s.credited <> coalesce(c.credited, 0))
  or (r.hold_seconds = 0 and b.lowest >= 0 and not s.is_behind and s.credited <> b.earned)
