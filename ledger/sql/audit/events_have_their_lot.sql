-- promise: 2. One confirmed event, one grant: a confirmed event that was granted something has exactly one live lot,
--   of its incarnation and its amount; no other event has any.
-- row: An event whose live lots are not what it says.
-- scope: account

select count(*) from event;

with owned as (
  select v.event_no, count(l.lot_no) as lots,
    coalesce(bool_and((l.root_id, l.account_id, l.lot_no, l.rule_id, l.incarnation, l.amount)
                      = (v.root_id, v.account_id, v.lot_no, v.rule_id, v.incarnation, v.granted)), false) as fits
  from event v left join lot l on l.rule_id is not null and l.state = 'live'
    and l.cause = int8send(v.chain_id) || v.tx_hash || int4send(v.ordinal) || int2send(v.role)
  group by v.event_no
)
select v.root_id, v.account_id, v.event_no, v.chain_id, v.tx_hash, v.ordinal, v.role, v.state, v.incarnation,
  v.credits, v.granted, v.lot_no, o.lots as live_lots
from event v join owned o using (event_no)
where case
  when v.state <> 'confirmed' then o.lots > 0
  when v.granted > 0 then o.lots <> 1 or not o.fits or v.granted > v.credits
  else v.granted is null or v.account_id is null or o.lots > 0
  end
