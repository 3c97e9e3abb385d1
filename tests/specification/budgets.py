"""What members may spend of their organisation's pool."""

from datetime import timedelta

from ledger.ids import AccountRef
from specification.accounts import moment
from specification.books import Books


def period_of(period: str, at: int) -> str:
    """Name the day, week, month that a moment lies in, in UTC; or ever."""
    day = moment(at).date()
    match period:
        case "day":
            return day.isoformat()
        case "week":
            return (day - timedelta(days=day.weekday())).isoformat()
        case "month":
            return day.isoformat()[:7]
        case _:
            return "ever"


def room_in_budget(books: Books, member: AccountRef, at: int) -> int:
    """What the budgets leave at a moment: each must have room, and without one there is none."""
    limits = books.budgets.get(member, {})
    left = [
        limit
        - sum(
            amount
            for who, when, amount in books.paid_by_pool
            if who == member and period_of(period, when) == period_of(period, at)
        )
        for period, limit in limits.items()
    ]
    return max(0, min(left, default=0))


def count_in_budget(books: Books, member: AccountRef | None, amount: int, at: int) -> None:
    """Count what the pool pays for a member; what comes back counts when it was paid."""
    if member is not None and amount != 0:
        books.paid_by_pool.append((member, at, amount))
