"""Who calls: the API key of a request, looked up in the ledger and remembered for a moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from api.calling.caller import Caller, CallerKind
from api.identity.keys import digest_api_key
from api.problems.refusals import Refused, TooManyRequests, Unauthenticated
from ledger.reading import ApiKeyRow, Reading
from ledger.scopes import PERSONAL_SCOPES

# A revoked key goes on working for at most this long; a look-up per request would double its cost.
API_KEY_CACHE_SECONDS: Final = 5
API_KEYS_REMEMBERED_MAX: Final = 4_096  # about 2 MB; more apps than that share no single process
# Who calls the API, and who calls on the operator's port: nobody both.
CALLERS: Final[frozenset[CallerKind]] = frozenset({"app", "personal", "session"})
OPERATORS: Final[frozenset[CallerKind]] = frozenset({"operator"})


# API keys that nobody was given are made up as fast as they are refused. Whoever presents them
# takes no more than this of the sessions that all reading shares,
STRANGERS_LOOKED_UP_MAX: Final = 2
# and what waits behind takes a fraction of a second: whoever came later is better sent away.
STRANGERS_WAITING_MAX: Final = 64


class _Remembered(NamedTuple):
    api_key: ApiKeyRow
    caller: Caller
    until: float  # of the monotonic clock


class Callers:
    """The API keys that were seen in the last API_KEY_CACHE_SECONDS."""

    def __init__(self, reading: Reading, kinds: frozenset[CallerKind] = CALLERS) -> None:
        self._reading = reading
        self._kinds = kinds
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[_Remembered | None]] = {}
        self._strangers = asyncio.Semaphore(STRANGERS_LOOKED_UP_MAX)
        self._waiting = 0

    async def identify(self, authorization: Sequence[bytes]) -> Caller:
        """Return who calls by the API key that the `Authorization` header's values present.

        Raises Refused(Unauthenticated) if there is none or it is not good (any more),
        LedgerUnavailable if the ledger cannot say.
        """
        if len(authorization) != 1:
            raise Refused(Unauthenticated("The request names no API key, or several"))
        scheme, _, text = authorization[0].decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(Unauthenticated("The request names no API key"))
        digest = digest_api_key(text.strip(" "))
        if digest is None:
            raise Refused(Unauthenticated("This is not an API key, or it lacks some letters"))
        caller = _still_good(await self._look_up(digest))
        if caller.kind not in self._kinds:
            raise Refused(Unauthenticated("This API key is for another port"))
        return caller

    async def _look_up(self, digest: bytes) -> _Remembered | None:
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered.until > time.monotonic():
            self._remembered.move_to_end(digest)
            return remembered
        # Requests that arrive together when an API key is due share one look-up.
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = asyncio.create_task(self._ask_ledger(digest))
            self._lookups[digest] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(digest))
        return await asyncio.shield(lookup)

    async def _ask_ledger(self, digest: bytes) -> _Remembered | None:
        if digest in self._remembered:  # whose time is up, but which was good
            return await self._ask_now(digest)
        if self._waiting >= STRANGERS_WAITING_MAX:
            raise Refused(TooManyRequests())
        self._waiting += 1
        try:
            async with self._strangers:
                return await self._ask_now(digest)
        finally:
            self._waiting -= 1

    async def _ask_now(self, digest: bytes) -> _Remembered | None:
        asked_at = time.monotonic()
        api_key = await self._reading.api_key(digest)
        if api_key is None:
            self._remembered.pop(digest, None)
            return None
        found = _Remembered(api_key, _caller(api_key), asked_at + API_KEY_CACHE_SECONDS)
        self._remembered[digest] = found
        self._remembered.move_to_end(digest)
        if len(self._remembered) > API_KEYS_REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found


def _caller(api_key: ApiKeyRow) -> Caller:
    # Some were given out when personal API keys could have more.
    is_personal = api_key.kind == "personal"
    scopes = api_key.scopes & PERSONAL_SCOPES if is_personal else api_key.scopes
    return Caller(
        app_id=api_key.app_id,
        scopes=scopes,
        api_key_id=api_key.key_id,
        kind=api_key.kind,
        account=api_key.account,
        operations=api_key.operations,
        family=api_key.family,
        rate=api_key.rate,
    )


def _still_good(found: _Remembered | None) -> Caller:
    if found is None:
        raise Refused(Unauthenticated("Nobody was given this API key"))
    api_key = found.api_key
    if api_key.revoked_at is not None:
        raise Refused(Unauthenticated("This API key was revoked"))
    if api_key.expires_at is not None and api_key.expires_at.timestamp() <= time.time():
        raise Refused(Unauthenticated("This API key has expired"))
    return found.caller
