-- Gives every account of a range of roots so many charges more, as the ledger itself would have written
-- them: valid chains of hashes, balances on the way, keys spread as digests are. Whole accounts at a
-- time, one charge of each after the other, as charges of many accounts come in.
with recursive chain as (
  select 0 as n, a.root_id, a.account_id, a.seq, a.available, a.held, a.debt, a.head_lot, a.last_at as at,
    a.head_hash as hash, null::uuid as key_hash, md5(a.account_id || ' ' || a.seq)::uuid as next_key
  from creditd.account a where a.root_id >= %(first)s and a.root_id < %(end)s
  union all
  select c.n + 1, c.root_id, c.account_id, c.seq + 1, c.available - %(cost)s, c.held, c.debt, c.head_lot,
    c.at + interval '1 microsecond',
    creditd.entry_hash(c.hash, row(
      c.root_id, c.account_id, c.seq + 1, 2, %(cost)s, c.available - %(cost)s, c.held, c.debt, c.head_lot, c.seq + 1,
      %(cost)s, null, null, null, null, 1, c.next_key, %(request)s, 1, 1, 1, c.at + interval '1 microsecond', null, null
    )::creditd.entry),
    c.next_key, md5(c.account_id || ' ' || c.seq + 1)::uuid
  from chain c where c.n < %(times)s
), written as (
  insert into creditd.entry (root_id, account_id, seq, kind, amount, available_after, held_after, debt_after, lot_no,
                             movement, total, app_id, key_hash, request_hash, operation_id, units, price_version, at,
                             hash)
    select root_id, account_id, seq, 2, %(cost)s, available, held, debt, head_lot, seq, %(cost)s, 1, key_hash,
      %(request)s, 1, 1, 1, at, hash
    from chain where n > 0
)
update creditd.account a set seq = c.seq, available = c.available, spent = a.spent + %(cost)s * %(times)s::bigint,
    head_left = a.head_left - %(cost)s * %(times)s::bigint, head_hash = c.hash, last_at = c.at
  from chain c
  where c.n = %(times)s and a.root_id = c.root_id and a.account_id = c.account_id;
