"""Whether books add up, told from their entries and lots alone: by their owner, in plain sums."""

from typing import LiteralString

import psycopg

# Each finds nothing in books that add up.
_BREACHES: dict[str, LiteralString] = {
    "lots hold what the account has": """
        select a.account_id, a.available, a.held, l.remaining, l.held from creditd.account a
        left join lateral (
          select coalesce(sum(case when l.lot_no = a.head_lot then a.head_left
                                   else l.remaining end), 0) as remaining,
            coalesce(sum(l.held), 0) as held
          from creditd.lot l where l.root_id = a.root_id and l.account_id = a.account_id) l on true
        where (a.available, a.held) <> (l.remaining, l.held)""",
    "entries come to what the account has": """
        select a.account_id from creditd.account a left join lateral (
          select coalesce(sum(case when k.to_side = 'available' then e.amount
                                   when k.from_side = 'available' then -e.amount end), 0)
              as available,
            coalesce(sum(case when k.to_side = 'held' then e.amount
                              when k.from_side = 'held' then -e.amount end), 0) as held,
            coalesce(sum(case when k.from_side = 'debt' then e.amount
                              when k.to_side = 'debt' then -e.amount end), 0) as debt,
            coalesce(max(e.seq), 0) as last, count(*) as entries
          from creditd.entry e join creditd.entry_kind k using (kind)
          where e.root_id = a.root_id and e.account_id = a.account_id) e on true
        where (a.available, a.held, a.debt, a.seq, a.seq)
          <> (e.available, e.held, e.debt, e.last, e.entries)""",
    "entries are chained": """
        select e.account_id, e.seq from creditd.entry e
          left join creditd.entry b
            on (b.root_id, b.account_id, b.seq) = (e.root_id, e.account_id, e.seq - 1)
        where e.hash <> creditd.entry_hash(
          coalesce(b.hash, creditd.first_hash(e.root_id, e.account_id)), e)""",
    "what moves out moves in": """
        select root_id, account_id, peer_root, peer_account, sum(amount) from (
          select root_id, account_id, peer_root, peer_account, kind in (15, 16) as of_debt,
            case when kind in (13, 15) then amount else -amount end as amount
          from creditd.entry where kind in (13, 15)
          union all
          select peer_root, peer_account, root_id, account_id, kind in (15, 16), -amount
          from creditd.entry where kind in (14, 16)) m
        group by 1, 2, 3, 4, of_debt having sum(amount) <> 0""",
    "moved lots name where they began": """
        select l.account_id, l.lot_no from creditd.lot l
          left join creditd.lot o
            on (o.root_id, o.account_id, o.lot_no) = (l.origin_root, l.origin_account, l.origin_lot)
        where (l.origin_root is null) <> not exists (
            select from creditd.entry e where (e.root_id, e.account_id, e.seq, e.kind)
              = (l.root_id, l.account_id, l.lot_no, 14))
          or l.origin_root is not null and (o.lot_no is null or o.origin_root is not null
            or (o.source, o.priority, o.effective_at, o.expires_at)
              <> (l.source, l.priority, l.effective_at, l.expires_at)
            or o.operations is distinct from l.operations)""",
    "lots tell what their entries did": """
        select l.account_id, l.lot_no from creditd.lot l left join lateral (
          select coalesce(sum(e.amount) filter (where e.kind = 13), 0) as moved,
            coalesce(sum(case when k.to_side = 'available' then e.amount
                              when k.from_side = 'available' then -e.amount end), 0) as remaining
          from creditd.entry e join creditd.entry_kind k using (kind)
          where (e.root_id, e.account_id, e.lot_no) = (l.root_id, l.account_id, l.lot_no)) e on true
        join creditd.account a using (root_id, account_id)
        where (l.moved, case when l.lot_no = a.head_lot then a.head_left else l.remaining end)
          <> (e.moved, e.remaining)""",
    "budgets count what the pool pays": """
        select u.account_id, u.used, e.used, d.used from creditd.budget_use u
          left join lateral (
            select coalesce(sum(case when e.kind in (2, 8) then e.amount else -e.amount end), 0)
              as used
            from creditd.entry e where e.root_id = u.root_id and e.member_id = u.account_id
              and e.kind in (2, 3, 8, 10)) e on true
          left join lateral (
            select sum(d.used) as used from creditd.budget_use d
            where (d.root_id, d.account_id) = (u.root_id, u.account_id)
              and d.day > '-infinity') d on true
        where u.day = '-infinity' and (u.used <> e.used or u.used <> d.used)""",
    "nothing is spendable beside a debt": """
        select a.account_id, a.debt from creditd.account a where a.debt > 0 and exists (
          select from creditd.lot l where l.root_id = a.root_id and l.account_id = a.account_id
            and case when l.lot_no = a.head_lot then a.head_left else l.remaining end > 0
            and l.source <> 'overdraft')""",
}


def adds_up(database_url: str) -> None:
    """Fail with what does not add up."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = {name: connection.execute(query).fetchall() for name, query in _BREACHES.items()}
    assert not any(found.values()), found
