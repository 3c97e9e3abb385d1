"""Who calls, and what it may do."""

from dataclasses import dataclass
from typing import Literal

from api.problems.refusals import (
    Cause,
    ForAppsOnly,
    OperationNotAllowed,
    Refused,
    ScopeMissing,
)
from ledger.api_key_terms import Rate
from ledger.ids import AccountRef

CallerKind = Literal["app", "personal", "operator", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever presents an API key, or a browser's session (then `api_key_id` is None).

    `account` is set for people, by their API key or session: they act for this account and no
    other. `operations` are those that may be charged for, None for all. `session` is the SHA-256
    of a session's secret. `rate` is that of its API key and those of the same `family`, which
    replaced one another; None: as the process limits.
    """

    app_id: int
    scopes: frozenset[str]
    api_key_id: int | None = None
    kind: CallerKind = "app"
    account: AccountRef | None = None
    operations: frozenset[str] | None = None
    session: bytes | None = None
    family: int = 0
    rate: Rate | None = None

    def require_scope(self, scopes: tuple[str, ...]) -> None:
        """Raise Refused(ScopeMissing) if scopes are asked for and the caller has none of them."""
        if scopes and self.scopes.isdisjoint(scopes):
            raise Refused(ScopeMissing(" or ".join(scopes), by_session=self.session is not None))

    def require_app(self) -> None:
        """Raise Refused(ForAppsOnly) if the caller is no app."""
        if self.kind != "app":
            raise Refused(ForAppsOnly())

    def require_operation(self, operation: str) -> None:
        """Raise Refused(OperationNotAllowed) if the API key is for other operations."""
        if self.operations is not None and operation not in self.operations:
            raise Refused(OperationNotAllowed(operation))

    def require_account(self, account: AccountRef, unknown: Cause) -> None:
        """Raise Refused(`unknown`) if the caller acts for another account alone.

        For an app this says nothing yet: the books say which accounts it reaches.
        """
        if self.account is not None and account != self.account:
            raise Refused(unknown)
