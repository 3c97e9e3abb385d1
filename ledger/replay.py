"""Replaying the entries: the balances anew, from the entries alone.

This is a second telling of what `creditd.post` and `creditd.entry_hash` do, on purpose in another
language and from their description, not their text: a mistake would have to be made twice.

Thousands of rows are looked at in one go, column by column.
"""

from contextlib import aclosing
from typing import Final

import numpy as np
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from ledger.copying import copied
from ledger.findings import CheckResult, Fact, Findings
from ledger.kinds import EntryKind
from ledger.replay_rows import (
    ACCOUNT,
    AMOUNT,
    AT,
    BALANCES,
    BEFORE_ALL,
    DEBT,
    HASH,
    KIND,
    LAST_SEQ,
    OF_ACCOUNT,
    OF_ACCOUNT_ROW,
    ROOT,
    ROW,
    ROWS,
    SEQ,
    Column,
    Hashes,
    Mask,
    Rows,
    Sent,
)

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
        for row in _where(rows.is_left):
            self._miss(*rows.place_before(row))
        self._check_numbers(rows)
        self._check_chain(rows)
        self._check_balances(rows)
        self._check_accounts(rows)
        self._last = rows.last

    def finish(self) -> None:
        """Say that no more rows come."""
        if self._last is not None:
            root_id, account_id, seq, *_ = self._last["numbers"]["value"][0].tolist()
            if seq != OF_ACCOUNT:
                self._miss(root_id, account_id, seq)

    def _check_numbers(self, rows: Rows) -> None:
        seq, at = rows.numbers[SEQ], rows.numbers[AT]
        last_seq = rows.before(SEQ)
        is_out = seq != last_seq + 1
        is_early = at <= rows.before(AT, BEFORE_ALL)
        for row in _where(rows.is_entry & (is_out | is_early)):
            self.numbering.add(
                **_whose(rows, row),
                seq=int(seq[row]),
                mistake=f"it should be {last_seq[row] + 1}"
                if is_out[row]
                else "it is not later than the one before",
            )
        said = rows.numbers[LAST_SEQ]
        for row in _where(~rows.is_entry & (said != last_seq)):
            self.numbering.add(
                **_whose(rows, row), account_seq=int(said[row]), last_entry=int(last_seq[row])
            )

    def _check_chain(self, rows: Rows) -> None:
        should = rows.digests()
        for row in _where(rows.is_entry & _differ(rows.hashes, should)):
            self.chaining.add(
                **_whose(rows, row),
                seq=int(rows.numbers[SEQ, row]),
                hash=_hex(rows.hashes[row]),
                should_be=_hex(should[row]),
            )
        for row in _where(~rows.is_entry & _differ(rows.hashes, rows.hashes_before)):
            self.chaining.add(
                **_whose(rows, row),
                account_head=_hex(rows.hashes[row]),
                entries_head=_hex(rows.hashes_before[row]),
            )

    def _check_balances(self, rows: Rows) -> None:
        amount, kinds = rows.numbers[AMOUNT], _kinds(rows)
        doubtful = (kinds == 0) | (amount < 0)
        for effect, number in zip(_EFFECT, BALANCES, strict=True):
            before, after = rows.before(number), rows.numbers[number]
            # Where nothing is negative, a sum that wrapped around is none of these numbers.
            doubtful |= (before + effect[kinds] * amount != after) | (np.minimum(before, after) < 0)
        balances = [rows.before(number) for number in BALANCES]
        for row in _where(rows.is_entry & doubtful):
            self._look_closer(rows, row, [int(before[row]) for before in balances])

    def _look_closer(self, rows: Rows, row: int, before: list[int]) -> None:
        """Hold an entry's balances against those before it, in numbers of any size."""
        seq, kind, amount, *after = rows.numbers[SEQ : DEBT + 1, row].tolist()
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
        balances = np.array([rows.before(number)[accounts] for number in BALANCES])
        high = np.concatenate((balances >> _HALF, _SIGNS @ sums[0]))
        low = np.concatenate((balances & _LOW, _SIGNS @ sums[1]))
        high += low >> _HALF
        low &= _LOW
        said = rows.numbers[OF_ACCOUNT_ROW][:, accounts]
        for place, column in np.argwhere(
            ((said >> _HALF != high) | (said & _LOW != low)).T
        ).tolist():
            self.balances.add(
                **_whose(rows, int(accounts[place])),
                column=_ACCOUNT_COLUMNS[column],
                account_says=int(said[column, place]),
                entries_say=(int(high[column, place]) << _HALF) + int(low[column, place]),
            )

    def _summed(self, rows: Rows) -> tuple[Column, Column]:
        """Return where the accounts' own rows are, and the sums of each one's entries by kind.

        Sums are in two halves; those of an account that goes on are kept for the rows to come.
        """
        amount, kinds = rows.numbers[AMOUNT], _kinds(rows)
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

    def _miss(self, root_id: int, account_id: int, last_seq: int) -> None:
        """Say that entries have no account."""
        self.balances.add(
            root_id=root_id,
            account_id=account_id,
            entries=last_seq,
            mistake="it has no account",
        )


def _where(mask: Mask) -> list[int]:
    return np.flatnonzero(mask).tolist()


def _kinds(rows: Rows) -> Column:
    """Return the kinds of entries; 0 for kinds that nobody knows and for what is no entry."""
    kinds = rows.numbers[KIND]
    return np.where(rows.is_entry & (kinds > 0) & (kinds < _KINDS), kinds, 0)


def _whose(rows: Rows, row: int) -> dict[str, Fact]:
    root_id, account_id = rows.numbers[[ROOT, ACCOUNT], row].tolist()
    return {"root_id": root_id, "account_id": account_id}


def _differ(some: Hashes, others: Hashes) -> Mask:
    """Say which hashes are not the same: compared as numbers, which is quick."""
    is_other = some.view(np.int64) != others.view(np.int64)
    differ: Mask = is_other.reshape(-1, HASH.itemsize // 8).any(axis=1)
    return differ


def _hex(a_hash: np.void) -> str:
    return "0x" + a_hash.tobytes().hex()


async def replay(
    connection: AsyncConnection[TupleRow], scope: sql.Composed
) -> tuple[CheckResult, ...]:
    """Replay all entries that `scope` lets through, and hold their accounts against them.

    Both are streamed together in the order of their keys: memory does not grow with the books.
    """
    replaying = Replay()
    async with aclosing(copied(connection, scope + ROWS, ROW.itemsize)) as some:
        async for rows in some:
            if rows:
                replaying.take(rows)
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
