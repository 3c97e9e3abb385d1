"""Who is signed in: sessions, looked up in the ledger and remembered for a moment."""

from datetime import UTC, datetime
from typing import Final

from api.calling.caller import Caller
from api.calling.lookups import LookUps
from api.problems.refusals import Refused, SessionOver
from ledger.sign_ins import SignedIn, SignIns

# Browsers take a cookie of such a name from this very host alone, over TLS, for all of its paths.
COOKIE: Final = "__Host-creditd-session"
# A session that was ended elsewhere goes on working here for at most this long.
SESSION_CACHE_SECONDS: Final = 5
SESSIONS_REMEMBERED_MAX: Final = 4_096
# What people may do with what is theirs. Spending is for API keys, which they can make.
PERSON_SCOPES: Final = frozenset({"balance:read", "wallets:write", "keys:write", "consents:write"})


class Sessions:
    """The sessions that were seen in the last SESSION_CACHE_SECONDS."""

    def __init__(self, sign_ins: SignIns) -> None:
        self._found = LookUps(
            sign_ins.signed_in, seconds=SESSION_CACHE_SECONDS, most=SESSIONS_REMEMBERED_MAX
        )

    async def identify(self, digest: bytes) -> Caller:
        """Return who a session stands for, by the SHA-256 of its secret.

        Raises Refused(SessionOver), Refused(TooManyRequests) while too many that nobody has are
        looked up, LedgerUnavailable if the ledger cannot say.
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
        found = await self._found.get(digest)
        if found is None or found.ends_at <= datetime.now(UTC):
            raise Refused(SessionOver())
        return found

    def forget(self, digest: bytes) -> None:
        """Ask the books again when a session comes next: it was ended here."""
        self._found.forget(digest)

    def forget_all(self) -> None:
        """Ask the books again for every session."""
        self._found.forget_all()
