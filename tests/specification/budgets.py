"""What members may spend of their organisation's pool."""

from datetime import timedelta

from ledger.ids import AccountRef
from specification.accounts import moment
from specification.books import Books, Budget


def period_of(budget: Budget, now: int) -> str:
    """Name the period that a moment lies in, in UTC."""
    day = moment(now).date()
    match budget.period:
        case "day":
            return day.isoformat()
        case "week":
            return f"week of {(day - timedelta(days=day.weekday())).isoformat()}"
        case "month":
            return day.isoformat()[:7]
        case _:
            return "ever"


def room_in_budget(books: Books, member: AccountRef, now: int) -> int | None:
    """What the budget leaves in the period that runs; None if there is none."""
    budget = books.budgets.get(member)
    if budget is None:
        return None
    return max(0, budget.limit - budget.used.get(period_of(budget, now), 0))


def count_in_budget(
    books: Books, member: AccountRef | None, amount: int, now: int, taken_at: int | None = None
) -> None:
    """Add what the pool pays for a member; what comes back, if it was taken in this period."""
    budget = None if member is None else books.budgets.get(member)
    if budget is None:
        return
    period = period_of(budget, now)
    if taken_at is None or period_of(budget, taken_at) == period:
        budget.used[period] = max(0, budget.used.get(period, 0) + amount)
