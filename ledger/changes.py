"""The change feed: each process hears which accounts the others have changed.

What a charge changes is told after it is committed, of many accounts at once: who announces holds,
until his transaction ends, a lock that all who announce wait for. What few change, others' writes,
is told by the books within the same transaction (`creditd.tell_changed`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg

from ledger.connecting import connect
from ledger.errors import LedgerError
from ledger.ids import AccountRef
from ledger.session import Session

# A charge is seen by other processes this much later; in that time a busy process makes some
# hundred, whose telling costs as much as one of them.
TELL_SECONDS: Final = 0.02
# Beyond that, when the database has not taken them for seconds, all are said to have changed.
TOLD_MAX: Final = 20_000
# A name has 33 letters at most, a message less than 8000.
NAMES_PER_MESSAGE: Final = 200
# A database that is gone is asked again so often, by each process.
AGAIN_SECONDS: Final = 1.0
# What has not been told when a process ends is found out by the others a bit later.
LAST_WORDS_SECONDS: Final = 0.5

_EVERYTHING: Final = "*"
_TELL: Final = "select pg_notify('creditd_changes', x) from unnest(%s::text[]) x"

Hear = Callable[[Collection[AccountRef] | None], None]
"""What is called with the accounts that have changed, or None: any may have."""


class Changes:
    """What one process tells the others, and hears of them. Made by `Changes.open`."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._telling = Session(database_url, "creditd_api")
        self._told_by = 0  # the session of `_telling`: what it says is heard here too
        self._untold: set[AccountRef] = set()
        self._anything = False
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._hear: list[Hear] = []
        self.listening = asyncio.Event()
        """Set while this process hears of changes. What is said at other times it never hears."""

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Changes"]:
        """Listen for as long as the context lasts, again and again where a session is lost."""
        changes = cls(database_url)
        listening = asyncio.create_task(changes._listen_for_good())
        try:
            yield changes
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await changes._close()

    def heard_by(self, hear: Hear) -> None:
        """Call `hear` with each change, this process's own at once."""
        self._hear.append(hear)

    def tell(self, accounts: Iterable[AccountRef]) -> None:
        """Say that this process has changed accounts. To be called once that is committed.

        What a member is charged may have been paid by its organisation, under the same root.
        """
        changed = set(accounts)
        changed |= {AccountRef(each.root_id, each.root_id) for each in changed}
        self._hear_all(changed)
        self._untold |= changed
        if len(self._untold) > TOLD_MAX:
            self._untold.clear()
            self._anything = True
        if self._timer is None and self._sending is None:
            self._send_in(TELL_SECONDS)

    def _send_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._send)

    def _send(self) -> None:
        self._timer = None
        self._sending = asyncio.create_task(self._send_untold())

    async def _send_untold(self) -> None:
        untold, self._untold = self._untold, set()
        anything, self._anything = self._anything, False
        pause = TELL_SECONDS
        try:
            await self._say([_EVERYTHING] if anything else _messages(untold))
        except (LedgerError, psycopg.Error):  # whatever it is: nobody else would ever tell of these
            self._untold |= untold
            self._anything |= anything
            pause = AGAIN_SECONDS
        self._sending = None
        if self._untold or self._anything:
            self._send_in(pause)

    async def _say(self, messages: list[str]) -> None:
        self._told_by = (await self._telling.connection()).info.backend_pid
        await self._telling.rows(_TELL, (messages,))

    async def _listen_for_good(self) -> None:
        while True:  # bounded by its pauses, and ended by being cancelled
            with suppress(psycopg.Error, LedgerError):
                await self._listen()
            self._hear_all(None)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        async with await connect(self._database_url, "creditd_api") as connection:
            await connection.execute("listen creditd_changes")
            # What was remembered before is older than what will be heard.
            self._hear_all(None)
            self.listening.set()
            try:
                async for message in connection.notifies():
                    if message.pid != self._told_by:
                        self._hear_all(_accounts(message.payload))
            finally:
                self.listening.clear()

    def _hear_all(self, accounts: Collection[AccountRef] | None) -> None:
        for hear in self._hear:
            hear(accounts)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                if self._sending is not None:
                    await self._sending
                if self._untold:
                    await self._say(_messages(self._untold))
        except (LedgerError, psycopg.Error, TimeoutError):
            pass  # the others believe what they remember for a moment only
        if self._timer is not None:
            self._timer.cancel()
        await self._telling.close()


def _messages(accounts: Collection[AccountRef]) -> list[str]:
    names = [
        f"{root:x}" if root == account else f"{root:x}:{account:x}" for root, account in accounts
    ]
    return [
        " ".join(names[first : first + NAMES_PER_MESSAGE])
        for first in range(0, len(names), NAMES_PER_MESSAGE)
    ]


def _accounts(message: str) -> list[AccountRef] | None:
    if message == _EVERYTHING:
        return None
    accounts = []
    for name in message.split(" "):
        root, _, account = name.partition(":")
        accounts.append(AccountRef(int(root, 16), int(account or root, 16)))
    return accounts
