-- promise: 4. What leaves one account for another comes in there: between any two accounts, credits and debts that
--   moved out and those that moved in are the same.
-- row: Two accounts between which something was lost or made.
-- scope: books

select coalesce(sum(entries), 0)::bigint from counted where kind between 13 and 16;

with moved as (
  select root_id, account_id, peer_root, peer_account, kind, sum(amount) as amount
  from entry where kind between 13 and 16 group by root_id, account_id, peer_root, peer_account, kind
), between_two as (
  select root_id, account_id, peer_root, peer_account, sum(amount) filter (where kind = 13) as credits_out,
    sum(amount) filter (where kind = 15) as debt_out, 0::numeric as credits_in, 0::numeric as debt_in
  from moved where kind in (13, 15) group by root_id, account_id, peer_root, peer_account
  union all
  select peer_root, peer_account, root_id, account_id, 0, 0, sum(amount) filter (where kind = 14),
    sum(amount) filter (where kind = 16)
  from moved where kind in (14, 16) group by root_id, account_id, peer_root, peer_account
)
select root_id, account_id, peer_root, peer_account, coalesce(sum(credits_out), 0) as credits_out,
  coalesce(sum(credits_in), 0) as credits_in, coalesce(sum(debt_out), 0) as debt_out, coalesce(sum(debt_in), 0) as debt_in
from between_two group by root_id, account_id, peer_root, peer_account
having coalesce(sum(credits_out), 0) <> coalesce(sum(credits_in), 0)
  or coalesce(sum(debt_out), 0) <> coalesce(sum(debt_in), 0)
