"""Why a call to creditd did not do what it was asked."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

RETRY_DIGITS_MAX: Final = 9  # 30 years of seconds; int() refuses texts of thousands of digits


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

    @property
    def code(self) -> str:
        """The last part of the problem's type, such as `account-frozen`; empty without a type."""
        return problem_code(self.problem)

    @property
    def retry_after_seconds(self) -> int | None:
        """After how long the same may be accepted, where creditd says so."""
        return retry_after_seconds(self.headers)


class InsufficientCredits(Refused):
    """402: the balance does not cover the price. Nothing was taken and the key is still free.

    Amounts are credits: what the operation costs, what the account has, what it lacks, and what
    it has earned but not yet got. `pending_ready_at` is when that is expected, and
    `most_affordable_units` how many it can pay; None where creditd does not say.
    `retry_after_seconds` is given where what is pending covers what is missing.
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
        pending_ready_at: datetime | None = None,
        most_affordable_units: int | None = None,
    ) -> None:
        super().__init__(402, problem, headers)
        self.required = required
        self.available = available
        self.missing = missing
        self.pending = pending
        self.pending_ready_at = pending_ready_at
        self.most_affordable_units = most_affordable_units


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


class ReservationExceeded(Refused):
    """402: the work cost `extra` credits more than is held, and fewer are `available`.

    The reservation is still open: settle it for less, or again when there is more.
    """

    def __init__(
        self,
        problem: Mapping[str, object],
        headers: Mapping[str, str],
        *,
        extra: Decimal,
        available: Decimal,
    ) -> None:
        super().__init__(402, problem, headers)
        self.extra = extra
        self.available = available


class ReservationEnded(Refused):
    """409: the reservation has ended already: `how` is settled, released or expired.

    `taken` credits of it were taken, as `charge`; None where nothing was. `units` are those that it
    was settled by, None where it was by an amount, or not settled.
    """

    def __init__(
        self,
        problem: Mapping[str, object],
        headers: Mapping[str, str],
        *,
        how: str,
        taken: Decimal,
        charge: str | None,
        units: int | None = None,
    ) -> None:
        super().__init__(409, problem, headers)
        self.how = how
        self.taken = taken
        self.charge = charge
        self.units = units


class KeyReused(Refused):
    """422: the key belongs to another request. Nothing was done for this one: give it a new key."""


class CreditsUnavailable(CreditsError):
    """creditd could not be reached, or gave no answer that makes sense.

    `maybe_taken` says that a request may have arrived all the same: only the same `key` makes it
    safe to ask again. `busy` says that creditd is there and wants it later (429),
    `retry_after_seconds` when, where it says so.
    """

    def __init__(
        self,
        reason: str,
        *,
        maybe_taken: bool,
        key: str | None = None,
        busy: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.maybe_taken = maybe_taken
        self.key = key
        self.busy = busy
        self.retry_after_seconds = retry_after_seconds


def problem_code(problem: Mapping[str, object]) -> str:
    """Return the last part of a problem's type; empty without a type."""
    return str(problem.get("type", "")).rpartition("/")[2]


def retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    """Return what the header Retry-After says, names of `headers` being in lower case.

    The form with a date needs a clock that agrees with the sender's: it is left alone.
    """
    text = headers.get("retry-after", "")
    return (
        int(text) if text.isascii() and text.isdigit() and len(text) <= RETRY_DIGITS_MAX else None
    )
