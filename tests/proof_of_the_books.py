"""What must hold of any books, whatever befell whoever wrote them, by the tables alone."""

from typing import LiteralString

import psycopg

# Each finds the rows that break one promise. The sides of an entry are looked up in its kind.
_PROMISES: dict[str, LiteralString] = {
    "entries are numbered without gaps": """
        select root_id, account_id, seq, before from (
          select *, lag(seq, 1, 0::bigint) over w as before from creditd.entry
          window w as (partition by root_id, account_id order by seq)) x
        where seq <> before + 1""",
    "an account's number is that of its last entry": """
        select a.root_id, a.account_id, a.seq from creditd.account a
        where a.seq <> (select count(*) from creditd.entry e
          where (e.root_id, e.account_id) = (a.root_id, a.account_id))""",
    "entries are chained": """
        select root_id, account_id, seq from (
          select e, e.root_id, e.account_id, e.seq,
            lag(e.hash, 1, creditd.first_hash(root_id, account_id)) over w as before
          from creditd.entry e window w as (partition by root_id, account_id order by seq)) x
        where creditd.entry_hash(before, e) <> (e).hash""",
    "the last hash is the account's": """
        select a.root_id, a.account_id, a.seq from creditd.account a
          left join creditd.entry e using (root_id, account_id, seq)
        where a.head_hash <> coalesce(e.hash, creditd.first_hash(a.root_id, a.account_id))""",
    "time goes on": """
        select root_id, account_id, seq from (
          select *, lag(at) over w as before from creditd.entry
          window w as (partition by root_id, account_id order by seq)) x
        where at <= before""",
    "each entry says the sums so far": """
        select root_id, account_id, seq from (
          select e.*,
            sum(case 'available' when to_side then amount when from_side then -amount else 0 end)
              over w as available,
            sum(case 'held' when to_side then amount when from_side then -amount else 0 end)
              over w as held,
            sum(case 'debt' when from_side then amount when to_side then -amount else 0 end)
              over w as debt
          from creditd.entry e join creditd.entry_kind using (kind)
          window w as (partition by root_id, account_id order by seq)) x
        where (available, held, debt) <> (available_after, held_after, debt_after)""",
    "an account has what its last entry says": """
        select a.root_id, a.account_id, a.available, a.held, a.debt from creditd.account a
          join creditd.entry e using (root_id, account_id, seq)
        where (a.available, a.held, a.debt) <> (e.available_after, e.held_after, e.debt_after)""",
    "an account's totals are those of its entries": """
        select a.root_id, a.account_id from creditd.account a cross join lateral (
          select coalesce(sum(amount) filter (where kind = 1), 0) as granted,
            coalesce(sum(amount) filter (where kind in (2, 9)), 0) as spent,
            coalesce(sum(amount) filter (where kind = 3), 0) as refunded,
            coalesce(sum(amount) filter (where kind = 4), 0) as reversed,
            coalesce(sum(amount) filter (where kind = 5), 0) as owed,
            coalesce(sum(amount) filter (where kind = 6), 0) as repaid,
            coalesce(sum(amount) filter (where kind = 7), 0) as expired,
            coalesce(sum(amount) filter (where kind = 11), 0) as absorbed,
            coalesce(sum(amount) filter (where kind = 12), 0) as recovered
          from creditd.entry e where (e.root_id, e.account_id) = (a.root_id, a.account_id)) t
        where (a.granted, a.spent, a.refunded, a.reversed, a.owed, a.repaid, a.expired, a.absorbed,
               a.recovered)
          is distinct from (t.granted, t.spent, t.refunded, t.reversed, t.owed, t.repaid, t.expired,
               t.absorbed, t.recovered)""",
    "a balance is never negative and credits come from somewhere": """
        select root_id, account_id from creditd.account
        where least(available, held, debt) < 0 or head_left not between 0 and available
          or granted + refunded + moved + line - spent - expired - reversed - repaid - recovered
            <> available + held
          or owed + debt_moved - repaid <> debt""",
    "a lot has what its entries left of it": """
        select root_id, account_id, l.lot_no,
          case when a.head_lot = l.lot_no then a.head_left else l.remaining end, t.remaining
        from creditd.lot l join creditd.account a using (root_id, account_id)
          cross join lateral (
            select
              coalesce(sum(case 'available' when to_side then amount when from_side then -amount
                           else 0 end), 0) as remaining,
              coalesce(sum(case 'held' when to_side then amount when from_side then -amount
                           else 0 end), 0) as held,
              coalesce(sum(amount) filter (where kind = 7), 0) as expired,
              coalesce(sum(amount) filter (where kind = 4), 0) as reversed
            from creditd.entry e join creditd.entry_kind using (kind)
            where (e.root_id, e.account_id, e.lot_no) = (l.root_id, l.account_id, l.lot_no)) t
        where t.remaining <> case when a.head_lot = l.lot_no then a.head_left else l.remaining end
          or (t.held, t.expired, t.reversed) is distinct from (l.held, l.expired, l.reversed)
          or least(t.remaining, t.held) < 0 or t.remaining + t.held > l.amount""",
    "what an account has lies in its lots": """
        select a.root_id, a.account_id from creditd.account a cross join lateral (
          select coalesce(sum(case when a.head_lot = l.lot_no then a.head_left else remaining end),
              0) as available, coalesce(sum(held), 0) as held
          from creditd.lot l where (l.root_id, l.account_id) = (a.root_id, a.account_id)) t
        where (a.available, a.held) <> (t.available, t.held)""",
    "whoever owes has nothing to spend": """
        select root_id, account_id from creditd.account
        where debt > 0 and available > 0 and line = 0""",
    "one key is one movement": """
        select root_id, key_hash, count(*) from creditd.entry where key_hash is not null
        group by root_id, key_hash having count(*) > 1""",
    "a movement takes as much as it says": """
        select root_id, account_id, f.seq from creditd.entry f
        where f.kind in (2, 3, 8) and f.movement = f.seq and f.total is distinct from (
          select sum(x.amount) from creditd.entry x
          where (x.root_id, x.account_id, x.movement, x.kind)
            = (f.root_id, f.account_id, f.movement, f.kind))""",
    "a movement's entries follow one another": """
        select root_id, account_id, movement from creditd.entry
        group by root_id, account_id, movement
        having min(seq) <> movement or max(seq) - min(seq) <> count(*) - 1""",
    "refunds stay within their charge": """
        select c.root_id, c.account_id, c.seq from creditd.entry c
        where c.kind = 2 and c.movement = c.seq and c.total < (
          select sum(r.amount) from creditd.entry r where r.kind = 3
            and (r.root_id, r.account_id, r.refers_to) = (c.root_id, c.account_id, c.seq))""",
    "no entry burns a lot outside its life": """
        select e.root_id, e.account_id, e.seq from creditd.entry e
          join creditd.lot l using (root_id, account_id, lot_no)
        where e.kind in (2, 8)
          -- A request looks first and writes later.
          and not (e.at >= l.effective_at and e.at < l.expires_at + interval '0.1 second')""",
    "no charge burns a lot that its operation may not": """
        select e.root_id, e.account_id, e.seq from creditd.entry e
          join creditd.entry f on (f.root_id, f.account_id, f.seq)
            = (e.root_id, e.account_id, e.movement)
          join creditd.lot l on (l.root_id, l.account_id, l.lot_no)
            = (e.root_id, e.account_id, e.lot_no)
        where e.kind in (2, 8) and f.operation_id <> all (l.operations)""",
    "the lot being burned is the first in order": """
        select a.root_id, a.account_id, a.head_lot, l.lot_no from creditd.account a
          join creditd.lot h on (h.root_id, h.account_id, h.lot_no)
            = (a.root_id, a.account_id, a.head_lot)
          join creditd.lot l on (l.root_id, l.account_id) = (a.root_id, a.account_id)
        where l.remaining > 0 and l.lot_no <> h.lot_no
          and a.valid_until > creditd.clock()
          and l.effective_at <= creditd.clock() and l.expires_at > creditd.clock()
          and (l.priority, l.expires_at, l.lot_no) < (h.priority, h.expires_at, h.lot_no)""",
    "no lot ends or begins before its account looks": """
        select a.root_id, a.account_id, l.lot_no from creditd.account a
          join creditd.lot l using (root_id, account_id)
        where l.remaining > 0 and a.valid_until > least(l.expires_at,
          case when l.effective_at > a.last_at then l.effective_at else 'infinity' end)""",
    "lots that not every operation may burn are known of": """
        select a.root_id, a.account_id, l.lot_no from creditd.account a
          join creditd.lot l using (root_id, account_id)
        where l.remaining > 0 and l.operations is not null and not a.is_special""",
    "caps count what was granted under them": """
        select c.root_id, c.account_id, c.rule_id, c.day from creditd.cap_use c
        where c.granted <> (select coalesce(sum(l.amount), 0) from creditd.lot l
          where (l.root_id, l.account_id, l.rule_id) = (c.root_id, c.account_id, c.rule_id)
            and l.state = 'live' and (c.day = '-infinity' or l.cap_day = c.day))""",
}


def broken_promises(database_url: str) -> dict[str, list[tuple[object, ...]]]:
    """The promises that the books break, with the rows that break each."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("begin isolation level repeatable read read only")
        found = {
            promise: connection.execute(statement).fetchall()
            for promise, statement in _PROMISES.items()
        }
    return {promise: rows for promise, rows in found.items() if rows}


def assert_sound(database_url: str) -> None:
    broken = broken_promises(database_url)
    assert not broken, "\n".join(f"{promise}: {rows[:3]}" for promise, rows in broken.items())
