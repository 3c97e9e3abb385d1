"""What is read of API keys, as values. Amounts are micro-credits, times are aware and in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ledger.api_key_terms import ApiKeyKind, Rate
from ledger.asking import Row
from ledger.ids import AccountRef
from ledger.periods import Period


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """An API key, whether it is still good or not, and whose it is.

    `account` is the one that a personal API key acts for; `operations` None: it may charge for
    all. Those of one `family` replaced one another.
    """

    key_id: int
    app_id: int
    app: str
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    kind: ApiKeyKind
    account: AccountRef | None
    operations: frozenset[str] | None
    family: int
    rate: Rate | None

    @classmethod
    def of(cls, row: Row) -> "ApiKeyRow":
        """Return the API key that a row of the table is, with the name of its app."""
        account = None if row.account_id is None else AccountRef(row.root_id, row.account_id)
        rate = None if row.rate_requests is None else Rate(row.rate_requests, row.rate_seconds)
        return cls(
            key_id=row.key_id,
            app_id=row.app_id,
            app=row.app,
            scopes=frozenset(row.scopes),
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            kind=row.kind,
            account=account,
            operations=None if row.operations is None else frozenset(row.operations),
            family=row.family,
            rate=rate,
        )


@dataclass(frozen=True, slots=True)
class CapUse:
    """A cap of an API key and what is used of it now; it begins anew at `renews_at` if ever."""

    period: Period
    amount: int
    used: int
    renews_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """All that is known of an API key but the key itself.

    `charges` counts settlements too; `spent` is what all came to, `refunded` what was given back.
    `replaced_by` is its successor, `made_by` the API key by which its owner made it.
    """

    api_key: ApiKeyRow
    hint: str
    created_at: datetime
    replaced_by: int | None
    made_by: int | None
    charges: int
    spent: int
    refunded: int
    last_used_at: datetime | None
    caps: tuple[CapUse, ...]

    @classmethod
    def of(cls, row: Row) -> "ApiKeyRecord":
        """Return what a row of `ledger.api_key_questions` says."""
        caps = (
            CapUse(period, amount, used, None if renews is None else datetime.fromisoformat(renews))
            for period, amount, used, renews in row.caps
        )
        return cls(
            api_key=ApiKeyRow.of(row),
            hint=row.hint,
            created_at=row.created_at,
            replaced_by=row.replaced_by,
            made_by=row.made_by,
            charges=int(row.charges),
            spent=int(row.spent),
            refunded=int(row.refunded),
            last_used_at=row.last_used_at,
            caps=tuple(caps),
        )

    @property
    def state(self) -> Literal["good", "expired", "revoked"]:
        """Whether it is good now, by this machine's clock."""
        if self.api_key.revoked_at is not None:
            return "revoked"
        ends = self.api_key.expires_at
        return "expired" if ends is not None and ends <= datetime.now(UTC) else "good"
