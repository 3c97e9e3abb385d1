"""Who is signed in: sessions, looked up in the ledger and remembered for a moment."""

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.calling.caller import Caller
from api.problems.refusals import Refused, SessionOver
from ledger.sign_ins import SignedIn, SignIns

# Browsers take a cookie of such a name from this very host alone, over TLS, for all of its paths.
COOKIE: Final = "__Host-creditd-session"
# A session that was ended elsewhere goes on working here for at most this long.
SESSION_CACHE_SECONDS: Final = 5
SESSIONS_REMEMBERED_MAX: Final = 4_096
# What people may do with what is theirs. Spending is for API keys, which they can make.
PERSON_SCOPES: Final = frozenset({"balance:read", "wallets:write", "keys:write", "consents:write"})


class _Remembered(NamedTuple):
    signed_in: SignedIn
    until: float  # of the monotonic clock


class Sessions:
    """The sessions that were seen in the last SESSION_CACHE_SECONDS."""

    def __init__(self, sign_ins: SignIns) -> None:
        self._sign_ins = sign_ins
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[SignedIn | None]] = {}

    async def identify(self, digest: bytes) -> Caller:
        """Return who a session stands for, by the SHA-256 of its secret.

        Raises Refused(SessionOver), LedgerUnavailable if the ledger cannot say.
        """
        who = await self.signed_in(digest)
        return Caller(
            app_id=who.app_id,
            scopes=PERSON_SCOPES,
            kind="session",
            account=who.account,
            session=digest,
        )

    async def signed_in(self, digest: bytes) -> SignedIn:
        """Return who is signed in. Raises as `identify`."""
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered.until > time.monotonic():
            self._remembered.move_to_end(digest)
            found: SignedIn | None = remembered.signed_in
        else:
            found = await self._look_up(digest)
        if found is None or found.ends_at <= datetime.now(UTC):
            raise Refused(SessionOver())
        return found

    def forget(self, digest: bytes) -> None:
        """Ask the books again when a session comes next: it was ended here."""
        self._remembered.pop(digest, None)

    def forget_all(self) -> None:
        """Ask the books again for every session."""
        self._remembered.clear()

    async def _look_up(self, digest: bytes) -> SignedIn | None:
        # Requests that arrive together share one look-up.
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = asyncio.create_task(self._ask_ledger(digest))
            self._lookups[digest] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(digest))
        return await asyncio.shield(lookup)

    async def _ask_ledger(self, digest: bytes) -> SignedIn | None:
        asked_at = time.monotonic()
        found = await self._sign_ins.signed_in(digest)
        if found is not None:
            self._remembered[digest] = _Remembered(found, asked_at + SESSION_CACHE_SECONDS)
            self._remembered.move_to_end(digest)
            if len(self._remembered) > SESSIONS_REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return found
