"""What a 402 says: what the charge costs, what the account has, and what helps."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from api.caching import NO_STORE
from api.problems import details
from ledger.credits import format_credits
from ledger.outcomes import Insufficient

# Where nobody can say when pending credits come: about a block's time on the slower chains.
PENDING_RETRY_SECONDS: Final = 15
# Nobody is asked to wait longer before he looks again: an estimate of hours is none.
RETRY_SECONDS_MAX: Final = 3_600


@dataclass(frozen=True, slots=True)
class Helps:
    """Pages that the operator sends whoever lacks credits to: to earn some, and to buy some."""

    earn_url: str | None = None
    top_up_url: str | None = None


NO_HELPS: Final = Helps()


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
    model: str | None = None
    reserved: int = 0
    most_affordable_units: int | None = None
    helps: Helps = NO_HELPS

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
            "model": self.model,
            "units": self.units,
            "price_version": outcome.price_version,
            "required": format_credits(outcome.required),
            "available": format_credits(outcome.available),
            "reserved": format_credits(self.reserved),
            "most_affordable_units": self.most_affordable_units,
            "pending": format_credits(self.pending),
            "pending_ready_at": self.pending_ready_at,
            "missing": format_credits(outcome.missing),
            "debt": format_credits(outcome.debt),
            "remedies": self._remedies(),
        }

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers; a 402 asks to be retried only where waiting alone helps."""
        headers = (
            NO_STORE,
            ("Credits-Balance", format_credits(self.outcome.available)),
            ("Credits-Cost", format_credits(self.outcome.required)),
        )
        if self.waiting_helps:
            return (*headers, ("Retry-After", str(self.retry_seconds)))
        return headers

    def _remedies(self) -> list[details.Remedy]:
        remedies = []
        if self.waiting_helps:
            covered = "Credits that wait to be confirmed cover what is missing."
            remedies.append(details.Remedy("wait", covered, self.retry_seconds))
        earn = "Mine or stake with a wallet of this account."
        remedies.append(details.Remedy("earn", earn, url=self.helps.earn_url))
        if self.helps.top_up_url is not None:
            top_up = "Buy credits for this account."
            remedies.append(details.Remedy("top_up", top_up, url=self.helps.top_up_url))
        return remedies
