"""Who calls: the API key of a request, looked up in the ledger and remembered for a moment."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from api.calling.caller import Caller, CallerKind
from api.calling.lookups import LookUps
from api.identity.keys import digest_api_key
from api.problems.refusals import Refused, Unauthenticated
from ledger.reading import ApiKeyRow, Reading
from ledger.scopes import PERSONAL_SCOPES

# A revoked key goes on working for at most this long; a look-up per request would double its cost.
API_KEY_CACHE_SECONDS: Final = 5
API_KEYS_REMEMBERED_MAX: Final = 4_096  # about 2 MB; more apps than that share no single process
# Who calls the API, and who calls on the operator's port: nobody both.
CALLERS: Final[frozenset[CallerKind]] = frozenset({"app", "personal", "session"})
OPERATORS: Final[frozenset[CallerKind]] = frozenset({"operator"})


class _Known(NamedTuple):
    api_key: ApiKeyRow
    caller: Caller


class Callers:
    """The API keys that were seen in the last API_KEY_CACHE_SECONDS."""

    def __init__(self, reading: Reading, kinds: frozenset[CallerKind] = CALLERS) -> None:
        self._reading = reading
        self._kinds = kinds
        self._found = LookUps(
            self._ask, seconds=API_KEY_CACHE_SECONDS, most=API_KEYS_REMEMBERED_MAX
        )

    async def identify(self, authorization: Sequence[bytes]) -> Caller:
        """Return who calls by the API key that the `Authorization` header's values present.

        Raises Refused(Unauthenticated) if there is none or it is not good (any more),
        Refused(TooManyRequests) while too many that nobody has are looked up, LedgerUnavailable
        if the ledger cannot say.
        """
        if len(authorization) != 1:
            raise Refused(Unauthenticated("The request names no API key, or several"))
        scheme, _, text = authorization[0].decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(Unauthenticated("The request names no API key"))
        digest = digest_api_key(text.strip(" "))
        if digest is None:
            raise Refused(Unauthenticated("This is not an API key, or it lacks some letters"))
        caller = _still_good(await self._found.get(digest))
        if caller.kind not in self._kinds:
            raise Refused(Unauthenticated("This API key is for another port"))
        return caller

    async def _ask(self, digest: bytes) -> _Known | None:
        api_key = await self._reading.api_key(digest)
        return None if api_key is None else _Known(api_key, _caller(api_key))


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


def _still_good(found: _Known | None) -> Caller:
    if found is None:
        raise Refused(Unauthenticated("Nobody was given this API key"))
    api_key = found.api_key
    if api_key.revoked_at is not None:
        raise Refused(Unauthenticated("This API key was revoked"))
    if api_key.expires_at is not None and api_key.expires_at.timestamp() <= time.time():
        raise Refused(Unauthenticated("This API key has expired"))
    return found.caller
