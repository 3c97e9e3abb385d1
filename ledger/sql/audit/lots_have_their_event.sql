-- promise: 6. The grants are those of the canonical chain: every live lot has its confirmed event, every reversed
--   one an event that left, or came back as another incarnation.
-- row: A lot whose event is not there or in another state; `cause` is chain id, tx hash, ordinal and role, end to end.
-- scope: account

select count(*) from lot where rule_id is not null;

with granted as (
  select l.*, ('x' || encode(substr(l.cause, 1, 8), 'hex'))::bit(64)::bigint as chain_id,
    substr(l.cause, 9, 32) as tx_hash
  from lot l where l.rule_id is not null
)
select l.root_id, l.account_id, l.lot_no, l.state, l.rule_id, l.cause, l.incarnation, l.amount,
  v.event_no, v.state as event_state, v.incarnation as event_incarnation
from granted l left join creditd.event v on v.chain_id = l.chain_id and v.tx_hash = l.tx_hash
  and int8send(v.chain_id) || v.tx_hash || int4send(v.ordinal) || int2send(v.role) = l.cause
where v.event_no is null
  or case l.state
    when 'live' then v.state <> 'confirmed' or v.incarnation <> l.incarnation
      or (v.root_id, v.account_id, v.lot_no) is distinct from (l.root_id, l.account_id, l.lot_no)
    else v.incarnation < l.incarnation or (v.incarnation = l.incarnation and v.state <> 'reversed')
    end
