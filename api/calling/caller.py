"""Who calls, and what it may do."""

from dataclasses import dataclass

from api.problems.refusals import Refused, ScopeMissing


@dataclass(frozen=True, slots=True)
class Caller:
    """An app that calls by one of its API keys, and the scopes of that key."""

    app_id: int
    scopes: frozenset[str]

    def require_scope(self, scopes: tuple[str, ...]) -> None:
        """Raise Refused(ScopeMissing) if scopes are asked for and the caller has none of them."""
        if scopes and self.scopes.isdisjoint(scopes):
            raise Refused(ScopeMissing(" or ".join(scopes)))
