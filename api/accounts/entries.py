"""What was done on an account: its rows in the books, as a list and as a file."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.accounts import wire
from api.accounts.csv_files import ROWS_AT_ONCE, csv_stream
from api.accounts.origins import hash_shown, reward_shown
from api.calling.asked import moment_asked
from api.calling.calls import Answer, Call, Parts, Stream
from api.calling.cursors import format_cursor, paged, parse_cursor
from api.calling.reached import reached_account
from api.problems.refusals import Refused
from api.shapes import NoBody
from ledger.credits import format_credits
from ledger.ids import AccountRef
from ledger.kinds import EntryKind
from ledger.outcomes import NoSuchAccount
from ledger.reading import EntryRow, GrantOrigin

# Of which a page takes those of a kind: some ten milliseconds' work, however rare the kind is.
LOOKED_AT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """Entries of an account: those after `after` and up to `to`, by their numbers."""

    after: int
    to: int


async def window_of(
    parts: Parts, account: AccountRef, since: datetime | None, until: datetime | None
) -> Window:
    """Return which entries were made from `since` on and before `until`, up to now."""
    reading = parts.reading
    found = await reading.balance(account)
    if found is None:
        raise Refused(NoSuchAccount())
    after = 0 if since is None else await reading.entries_before(account, since)
    to = found.version if until is None else await reading.entries_before(account, until)
    return Window(after, min(to, found.version))


async def entries(parts: Parts, call: Call[NoBody, wire.EntryQuery]) -> Answer:
    """Return a page of the account's entries, newest first."""
    account = await reached_account(parts, call.caller, call.path["account"])
    query, cursor = call.query, call.query.cursor
    window = await window_of(parts, account, *_asked(query))
    to = window.to if cursor is None else min(window.to, parse_cursor("entries", cursor) - 1)
    kinds = _kinds(query.kind)
    lowest = window.after if kinds is None else max(window.after, to - LOOKED_AT_MAX)
    # One row more than asked for tells whether there is a next page.
    rows = await parts.reading.entries(
        account, before_seq=to + 1, after_seq=lowest, kinds=kinds, limit=query.limit + 1
    )
    page, last = paged(rows, query.limit)
    next_before = None
    if last is not None:
        next_before = last.seq
    elif lowest > window.after:
        next_before = lowest + 1
    return Answer(
        200,
        wire.EntryPage(
            [entry_shown(row) for row in page],
            None if next_before is None else format_cursor("entries", next_before),
        ),
    )


async def entries_file(parts: Parts, call: Call[NoBody, wire.EntryFileQuery]) -> Stream:
    """Return the account's entries up to now as a file."""
    account = await reached_account(parts, call.caller, call.path["account"])
    window = await window_of(parts, account, *_asked(call.query))
    pages = _pages(parts, account, window, _kinds(call.query.kind))
    return csv_stream("entries", wire.Entry, pages)


async def _pages(
    parts: Parts, account: AccountRef, window: Window, kinds: tuple[EntryKind, ...] | None
) -> AsyncGenerator[Sequence[wire.Entry], None]:
    to = window.to
    while to > window.after:
        lowest = max(window.after, to - LOOKED_AT_MAX)
        rows = await parts.reading.entries(
            account, before_seq=to + 1, after_seq=lowest, kinds=kinds, limit=ROWS_AT_ONCE
        )
        yield [entry_shown(row) for row in rows]
        to = rows[-1].seq - 1 if len(rows) == ROWS_AT_ONCE else lowest


def _asked(
    query: wire.EntryQuery | wire.EntryFileQuery,
) -> tuple[datetime | None, datetime | None]:
    return moment_asked("from", query.since), moment_asked("to", query.until)


def _kinds(name: str | None) -> tuple[EntryKind, ...] | None:
    return None if name is None else (EntryKind[name.upper()],)


def entry_shown(row: EntryRow) -> wire.Entry:
    """Return an entry as it is shown."""
    return wire.Entry(
        seq=row.seq,
        kind=row.kind,
        amount=format_credits(row.amount),
        available_after=format_credits(row.available_after),
        debt_after=format_credits(row.debt_after),
        movement=row.movement,
        refers_to=row.refers_to,
        operation=row.operation,
        model=row.model,
        units=row.units,
        price_version=row.price_version,
        grant=None if row.grant is None else _origin(row.grant),
        at=row.at,
    )


def _origin(grant: GrantOrigin) -> wire.Origin:
    return wire.Origin(
        source=grant.source,
        chain_id=grant.chain_id,
        tx_hash=hash_shown(grant.tx_hash),
        ordinal=grant.ordinal,
        period_end=grant.period_end,
        reward=reward_shown(grant.reward),
    )
