"""What happens on an account, told as it happens: server-sent events."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import msgspec

from api.accounts.balance import balance_shown
from api.accounts.earnings import earning_shown
from api.caching import NO_STORE
from api.calling.caller import Caller
from api.calling.calls import Call, Parts, Stream
from api.calling.reached import reached_account, reaches
from api.shapes import NoBody, NoQuery
from ledger.ids import AccountRef
from ledger.reading import Balance, EarningCursor, EarningRow, EarningState
from ledger.requests import BIGINT_MAX

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0  # proxies give a silent connection up after a minute or half of one
# So often it is looked whether the reader may still read, and for changes that nobody told of: an
# API key that was revoked is remembered for as long again.
LOOK_SECONDS: Final = 5.0
# Of what changes more often, the newest state is told.
PAUSE_SECONDS: Final = 0.1
# Earnings that are told one by one. Who has missed more reads the list anew.
MISSED_MAX: Final = 200
# Pending earnings that are watched for what becomes of them.
PENDING_FOLLOWED_MAX: Final = 1_000
RETRY_MS: Final = 2_000  # after which a browser connects again

_ID = re.compile(rb"([0-9]{1,19})\.([0-9]{1,19})\.([0-9]{1,19})\.([0-9]{1,19})", re.ASCII)
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Told:
    """What the reader knows: of which version, and which earnings are the newest and pending."""

    version: int
    newest: int
    taken_back: int
    pending: set[EarningCursor] = field(default_factory=set)

    def id(self) -> bytes:
        lowest = min(self.pending, default=self.newest + 1)
        return b"%d.%d.%d.%d" % (self.version, self.newest, lowest, self.taken_back)


async def events(parts: Parts, call: Call[NoBody, NoQuery]) -> Stream:
    """Tell of the account's balance and earnings for as long as the reader stays."""
    account = await reached_account(parts, call.caller, call.path["account"])
    last_ids = [value for name, value in call.headers if name == b"last-event-id"]
    headers = (NO_STORE, ("X-Accel-Buffering", "no"))
    return Stream(MEDIA_TYPE, _events(parts, call.caller, account, last_ids), headers)


async def _events(
    parts: Parts, caller: Caller, account: AccountRef, last_ids: list[bytes]
) -> AsyncGenerator[bytes, None]:
    with parts.balances.watching(account) as changed:
        yield b"retry: %d\n\n" % RETRY_MS
        follower = _Follower(parts, account)
        if last_ids:
            async for piece in follower.resume(last_ids[-1]):
                yield piece
        beat = monotonic()
        while await reaches(parts, caller, account):
            changed.clear()
            async for piece in follower.look():
                yield piece
            if await _set_within(changed, LOOK_SECONDS):
                await asyncio.sleep(PAUSE_SECONDS)
            if monotonic() - beat >= HEARTBEAT_SECONDS:
                beat = monotonic()
                yield b": still here\n\n"
            else:
                yield b""  # whether the caller may still call is looked at between pieces


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class _Follower:
    """Knows what one reader was told, and finds what is new."""

    def __init__(self, parts: Parts, account: AccountRef) -> None:
        self._parts = parts
        self._account = account
        self._told: _Told | None = None
        self._shown: Balance | None = None

    async def resume(self, last_id: bytes) -> AsyncIterator[bytes]:
        """Tell what a reader has missed since an event, or that it has to read anew."""
        parts = _ID.fullmatch(last_id)
        balance = await self._balance()
        if balance is None:
            return
        places = () if parts is None else tuple(map(int, parts.groups()))
        if places and max(places) <= BIGINT_MAX:
            version, newest, lowest, taken_back = places
            after = EarningCursor(min(lowest, newest + 1) - 1)
            rows = await self._parts.reading.earnings_after(
                self._account, after, limit=MISSED_MAX + 1
            )
            if len(rows) <= MISSED_MAX and taken_back == balance.taken_back:
                self._told = told = _Told(version, newest, taken_back)
                for row in rows:
                    if row.cursor > newest or _is_later(row, version):
                        yield self._earning(told, row)
                    elif row.state == "pending":
                        told.pending.add(row.cursor)
                return
        async for piece in self._reset(balance):
            yield piece

    async def look(self) -> AsyncIterator[bytes]:
        """Tell what has changed since the last look."""
        balance = await self._balance()
        if balance is None:
            return
        if self._told is None:
            self._told = await self._begin(balance)
        told = self._told
        if balance.taken_back != told.taken_back:
            async for piece in self._reset(balance):
                yield piece
        elif self._shown is None or _earned(balance) != _earned(self._shown):
            async for piece in self._earnings(told, balance):
                yield piece
        if balance != self._shown:  # that its estimates move is not told
            self._shown = balance
            self._told.version = balance.version
            yield _event(b"balance", self._told.id(), _encode(balance_shown(balance)))

    async def _balance(self) -> Balance | None:
        found = await self._parts.balances.get(self._account)
        return None if found is None else found.balance

    async def _begin(self, balance: Balance) -> _Told:
        reading, account = self._parts.reading, self._account
        newest = await reading.earnings(account, before=None, limit=1)
        pending = await reading.earnings(
            account, before=None, limit=PENDING_FOLLOWED_MAX, state="pending"
        )
        told = _Told(balance.version, newest[0].cursor if newest else 0, balance.taken_back)
        told.pending = {row.cursor for row in pending}
        return told

    async def _reset(self, balance: Balance) -> AsyncIterator[bytes]:
        self._told = await self._begin(balance)
        yield _event(b"reset", self._told.id(), b"{}")

    async def _earnings(self, told: _Told, balance: Balance) -> AsyncIterator[bytes]:
        reading, account = self._parts.reading, self._account
        before = set(told.pending)
        known = await reading.earnings_named(account, before)
        later = await reading.earnings_after(
            account, EarningCursor(told.newest), limit=MISSED_MAX + 1
        )
        if len(later) > MISSED_MAX or before - {row.cursor for row in known}:
            # Too many to tell, or the chain has left blocks that had not been confirmed.
            async for piece in self._reset(balance):
                yield piece
            return
        for row in (*known, *await self._come_late(told)):
            if row.state != "pending" or row.cursor not in before:
                yield self._earning(told, row)
        for row in later:
            yield self._earning(told, row)

    async def _come_late(self, told: _Told) -> list[EarningRow]:
        """Return what is pending and was not told, although what was seen later has been.

        Its wallet was linked since, or another chain's were written down first.
        """
        if len(told.pending) >= PENDING_FOLLOWED_MAX:
            return []  # what is not followed would be told again and again
        pending = await self._parts.reading.earnings(
            self._account, before=None, limit=PENDING_FOLLOWED_MAX, state="pending"
        )
        late = [
            row for row in pending if row.cursor <= told.newest and row.cursor not in told.pending
        ]
        return late[::-1]

    def _earning(self, told: _Told, row: EarningRow) -> bytes:
        told.newest = max(told.newest, row.cursor)
        if row.state == "pending" and len(told.pending) < PENDING_FOLLOWED_MAX:
            told.pending.add(row.cursor)
        else:
            told.pending.discard(row.cursor)
        return _event(b"earning", told.id(), _encode(earning_shown(row)))


def _is_later(row: EarningRow, version: int) -> bool:
    """Return whether an earning has come to its state after a version, or may have."""
    states: tuple[EarningState, ...] = ("confirmed", "reversed")
    return row.state in states and (row.lot_no is None or row.lot_no > version)


def _earned(balance: Balance) -> tuple[int, int]:
    return balance.pending, balance.granted


def _event(name: bytes, event_id: bytes, data: bytes) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (name, event_id, data)
