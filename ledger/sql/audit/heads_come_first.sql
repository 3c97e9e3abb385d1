-- promise: 1. Credits are burned in their order: of what any operation may burn, nothing comes before the lot that an
--   account is burning.
-- row: An account whose head is not its own, is spent twice, or has a lot before it.
-- scope: account

select count(*) from account where head_lot is not null;

select a.root_id, a.account_id, a.head_lot, a.head_left, b.lot_no as comes_before
from account a
  left join lot h on h.root_id = a.root_id and h.account_id = a.account_id and h.lot_no = a.head_lot
  left join lot b on b.root_id = a.root_id and b.account_id = a.account_id and b.remaining > 0
    and b.operations is null and (b.priority, b.expires_at, b.lot_no) < (h.priority, h.expires_at, h.lot_no)
    -- What comes into effect later, the account will look at then.
    and b.effective_at <= a.last_at and b.expires_at > a.last_at and a.valid_until > b.effective_at
where a.head_lot is not null and (h.lot_no is null or h.state <> 'live' or h.operations is not null
  or a.head_left > h.amount or b.lot_no is not null)
