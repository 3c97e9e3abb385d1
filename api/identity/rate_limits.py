"""How many requests an API key may make: token buckets of this process.

Of several processes each has its own: what a key may do in all is as many times more. The headers
are those of draft-ietf-httpapi-ratelimit-headers; credits are not in them.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from api.calling.caller import Caller
from api.problems.rate_headers import rate_headers
from api.problems.refusals import QuotaExceeded, Refused
from ledger.api_key_terms import Rate
from ledger.ids import AccountRef

# As many as there are API keys remembered. One that is forgotten begins anew with a full bucket.
BUCKETS_MAX: Final = 4_096

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float  # of the monotonic clock


class RateLimits:
    """The buckets of API keys that have a rate, or of all if there is a `default`.

    By the default whoever signed in has one too, by account: a session costs nothing but a wallet.
    """

    def __init__(self, default: Rate | None) -> None:
        self._default = default
        self._buckets: OrderedDict[int | AccountRef, _Bucket] = OrderedDict()

    def admit(self, caller: Caller) -> Headers:
        """Take a request. Returns the headers that tell a caller with a rate what is left of it.

        Raises Refused(QuotaExceeded).
        """
        rate = self._rate(caller)
        if rate is None:
            return ()
        whose = caller.family if caller.account is None else caller.family or caller.account
        now = time.monotonic()
        bucket = self._buckets.get(whose)
        if bucket is None:
            bucket = self._buckets[whose] = _Bucket(rate.requests, now)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(whose)
        per_second = rate.requests / rate.seconds
        bucket.left = min(rate.requests, bucket.left + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.left < 1:
            wait = math.ceil((1 - bucket.left) / per_second)
            raise Refused(QuotaExceeded(rate.requests, rate.seconds, wait))
        bucket.left -= 1
        full_in = math.ceil((rate.requests - bucket.left) / per_second)
        return rate_headers(rate.requests, rate.seconds, int(bucket.left), full_in)

    def _rate(self, caller: Caller) -> Rate | None:
        if caller.rate is not None:
            return caller.rate
        is_counted = caller.family != 0 or caller.session is not None
        return self._default if is_counted else None
