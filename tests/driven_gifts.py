"""What operators grant, told to the books and to their specification alike."""

from typing import Final, NamedTuple

from driven_books import DRIVEN, agree
from driven_sharing import Shared
from driven_story import AMOUNTS, DAY, KEYS, NEWEST, PICKS, told
from hypothesis import strategies as st
from specification.accounts import ALWAYS, NEVER, Terms, moment
from specification.granting import grant

from ledger import granting
from ledger.granting import GrantSource


class Gift(NamedTuple):
    """What an operator gives; it begins and ends so many microseconds from now."""

    source: GrantSource
    begins: int | None = None
    ends: int | None = None
    priority: int = 100
    operation: str | None = None


GIFTS: Final = (
    Gift("purchased"),
    Gift("adjustment", priority=3),
    Gift("promotional", ends=2 * DAY),
    Gift("promotional", ends=-DAY),
    Gift("plan", begins=DAY, ends=9 * DAY),
    Gift("plan", operation="images"),
)


class Gifted(Shared):
    """Accounts that are given credits, some of them for what they were charged."""

    @told(
        3,
        pick=PICKS,
        key=KEYS,
        amount=AMOUNTS,
        gift=st.sampled_from(GIFTS),
        charge=st.none() | NEWEST,
    )
    def an_operator_grants(
        self, pick: int, key: str, amount: int, gift: Gift, charge: int | None
    ) -> None:
        account = self.account(pick)
        if "gifts" not in DRIVEN:
            return
        cause = None
        if charge is not None and self.charges:
            cause = self.newest(self.charges, charge)
        begins, ends = (None if n is None else self.now + n for n in (gift.begins, gift.ends))
        operations = None if gift.operation is None else (self.operations[gift.operation],)
        got = self.real.run(
            self.real.by.granting.grant(
                account=account,
                source=gift.source,
                amount=amount,
                key=key,
                terms=granting.Terms(
                    effective_at=None if begins is None else moment(begins),
                    expires_at=None if ends is None else moment(ends),
                    priority=gift.priority,
                    operations=operations,
                ),
                cause=cause,
            )
        )
        expected = grant(
            self.books,
            self.now,
            account=account,
            key=key,
            amount=amount,
            terms=Terms(
                source=gift.source,
                priority=gift.priority,
                effective_at=ALWAYS if begins is None else begins,
                expires_at=NEVER if ends is None else ends,
                operations=None if operations is None else frozenset(operations),
            ),
            cause=cause,
        )
        agree(got, expected)

    @told(
        3,
        pick=NEWEST,
        key=KEYS,
        part=st.sampled_from([2, 2, 3, 5]),
        more=st.sampled_from([0, 0, 1]),
    )
    def a_charge_causes_cashback(self, pick: int, key: str, part: int, more: int) -> None:
        if "gifts" not in DRIVEN or not self.charges:
            return
        cause = self.newest(self.charges, pick)
        taken = self.books.taken.get(cause)  # none of a reservation that was settled at nothing
        amount = max(1, (0 if taken is None else taken.cost) // part + more)
        got = self.real.run(
            self.real.by.granting.grant(
                account=cause.account, source="promotional", amount=amount, key=key, cause=cause
            )
        )
        expected = grant(
            self.books,
            self.now,
            account=cause.account,
            key=key,
            amount=amount,
            terms=Terms(source="promotional"),
            cause=cause,
        )
        agree(got, expected)
