"""Why a call to creditd did not do what it was asked."""

from collections.abc import Mapping
from decimal import Decimal


class CreditsError(Exception):
    """A call to creditd did not do what it was asked."""


class Refused(CreditsError):
    """creditd said no; trying the same again would not help.

    `problem` is its RFC 9457 document, `headers` are those of its answer, names in lower case.
    """

    def __init__(
        self, status: int, problem: Mapping[str, object], headers: Mapping[str, str]
    ) -> None:
        title = problem.get("title", "refused")
        super().__init__(f"creditd answered {status}: {title}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem
        self.headers = headers


class InsufficientCredits(Refused):
    """402: the balance does not cover the price. Nothing was taken and the key is still free.

    Amounts are credits: what the operation costs, what the account has, what it lacks, and what
    it has earned but not yet got.
    """

    def __init__(
        self,
        problem: Mapping[str, object],
        headers: Mapping[str, str],
        *,
        required: Decimal,
        available: Decimal,
        missing: Decimal,
        pending: Decimal,
    ) -> None:
        super().__init__(402, problem, headers)
        self.required = required
        self.available = available
        self.missing = missing
        self.pending = pending


class OverBudget(Refused):
    """402: the member's budget leaves less than the price. Nothing was taken; the key is free.

    Amounts are credits: what the operation costs, and what its organisation still pays for the
    member in this period.
    """

    def __init__(
        self,
        problem: Mapping[str, object],
        headers: Mapping[str, str],
        *,
        required: Decimal,
        left: Decimal,
    ) -> None:
        super().__init__(402, problem, headers)
        self.required = required
        self.left = left


class CreditsUnavailable(CreditsError):
    """creditd could not be reached, or gave no answer that makes sense.

    `maybe_taken` says that a request may have arrived all the same: only the same `key` makes it
    safe to ask again. `retry_after_seconds` is creditd's own wish, where it gave one.
    """

    def __init__(
        self,
        reason: str,
        *,
        maybe_taken: bool,
        key: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.maybe_taken = maybe_taken
        self.key = key
        self.retry_after_seconds = retry_after_seconds
