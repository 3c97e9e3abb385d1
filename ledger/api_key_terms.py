"""What an API key may do, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ledger.periods import Period

ApiKeyKind = Literal["app", "personal", "operator"]


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that an API key and its successors spend in a period of UTC, in micro-credits."""

    period: Period
    amount: int


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    seconds: int


@dataclass(frozen=True, slots=True)
class ApiKeyTerms:
    """What an API key may do, and until when. `operations` None: it may charge for all."""

    scopes: Sequence[str]
    operations: Sequence[str] | None = None
    caps: Sequence[Cap] = ()
    rate: Rate | None = None
    expires_at: datetime | None = None

    def parameters(self, digest: bytes, hint: str) -> tuple[object, ...]:
        """Return them as the books' functions take them, around whose they are."""
        rate = (None, None) if self.rate is None else (self.rate.requests, self.rate.seconds)
        operations = None if self.operations is None else list(self.operations)
        return (
            *(list(self.scopes), operations, digest, hint, self.expires_at),
            *([cap.period for cap in self.caps], [cap.amount for cap in self.caps], *rate),
        )


TERMS: Final = (
    "%s::text[], %s::text[], %s, %s, %s::timestamptz, %s::text[], %s::bigint[], %s::integer,"
    " %s::integer"
)
