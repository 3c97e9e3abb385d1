"""What accounts have, remembered for who only wants to see it. Every decision is made in the books.

A balance is forgotten as soon as the change feed names its account, and asked for anew when it is
wanted next: together with others that are wanted in the same moment.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from ledger.changes import Changes
from ledger.errors import LedgerBusy, closed_unanswered
from ledger.ids import AccountRef
from ledger.reading import Balance, Reading

# A change is heard of within hundredths of a second. Of one that is not, because who made it died
# right after, a balance is wrong for this long at most; so is what an app may reach.
REMEMBERED_SECONDS: Final = 2.0
BALANCES_MAX: Final = 32_768  # about 1.5 KB each with what is made of it: 50 MB
# In one question: it takes some milliseconds, and others wait for it.
ASKED_AT_ONCE_MAX: Final = 256
# What waits to be asked takes a second: whoever came later is better sent away.
WANTED_MAX: Final = 16_384


@dataclass(slots=True, eq=False)
class Remembered:
    """A balance, until when it is believed, and what a reader has made of it."""

    balance: Balance
    until: float  # of the monotonic clock
    made: object = None


class Balances:
    """The balances that a process remembers."""

    def __init__(self, reading: Reading, changes: Changes) -> None:
        self._reading = reading
        self._changes = changes
        self._remembered: OrderedDict[AccountRef, Remembered] = OrderedDict()
        self._wanted: dict[AccountRef, asyncio.Future[Remembered | None]] = {}
        self._asked: dict[AccountRef, asyncio.Future[Remembered | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._watched: dict[AccountRef, set[asyncio.Event]] = {}
        changes.heard_by(self._forget)

    @classmethod
    @asynccontextmanager
    async def open(cls, reading: Reading, changes: Changes) -> AsyncIterator["Balances"]:
        """Remember balances for as long as the context lasts."""
        balances = cls(reading, changes)
        try:
            yield balances
        finally:
            await balances._close()

    async def get(self, account: AccountRef, *, version: int = 0) -> Remembered | None:
        """Return what the account has, None if there is no such account.

        What is remembered is not older than `version`. The books may be: then that is returned.
        Raises as `Reading` does.
        """
        found = self._remembered.get(account)
        if found is not None and found.balance.version >= version and found.until > monotonic():
            self._remembered.move_to_end(account)
            return found
        found = await self._look_up(account)
        if found is None or found.balance.version >= version:
            return found
        # It was asked for before whoever knows the version wrote.
        return await self._look_up(account)

    async def may_read(self, app_id: int, account: AccountRef) -> bool:
        """Return whether the app may read the account, or could REMEMBERED_SECONDS ago."""
        found = await self.get(account)
        if found is None:
            return False
        if app_id in found.balance.apps:
            return True
        # It may be allowed to since, or be one of more apps than are remembered.
        return await self._reading.may_read(app_id, account)

    @contextmanager
    def watching(self, account: AccountRef) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the account has changed, or may have."""
        changed = asyncio.Event()
        watchers = self._watched.setdefault(account, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watched.pop(account, None)

    async def _close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _forget(self, accounts: Collection[AccountRef] | None) -> None:
        if accounts is None:
            self._remembered.clear()
            self._asked.clear()
            for watchers in self._watched.values():
                for changed in watchers:
                    changed.set()
            return
        for account in accounts:
            self._remembered.pop(account, None)
            # The answer on its way may be older: it is for those who wait for it, nobody later.
            self._asked.pop(account, None)
            for changed in self._watched.get(account, ()):
                changed.set()

    async def _look_up(self, account: AccountRef) -> Remembered | None:
        answer = self._asked.get(account) or self._wanted.get(account)
        if answer is None:
            if len(self._wanted) >= WANTED_MAX:
                raise LedgerBusy(f"{WANTED_MAX} balances are waited for: try again in a moment")
            answer = self._wanted[account] = asyncio.get_running_loop().create_future()
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_all())
        return await asyncio.shield(answer)

    async def _ask_all(self) -> None:
        try:
            while self._wanted:
                await self._ask_some()
        finally:
            self._asking = None
            for answer in self._wanted.values():
                answer.set_exception(closed_unanswered())
                answer.exception()
            self._wanted.clear()

    async def _ask_some(self) -> None:
        accounts = list(self._wanted)[:ASKED_AT_ONCE_MAX]
        answers = {account: self._wanted.pop(account) for account in accounts}
        self._asked = dict(answers)
        asked_at = monotonic()
        try:
            found = await self._reading.balances(accounts)
        except BaseException as error:
            for answer in answers.values():
                answer.set_exception(error if isinstance(error, Exception) else closed_unanswered())
                answer.exception()  # perhaps nobody waits any more
            if not isinstance(error, Exception):
                raise
            return
        finally:
            still, self._asked = self._asked, {}
        for account, answer in answers.items():
            balance = found.get(account)
            remembered = None if balance is None else _remembered(balance, asked_at)
            answer.set_result(remembered)
            is_newest = still.get(account) is answer and self._changes.listening.is_set()
            if remembered is not None and is_newest:
                self._remembered[account] = remembered
                self._remembered.move_to_end(account)
        while len(self._remembered) > BALANCES_MAX:
            self._remembered.popitem(last=False)


def _remembered(balance: Balance, asked_at: float) -> Remembered:
    holds = REMEMBERED_SECONDS
    if balance.holds_seconds is not None:
        holds = min(holds, balance.holds_seconds)
    return Remembered(balance, asked_at + holds)
