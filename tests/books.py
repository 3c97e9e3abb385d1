"""What the books say, read as their owner: the tables themselves, not what is told of them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from ledger.audit import audit, render

# Times of writing, and who led when: they differ between books that say the same.
_CONTENTS: dict[str, LiteralString] = {
    "account": "select account::text from creditd.account order by root_id, account_id",
    "block": "select block::text from creditd.block order by chain_id, number",
    "cap_use": "select cap_use::text from creditd.cap_use order by 1",
    "entry": "select entry::text from creditd.entry order by root_id, account_id, seq",
    "event": "select event::text from creditd.event order by event_no",
    "lot": "select lot::text from creditd.lot order by root_id, account_id, lot_no",
    "rule": "select rule::text from creditd.rule order by rule_id",
    "set_aside": "select set_aside::text from creditd.set_aside order by 1",
    "waiting_event": "select waiting_event::text from creditd.waiting_event order by event_no",
    "wallet": "select wallet::text from creditd.wallet order by chain_id, address",
    "chain": "select chain_id, genesis, indexed_number, indexed_hash, confirmed_number,"
    " confirmed_hash, reorgs, state, reason from creditd.chain order by chain_id",
}

# The same for any books of one chain: accounts by their wallet, lots by their cause.
_EVENTS: LiteralString = """
    select tx_hash, ordinal, role, state, incarnation, block_number, block_hash, log_index, wallet,
      amount, credits, granted, r.name
    from creditd.event join creditd.rule r using (rule_id) order by tx_hash, ordinal, role"""
_ENTRIES: LiteralString = """
    select w.address, e.seq, e.kind, e.amount, e.available_after, e.debt_after, e.movement,
      e.lot_no, l.source, l.cause, l.incarnation, l.amount, l.remaining, l.state
    from creditd.entry e join creditd.wallet w using (root_id, account_id)
      left join creditd.lot l using (root_id, account_id, lot_no)
    order by w.address, e.seq"""
_BALANCES: LiteralString = """
    select w.address, a.available, a.debt, a.granted, a.spent, a.reversed, a.owed, a.repaid
    from creditd.account a join creditd.wallet w using (root_id, account_id) order by w.address"""
_CHAIN: LiteralString = """
    select indexed_number, indexed_hash, confirmed_number, confirmed_hash, state
    from creditd.chain"""

_POSITION: LiteralString = """
    select state, reason, indexed_number, confirmed_number, head_number, epoch, reorgs,
      last_reorg_depth from creditd.chain where chain_id = %s"""


@dataclass(frozen=True)
class Standing:
    """Where the books stand on a chain."""

    state: str
    reason: str | None
    indexed: int
    confirmed: int
    head: int
    epoch: int
    reorgs: int
    last_reorg_depth: int | None


@dataclass(frozen=True)
class Account:
    available: int
    debt: int
    granted: int
    spent: int


class Books:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, database_url: str) -> Iterator["Books"]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            yield cls(connection)

    def rows(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def standing(self, chain_id: int = 31337) -> Standing:
        (row,) = self.rows(_POSITION, chain_id)
        return Standing(*row)

    def account(self, wallet: bytes, chain_id: int = 31337) -> Account:
        """The wallet's account; all zeros if it has none."""
        found = self.rows(
            "select a.available, a.debt, a.granted, a.spent from creditd.account a"
            " join creditd.wallet w using (root_id, account_id)"
            " where w.chain_id = %s and w.address = %s",
            chain_id,
            wallet,
        )
        return Account(*found[0]) if found else Account(0, 0, 0, 0)

    def pending(self) -> dict[tuple[bytes, int], int]:
        """Credits of the events that are seen, by transaction and ordinal."""
        return {key: credits_micro for key, credits_micro, _ in self._events("pending")}

    def confirmed(self) -> dict[tuple[bytes, int], int]:
        """What confirmed events were granted, by transaction and ordinal."""
        return {key: granted for key, _, granted in self._events("confirmed")}

    def reversed(self) -> dict[tuple[bytes, int], int]:
        """Credits of the events that the chain has left, by transaction and ordinal."""
        return {key: credits_micro for key, credits_micro, _ in self._events("reversed")}

    def _events(self, state: str) -> list[tuple[tuple[bytes, int], int, int]]:
        found = self.rows(
            "select tx_hash, ordinal, credits, granted from creditd.event where state = %s", state
        )
        return [((tx_hash, ordinal), *amounts) for tx_hash, ordinal, *amounts in found]

    def live_grants(self) -> int:
        """The credits of all grants that stand, whatever was spent of them."""
        ((total,),) = self.rows(
            "select coalesce(sum(amount), 0)::bigint from creditd.lot"
            " where rule_id is not null and state = 'live'"
        )
        return int(total)

    def entry_kinds(self, wallet: bytes) -> list[tuple[str, int]]:
        """Name and amount of each entry of the wallet's account, in their order."""
        return [
            (name, amount)
            for name, amount in self.rows(
                "select k.name, e.amount from creditd.entry e"
                " join creditd.entry_kind k using (kind)"
                " join creditd.wallet w using (root_id, account_id)"
                " where w.address = %s order by e.seq",
                wallet,
            )
        ]

    def set_aside(self) -> list[tuple[int, bytes, str]]:
        """Block number, address and reason of each log that was set aside."""
        return [
            (number, address, reason)
            for number, address, reason in self.rows(
                "select block_number, address, reason from creditd.set_aside"
                " order by block_number, log_index"
            )
        ]

    def block_hashes(self, chain_id: int = 31337) -> dict[int, bytes]:
        return dict(
            self.rows("select number, hash from creditd.block where chain_id = %s", chain_id)
        )

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that a watcher writes, to see that it is the same as before."""
        return {name: self.rows(statement) for name, statement in _CONTENTS.items()}

    def story(self) -> dict[str, list[tuple[Any, ...]]]:
        """What happened, without the numbers and times that are drawn anew in other books."""
        told: Sequence[tuple[str, LiteralString]] = (
            ("events", _EVENTS),
            ("entries", _ENTRIES),
            ("balances", _BALANCES),
            ("chain", _CHAIN),
        )
        return {name: self.rows(statement) for name, statement in told}


def charges_in_the_books(database_url: str) -> list[tuple[int, int]]:
    """How many entries each key has, and what they took."""
    with Books.open(database_url) as books:
        return [
            (count, int(total))
            for count, total in books.rows(
                "select count(*), sum(total) from creditd.entry where kind = 2 and total > 0"
                " group by account_id, app_id, key_hash"
            )
        ]


def books_balance(database_url: str) -> None:
    """Require that an audit finds nothing wrong."""
    report = asyncio.run(audit(database_url))
    assert report.balanced, render(report)
