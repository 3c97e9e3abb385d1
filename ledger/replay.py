"""Replaying the entries: the balances anew, from the entries alone.

This is a second telling of what `creditd.post` and `creditd.entry_hash` do, on purpose in another
language and from their description, not their text: a mistake would have to be made twice.

Thousands of rows are looked at in one go, column by column.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ledger.copying import copied
from ledger.findings import CheckResult, Fact, Findings
from ledger.kinds import EntryKind

# Enough to make a turn over columns cheap, few enough for a few megabytes.
ROWS_AT_ONCE_MIN: Final = 8_000

Column = npt.NDArray[np.int64]
Sent = npt.NDArray[np.void]  # rows as COPY sends them
Hashes = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]

# What an entry's hash is taken over: the hash before, twenty numbers (the last is the time in
# microseconds since 2000-01-01 UTC), the key and what was asked under it. -1 and zeros are null.
_NUMBERS: Final = 20
_HASHED: Final = np.dtype(
    [("before", "V32"), ("numbers", ">i8", (_NUMBERS,)), ("key", "V16"), ("request", "V16")]
)
_HASH: Final = np.dtype("V32")
_FIRST_HASHED: Final = struct.Struct(">qq")


def _sent(kind: str) -> list[tuple[str, str]]:
    """Return how COPY sends a value: its length, then itself."""
    return [("length", ">i4"), ("value", kind)]


# An entry as COPY sends it: the same, and then the hash.
_ROW: Final = np.dtype(
    [
        ("values", ">i2"),
        ("numbers", _sent(">i8"), (_NUMBERS,)),
        ("key", _sent("V16")),
        ("request", _sent("V16")),
        ("hash", _sent("V32")),
    ]
)
_ROOT, _ACCOUNT, _SEQ, _KIND, _AMOUNT, _AVAILABLE, _HELD, _DEBT = range(8)
_AT: Final = 19
# Where an entry has its number an account's own row has this: it comes after all its entries.
_OF_ACCOUNT: Final = 2**63 - 1
# From there on an account's row has its last number, then its balances and totals.
_LAST_SEQ: Final = 3
_OF_ACCOUNT_ROW: Final = slice(4, 19)
_BALANCES: Final = (_AVAILABLE, _HELD, _DEBT)
_BEFORE_ALL: Final = -(2**63)

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


# The totals in the columns of an account's row: the kinds that add to each and, below zero, those
# that take from it.
_TOTAL_KINDS: Final[dict[str, tuple[int, ...]]] = {
    "granted": (EntryKind.GRANT,),
    "spent": (EntryKind.CHARGE, EntryKind.SETTLEMENT),
    "refunded": (EntryKind.REFUND,),
    "reversed": (EntryKind.REVERSAL,),
    "owed": (EntryKind.DEBT,),
    "repaid": (EntryKind.REPAYMENT,),
    "expired": (EntryKind.EXPIRY,),
    "absorbed": (EntryKind.ABSORPTION,),
    "recovered": (EntryKind.RECOVERY,),
    "moved": (EntryKind.MOVE_IN, -EntryKind.MOVE_OUT),
    "debt_moved": (EntryKind.DEBT_IN, -EntryKind.DEBT_OUT),
    "line": (EntryKind.CREDIT_LINE, -EntryKind.LINE_CUT),
}
_ACCOUNT_COLUMNS: Final = ("available", "held", "debt", *_TOTAL_KINDS)

# The same two tables by number. Kinds that nobody knows count as 0, which changes nothing.
_KINDS: Final = max(EntryKind) + 1
_EFFECT: Final = np.array([_EFFECTS.get(kind, (0, 0, 0)) for kind in range(_KINDS)]).T
_SIGNS: Final = np.array(
    [[(kind in of) - (-kind in of) for kind in range(_KINDS)] for of in _TOTAL_KINDS.values()]
)
# Amounts are summed in two halves of 32 bits: no sum of fewer than 2**31 entries overflows.
_HALF: Final = 32
_LOW: Final = 2**_HALF - 1


class Rows:
    """Rows in their order, by columns, each beside the row before it.

    `before` of an account's first row is nothing at all. Numbers wrap around at 64 bits.
    """

    def __init__(self, last: Sent | None, sent: bytes) -> None:
        now = np.frombuffer(sent, _ROW)
        all_rows = np.concatenate((now[:1] if last is None else last, now))
        numbers = np.ascontiguousarray(all_rows["numbers"]["value"].T, dtype=np.int64)
        keys = numbers[[_ROOT, _ACCOUNT]]
        self.last = all_rows[-1:]
        self.sent = now
        self.numbers = numbers[:, 1:]
        self.begins: Mask = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        self.begins[0] |= last is None
        self.is_entry: Mask = self.numbers[_SEQ] != _OF_ACCOUNT
        # Whose row of the account has not come when the next account begins.
        self.is_left: Mask = self.begins & (numbers[_SEQ, :-1] != _OF_ACCOUNT)
        self.is_left[0] &= last is not None
        self._before = numbers[:, :-1]
        self.hashes = np.ascontiguousarray(all_rows["hash"]["value"])
        self.hashes_before = self.hashes[:-1].copy()
        self.hashes_before[self.begins] = self._first_hashes()
        self.hashes = self.hashes[1:]

    def before(self, number: int, nothing: int = 0) -> Column:
        """Return a number of the rows before; `nothing` where there is none."""
        return np.where(self.begins, nothing, self._before[number])

    def key_before(self, row: int) -> tuple[int, int]:
        """Return root and account of the row before."""
        return int(self._before[_ROOT, row]), int(self._before[_ACCOUNT, row])

    def digests(self) -> Hashes:
        """Return what the hash of each row should be, if it is an entry."""
        hashed = np.empty(len(self.sent), _HASHED)
        hashed["before"] = self.hashes_before
        hashed["numbers"] = self.sent["numbers"]["value"]
        hashed["key"] = self.sent["key"]["value"]
        hashed["request"] = self.sent["request"]["value"]
        sha256, width = hashlib.sha256, _HASHED.itemsize
        text = memoryview(hashed.tobytes())
        return _hashes([sha256(text[at : at + width]) for at in range(0, len(text), width)])

    def _first_hashes(self) -> Hashes:
        keys = self.numbers[[_ROOT, _ACCOUNT]][:, self.begins].T.tolist()
        return _hashes([hashlib.sha256(_FIRST_HASHED.pack(*key)) for key in keys])


class Replay:
    """Rows in the order of their keys go in: an account's entries, then its own."""

    def __init__(self) -> None:
        self.entries = 0
        self.numbering = Findings()
        self.chaining = Findings()
        self.balances = Findings()
        self._last: Sent | None = None
        # Of the account at hand: the sums of its entries by kind, in two halves.
        self._sums = np.zeros((2, _KINDS), np.int64)

    def take(self, sent: bytes) -> None:
        """Replay the next rows, one at least.

        Each entry is held against the one stored before it, so that one wrong entry is one or two
        breaches and not as many as there are entries after it.
        """
        rows = Rows(self._last, sent)
        self.entries += int(np.count_nonzero(rows.is_entry))
        for row in np.flatnonzero(rows.is_left):
            self._miss(rows.key_before(row))
        self._check_numbers(rows)
        self._check_chain(rows)
        self._check_balances(rows)
        self._check_accounts(rows)
        self._last = rows.last

    def finish(self) -> None:
        """Say that no more rows come."""
        if self._last is not None:
            root_id, account_id, seq, *_ = self._last["numbers"]["value"][0].tolist()
            if seq != _OF_ACCOUNT:
                self._miss((root_id, account_id))

    def _check_numbers(self, rows: Rows) -> None:
        seq, at = rows.numbers[_SEQ], rows.numbers[_AT]
        last_seq = rows.before(_SEQ)
        is_out = seq != last_seq + 1
        is_early = at <= rows.before(_AT, _BEFORE_ALL)
        for row in np.flatnonzero(rows.is_entry & (is_out | is_early)):
            self.numbering.add(
                **_whose(rows, row),
                seq=int(seq[row]),
                mistake=f"it should be {last_seq[row] + 1}"
                if is_out[row]
                else "it is not later than the one before",
            )
        said = rows.numbers[_LAST_SEQ]
        for row in np.flatnonzero(~rows.is_entry & (said != last_seq)):
            self.numbering.add(
                **_whose(rows, row), account_seq=int(said[row]), last_entry=int(last_seq[row])
            )

    def _check_chain(self, rows: Rows) -> None:
        should = rows.digests()
        for row in np.flatnonzero(rows.is_entry & _differ(rows.hashes, should)):
            self.chaining.add(
                **_whose(rows, row),
                seq=int(rows.numbers[_SEQ, row]),
                hash=_hex(rows.hashes[row]),
                should_be=_hex(should[row]),
            )
        for row in np.flatnonzero(~rows.is_entry & _differ(rows.hashes, rows.hashes_before)):
            self.chaining.add(
                **_whose(rows, row),
                account_head=_hex(rows.hashes[row]),
                entries_head=_hex(rows.hashes_before[row]),
            )

    def _check_balances(self, rows: Rows) -> None:
        amount, kinds = rows.numbers[_AMOUNT], _kinds(rows)
        doubtful = (kinds == 0) | (amount < 0)
        for effect, number in zip(_EFFECT, _BALANCES, strict=True):
            before, after = rows.before(number), rows.numbers[number]
            # Where nothing is negative, a sum that wrapped around is none of these numbers.
            doubtful |= (before + effect[kinds] * amount != after) | (np.minimum(before, after) < 0)
        balances = [rows.before(number) for number in _BALANCES]
        for row in np.flatnonzero(rows.is_entry & doubtful):
            self._look_closer(rows, row, [int(before[row]) for before in balances])

    def _look_closer(self, rows: Rows, row: int, before: list[int]) -> None:
        """Hold an entry's balances against those before it, in numbers of any size."""
        seq, kind, amount, *after = rows.numbers[_SEQ : _DEBT + 1, row].tolist()
        effects = _EFFECTS.get(kind, (0, 0, 0))
        should = [was + effect * amount for was, effect in zip(before, effects, strict=True)]
        if kind in _EFFECTS and after == should:
            return
        self.balances.add(
            **_whose(rows, row),
            seq=seq,
            kind=kind,
            amount=amount,
            available_after=after[0],
            should_be_available=should[0],
            held_after=after[1],
            should_be_held=should[1],
            debt_after=after[2],
            should_be_debt=should[2],
        )

    def _check_accounts(self, rows: Rows) -> None:
        """Hold what the entries of accounts come to against the accounts' own rows."""
        accounts, sums = self._summed(rows)
        balances = np.array([rows.before(number)[accounts] for number in _BALANCES])
        high = np.concatenate((balances >> _HALF, _SIGNS @ sums[0]))
        low = np.concatenate((balances & _LOW, _SIGNS @ sums[1]))
        high += low >> _HALF
        low &= _LOW
        said = rows.numbers[_OF_ACCOUNT_ROW][:, accounts]
        for place, column in np.argwhere(((said >> _HALF != high) | (said & _LOW != low)).T):
            self.balances.add(
                **_whose(rows, accounts[place]),
                column=_ACCOUNT_COLUMNS[column],
                account_says=int(said[column, place]),
                entries_say=(int(high[column, place]) << _HALF) + int(low[column, place]),
            )

    def _summed(self, rows: Rows) -> tuple[Column, Column]:
        """Return where the accounts' own rows are, and the sums of each one's entries by kind.

        Sums are in two halves; those of an account that goes on are kept for the rows to come.
        """
        amount, kinds = rows.numbers[_AMOUNT], _kinds(rows)
        starts = np.flatnonzero(rows.begins)
        goes_on = not rows.begins[0]
        if goes_on:
            starts = np.concatenate(([0], starts))
        sums = np.zeros((2, _KINDS, len(starts)), np.int64)
        for kind in np.unique(kinds):
            amounts = np.where(kinds == kind, amount, 0)
            sums[0, kind] = np.add.reduceat(amounts >> _HALF, starts)
            sums[1, kind] = np.add.reduceat(amounts & _LOW, starts)
        if goes_on:
            sums[:, :, 0] += self._sums
        self._sums = sums[:, :, -1]
        accounts = np.flatnonzero(~rows.is_entry)
        return accounts, sums[:, :, np.searchsorted(starts, accounts, side="right") - 1]

    def _miss(self, key: tuple[int, int]) -> None:
        """Say that entries have no account."""
        root_id, account_id = key
        self.balances.add(root_id=root_id, account_id=account_id, mistake="it has no account")


def _kinds(rows: Rows) -> Column:
    """Return the kinds of entries; 0 for kinds that nobody knows and for what is no entry."""
    kinds = rows.numbers[_KIND]
    return np.where(rows.is_entry & (kinds > 0) & (kinds < _KINDS), kinds, 0)


def _whose(rows: Rows, row: np.int64) -> dict[str, Fact]:
    root_id, account_id = rows.numbers[[_ROOT, _ACCOUNT], row].tolist()
    return {"root_id": root_id, "account_id": account_id}


def _hashes(digests: "Iterable[hashlib._Hash]") -> Hashes:
    return np.frombuffer(b"".join([made.digest() for made in digests]), _HASH)


def _differ(some: Hashes, others: Hashes) -> Mask:
    """Say which hashes are not the same: compared as numbers, which is quick."""
    words = (some.view(np.int64) ^ others.view(np.int64)).reshape(-1, _HASH.itemsize // 8)
    return words.any(axis=1)


def _hex(a_hash: np.void) -> str:
    return "0x" + a_hash.tobytes().hex()


async def replay(
    connection: AsyncConnection[TupleRow],
    scope: sql.Composed,
    progress: Callable[[int], None],
) -> tuple[CheckResult, ...]:
    """Replay all entries that `scope` lets through, and hold their accounts against them.

    Both are streamed together in the order of their keys: memory does not grow with the books.
    """
    replaying = Replay()
    waiting: list[bytes] = []
    async with aclosing(copied(connection, scope + _ROWS, _ROW.itemsize)) as some:
        async for rows in some:
            waiting.append(rows)
            if sum(map(len, waiting)) >= ROWS_AT_ONCE_MIN * _ROW.itemsize:
                replaying.take(b"".join(waiting))
                waiting.clear()
                progress(replaying.entries)
    if any(waiting):
        replaying.take(b"".join(waiting))
    replaying.finish()
    progress(replaying.entries)
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
