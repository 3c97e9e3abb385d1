"""Replaying the entries: the balances anew, from the entries alone.

This is a second telling of what `creditd.post` and `creditd.entry_hash` do, on purpose in another
language and from their description, not their text: a mistake would have to be made twice.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ledger.copying import copied
from ledger.findings import CheckResult, Findings
from ledger.kinds import EntryKind

# What an entry's hash is taken over: the hash before, twenty numbers (the last is the time in
# microseconds since 2000-01-01 UTC), the key and what was asked under it. -1 and zeros are null.
_HASHED: Final = struct.Struct(">32s20q16s16s")
_FIRST_HASHED: Final = struct.Struct(">qq")
# An entry as COPY sends it: the same, and then the hash.
_ROW: Final = struct.Struct(">2x" + 20 * "4xq" + "4x16s4x16s4x32s")
_HASHED_COLUMNS: Final = 22
_AT: Final = 19
_HASH: Final = 22
# Where an entry has its number an account's own row has this: it comes after all its entries.
_OF_ACCOUNT: Final = 2**63 - 1
_ACCOUNT_COLUMNS: Final = slice(3, 19)

_ROWS: Final = sql.SQL("""
    select root_id, account_id, seq, kind::bigint, amount, available_after, held_after, debt_after,
      coalesce(lot_no, -1), movement, coalesce(total, -1), coalesce(refers_to, -1),
      coalesce(peer_root, -1), coalesce(peer_account, -1), coalesce(member_id, -1),
      coalesce(app_id, -1)::bigint, coalesce(operation_id, -1)::bigint, coalesce(units, -1),
      coalesce(price_version, -1)::bigint, at,
      coalesce(key_hash, '00000000-0000-0000-0000-000000000000'),
      coalesce(request_hash, '00000000-0000-0000-0000-000000000000'),
      case octet_length(hash) when 32 then hash else decode(repeat('00', 32), 'hex') end
    from entry
    union all
    select root_id, account_id, 9223372036854775807, seq, available, held, debt, granted, spent,
      refunded, reversed, owed, repaid, expired, absorbed, recovered, moved, debt_moved, line,
      'epoch', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000',
      case octet_length(head_hash) when 32 then head_hash else decode(repeat('00', 32), 'hex') end
    from account order by 1, 2, 3""")

# What each kind does to what is available, to what is held and to the debt.
_EFFECTS: Final = {
    EntryKind.GRANT.value: (1, 0, 0),
    EntryKind.CHARGE.value: (-1, 0, 0),
    EntryKind.REFUND.value: (1, 0, 0),
    EntryKind.REVERSAL.value: (-1, 0, 0),
    EntryKind.DEBT.value: (0, 0, 1),
    EntryKind.REPAYMENT.value: (-1, 0, -1),
    EntryKind.EXPIRY.value: (-1, 0, 0),
    EntryKind.RESERVE.value: (-1, 1, 0),
    EntryKind.SETTLEMENT.value: (0, -1, 0),
    EntryKind.RELEASE.value: (1, -1, 0),
    EntryKind.ABSORPTION.value: (0, 0, 0),
    EntryKind.RECOVERY.value: (-1, 0, 0),
    EntryKind.MOVE_OUT.value: (-1, 0, 0),
    EntryKind.MOVE_IN.value: (1, 0, 0),
    EntryKind.DEBT_OUT.value: (0, 0, -1),
    EntryKind.DEBT_IN.value: (0, 0, 1),
    EntryKind.CREDIT_LINE.value: (1, 0, 0),
    EntryKind.LINE_CUT.value: (-1, 0, 0),
}
_NO_EFFECT: Final = (0, 0, 0)

_account_key = itemgetter(0, 1)

CHECKS: Final = (
    (
        "entries_have_no_gaps",
        "7. An account's entries are numbered without a gap, each later than the one before.",
        "An entry out of its place, or an account whose row says another last number.",
    ),
    (
        "entries_are_chained",
        "7. Each entry's hash is that of the hash before it and its own fields, computed anew.",
        "An entry that was changed (the next may show it too), or an account with another head.",
    ),
    (
        "entries_give_the_balances",
        "7. Replaying the entries gives every balance on the way and the account's row at the end.",
        "An entry that leaves another balance than it should, or a wrong total of an account.",
    ),
)


@dataclass(slots=True)
class Replayed:
    """What the entries of one account come to, as far as they have been replayed."""

    key: tuple[int, int]
    seq: int = 0
    head: bytes = b""
    available: int = 0
    held: int = 0
    debt: int = 0
    last_at: int = -_OF_ACCOUNT
    totals: Counter[int] = field(default_factory=Counter)
    has_account: bool = False

    def __post_init__(self) -> None:
        self.head = hashlib.sha256(_FIRST_HASHED.pack(*self.key)).digest()


class Replay:
    """Rows in the order of their keys go in: an account's entries, then its own."""

    def __init__(self) -> None:
        self.entries = 0
        self.numbering = Findings()
        self.chaining = Findings()
        self.balances = Findings()
        self._current: Replayed | None = None

    def take(self, rows: bytes) -> None:
        """Replay the next rows."""
        for key, run in groupby(_ROW.iter_unpack(rows), _account_key):
            if self._current is None or self._current.key != key:
                self.finish()
                self._current = Replayed(key)
            self._post(self._current, run)

    def finish(self) -> None:
        """Say that no more rows of the account at hand come."""
        if self._current is not None and not self._current.has_account:
            self._miss(self._current)

    def _post(self, so_far: Replayed, run: Iterable[TupleRow]) -> None:
        # Each entry is held against the one stored before it, so that one wrong entry is one or two
        # breaches and not as many as there are entries after it.
        pack, sha256 = _HASHED.pack, hashlib.sha256
        seq, head, last_at, totals = so_far.seq, so_far.head, so_far.last_at, so_far.totals
        available, held, debt = so_far.available, so_far.held, so_far.debt
        account: TupleRow | None = None
        for row in run:
            if row[2] == _OF_ACCOUNT:
                account = row
                continue
            self.entries += 1
            seq += 1
            if row[2] != seq or row[_AT] <= last_at:
                self._misnumbered(row, seq)
            digest = sha256(pack(head, *row[:_HASHED_COLUMNS])).digest()
            if row[_HASH] != digest:
                self._unchained(row, digest)
            kind, amount = row[3], row[4]
            on_available, on_held, on_debt = _EFFECTS.get(kind, _NO_EFFECT)
            available += on_available * amount
            held += on_held * amount
            debt += on_debt * amount
            if row[5:8] != (available, held, debt) or kind not in _EFFECTS:
                self._unbalanced(row, (available, held, debt))
            totals[kind] += amount
            seq, available, held, debt = row[2], row[5], row[6], row[7]
            last_at, head = row[_AT], row[_HASH]
        so_far.seq, so_far.head, so_far.last_at = seq, head, last_at
        so_far.available, so_far.held, so_far.debt = available, held, debt
        if account is not None:
            self._compare(so_far, account)

    def _compare(self, replayed: Replayed, account: TupleRow) -> None:
        """Hold what an account's entries come to against its row."""
        replayed.has_account = True
        root_id, account_id = replayed.key
        seq, available, held, debt, *totals = account[_ACCOUNT_COLUMNS]
        head = account[_HASH]
        if seq != replayed.seq:
            self.numbering.add(
                root_id=root_id, account_id=account_id, account_seq=seq, last_entry=replayed.seq
            )
        if head != replayed.head:
            self.chaining.add(
                root_id=root_id,
                account_id=account_id,
                account_head="0x" + head.hex(),
                entries_head="0x" + replayed.head.hex(),
            )
        says = dict(zip(_TOTALS, (available, held, debt, *totals), strict=True))
        should = dict(
            zip(
                _TOTALS,
                (
                    *(replayed.available, replayed.held, replayed.debt),
                    *(_sum(replayed.totals, *signed) for signed in _TOTAL_KINDS),
                ),
                strict=True,
            )
        )
        for name in _TOTALS:
            if says[name] != should[name]:
                self.balances.add(
                    root_id=root_id,
                    account_id=account_id,
                    column=name,
                    account_says=says[name],
                    entries_say=should[name],
                )

    def _miss(self, replayed: Replayed) -> None:
        """Say that entries have no account."""
        root_id, account_id = replayed.key
        self.balances.add(
            root_id=root_id,
            account_id=account_id,
            entries=replayed.seq,
            mistake="it has no account",
        )

    def _misnumbered(self, row: TupleRow, seq: int) -> None:
        self.numbering.add(
            root_id=row[0],
            account_id=row[1],
            seq=row[2],
            mistake=f"it should be {seq}"
            if row[2] != seq
            else "it is not later than the one before",
        )

    def _unchained(self, row: TupleRow, digest: bytes) -> None:
        self.chaining.add(
            root_id=row[0],
            account_id=row[1],
            seq=row[2],
            hash="0x" + bytes(row[_HASH]).hex(),
            should_be="0x" + digest.hex(),
        )

    def _unbalanced(self, row: TupleRow, should: tuple[int, int, int]) -> None:
        self.balances.add(
            root_id=row[0],
            account_id=row[1],
            seq=row[2],
            kind=row[3],
            amount=row[4],
            available_after=row[5],
            should_be_available=should[0],
            held_after=row[6],
            should_be_held=should[1],
            debt_after=row[7],
            should_be_debt=should[2],
        )


def _sum(totals: Counter[int], added: EntryKind, *further: tuple[int, EntryKind]) -> int:
    return totals[added.value] + sum(sign * totals[kind.value] for sign, kind in further)


# The columns of the account row that the entries' totals are held against, and the kinds of each.
_TOTALS: Final = (
    *("available", "held", "debt", "granted", "spent", "refunded", "reversed", "owed", "repaid"),
    *("expired", "absorbed", "recovered", "moved", "debt_moved", "line"),
)
_TOTAL_KINDS: Final[tuple[tuple[Any, ...], ...]] = (
    (EntryKind.GRANT,),
    (EntryKind.CHARGE, (1, EntryKind.SETTLEMENT)),
    (EntryKind.REFUND,),
    (EntryKind.REVERSAL,),
    (EntryKind.DEBT,),
    (EntryKind.REPAYMENT,),
    (EntryKind.EXPIRY,),
    (EntryKind.ABSORPTION,),
    (EntryKind.RECOVERY,),
    (EntryKind.MOVE_IN, (-1, EntryKind.MOVE_OUT)),
    (EntryKind.DEBT_IN, (-1, EntryKind.DEBT_OUT)),
    (EntryKind.CREDIT_LINE, (-1, EntryKind.LINE_CUT)),
)


async def replay(
    connection: AsyncConnection[TupleRow],
    scope: sql.Composed,
    progress: Callable[[int], None],
) -> tuple[CheckResult, ...]:
    """Replay all entries that `scope` lets through, and hold their accounts against them.

    Both are streamed together in the order of their keys: memory does not grow with the books.
    """
    replaying = Replay()
    async with aclosing(copied(connection, scope + _ROWS, _ROW.size)) as some:
        async for rows in some:
            replaying.take(rows)
            progress(replaying.entries)
    replaying.finish()
    return _results(replaying)


def _results(replaying: Replay) -> tuple[CheckResult, ...]:
    found = (replaying.numbering, replaying.chaining, replaying.balances)
    return tuple(
        CheckResult(
            name=name,
            promise=promise,
            row_means=row_means,
            examined=replaying.entries,
            breaches=tuple(findings.listed),
            breaches_total=findings.total,
        )
        for (name, promise, row_means), findings in zip(CHECKS, found, strict=True)
    )
