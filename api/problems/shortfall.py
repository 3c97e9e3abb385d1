"""What a 402 says: what the charge costs, what the account has, and what helps."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from api.problems import details
from ledger.credits import format_credits
from ledger.outcomes import Insufficient

# Where nobody can say when pending credits come: about a block's time on the slower chains.
PENDING_RETRY_SECONDS: Final = 15
# Nobody is asked to wait longer before he looks again: an estimate of hours is none.
RETRY_SECONDS_MAX: Final = 3_600


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The balance does not cover the price.

    `pending` micro-credits wait to be confirmed. What is missing of them is expected to be there at
    `pending_ready_at`, or all of them where that is not enough; None where nobody can say.
    """

    account: str
    operation: str
    units: int
    outcome: Insufficient
    pending: int
    pending_ready_at: datetime | None = None

    @property
    def retry_seconds(self) -> int:
        """How long to wait for what is pending, at least a second."""
        if self.pending_ready_at is None:
            return PENDING_RETRY_SECONDS
        seconds = ceil((self.pending_ready_at - datetime.now(UTC)).total_seconds())
        return min(max(seconds, 1), RETRY_SECONDS_MAX)

    @property
    def waiting_helps(self) -> bool:
        """Whether what is pending covers what is missing."""
        return self.pending >= self.outcome.missing

    def detail(self) -> str:
        """Return the sentence for people."""
        outcome = self.outcome
        have = f"{format_credits(outcome.available)} are available"
        if self.pending:
            have += f" and {format_credits(self.pending)} more wait to be confirmed"
        if outcome.debt:
            have += f", a debt of {format_credits(outcome.debt)} is repaid first"
        helps = "try again with the same key once they are" if self.waiting_helps else "earn more"
        return (
            f"{self.units} of {self.operation} cost {format_credits(outcome.required)} credits:"
            f" {have}. {format_credits(outcome.missing)} are missing: {helps}."
        )

    def members(self) -> dict[str, object]:
        """Return what `details.InsufficientCredits` has beside the members of every problem."""
        outcome = self.outcome
        return {
            "account": self.account,
            "operation": self.operation,
            "units": self.units,
            "price_version": outcome.price_version,
            "required": format_credits(outcome.required),
            "available": format_credits(outcome.available),
            "pending": format_credits(self.pending),
            "pending_ready_at": self.pending_ready_at,
            "missing": format_credits(outcome.missing),
            "debt": format_credits(outcome.debt),
            "remedies": self._remedies(),
        }

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers; a 402 asks to be retried only where waiting alone helps."""
        headers = (
            ("Cache-Control", "no-store"),
            ("Credits-Balance", format_credits(self.outcome.available)),
            ("Credits-Cost", format_credits(self.outcome.required)),
        )
        if self.waiting_helps:
            return (*headers, ("Retry-After", str(self.retry_seconds)))
        return headers

    def _remedies(self) -> list[details.Remedy]:
        earn = details.Remedy("earn", "Mine or stake with a wallet of this account.")
        if not self.waiting_helps:
            return [earn]
        covered = "Credits that wait to be confirmed cover what is missing."
        return [details.Remedy("wait", covered, self.retry_seconds), earn]
