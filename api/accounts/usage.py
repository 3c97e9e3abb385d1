"""What an account's charges took, in sums."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from api.accounts import wire
from api.accounts.csv_files import csv_stream
from api.accounts.entries import window_of
from api.calling.asked import moment_asked
from api.calling.calls import Answer, Call, Parts, Stream
from api.calling.reached import reached_account
from api.problems.refusals import Invalid, Refused
from api.shapes import NoBody
from ledger.credits import format_credits

USAGE_DAYS_DEFAULT: Final = 30
USAGE_DAYS_MAX: Final = 366
# All of them are looked at: a second or two, of the five that a question may take.
USAGE_ENTRIES_MAX: Final = 500_000
# Before there was any chain: what comes before may be no time that can be reckoned with.
_FIRST: Final = datetime(2009, 1, 1, tzinfo=UTC)


async def usage(parts: Parts, call: Call[NoBody, wire.UsageQuery]) -> Answer:
    """Return what the account's charges took in a time."""
    return Answer(200, await _report(parts, call))


async def usage_file(parts: Parts, call: Call[NoBody, wire.UsageQuery]) -> Stream:
    """Return the same as a file."""
    return csv_stream("usage", wire.Usage, _page((await _report(parts, call)).data))


async def _page(rows: Sequence[wire.Usage]) -> AsyncGenerator[Sequence[wire.Usage], None]:
    yield rows


async def _report(parts: Parts, call: Call[NoBody, wire.UsageQuery]) -> wire.UsageReport:
    account = await reached_account(parts, call.caller, call.path["account"])
    query = call.query
    until = moment_asked("to", query.until) or datetime.now(UTC)
    since = moment_asked("from", query.since)
    if since is None:
        since = max(until, _FIRST) - timedelta(days=USAGE_DAYS_DEFAULT)
    if not timedelta(0) < until - since <= timedelta(days=USAGE_DAYS_MAX):
        message = f"is before `to`, by {USAGE_DAYS_MAX} days at most"
        raise Refused(Invalid("from", message))
    window = await window_of(parts, account, since, until)
    if window.to - window.after > USAGE_ENTRIES_MAX:
        message = (
            f"lets {window.to - window.after} entries be summed up, and {USAGE_ENTRIES_MAX} are the"
            " most at once: ask for a shorter time, and add"
        )
        raise Refused(Invalid("from", message))
    rows = await parts.reading.usage(
        account, query.group_by, after_seq=window.after, to_seq=window.to
    )
    data = [
        wire.Usage(
            row.used_by,
            row.charges,
            row.units,
            format_credits(row.spent),
            format_credits(row.refunded),
        )
        for row in rows
    ]
    return wire.UsageReport(query.group_by, since, until, data)
