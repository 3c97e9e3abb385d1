"""Grants that no chain made: once under a key, for what they say, and what is owed comes first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from books import Books
from conftest import CHAIN_ID
from followed_chain import Earned, FollowedChain
from selling_app import SellingApp
from town import ALICE, Town

from ledger.audit import audit, render
from ledger.granting import USUAL_TERMS, Granting, Terms
from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.outcomes import (
    Allocated,
    BeyondBreaker,
    BeyondRange,
    Charged,
    Grant,
    Granted,
    Insufficient,
    KeyReused,
    NoSuchAccount,
    NoSuchCharge,
)
from ledger.price_book import PriceRow

WALLET = bytes(range(20))
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@dataclass
class Shop:
    url: str
    app: SellingApp
    granting: Granting

    async def account(self, name: str = "customer") -> AccountRef:
        return (await self.app.spending.open_account(app_id=self.app.app_id, name=name)).account

    async def grant(
        self,
        account: AccountRef,
        amount: int,
        key: str,
        *,
        terms: Terms = USUAL_TERMS,
        reason: str | None = None,
    ) -> Grant:
        outcome = await self.granting.grant(
            account=account,
            source="purchased",
            amount=amount,
            key=key,
            terms=terms,
            reason=reason,
        )
        assert isinstance(outcome, Granted)
        assert not outcome.replayed
        return outcome.grant

    def kinds(self, account: AccountRef) -> list[tuple[str, int]]:
        with Books.open(self.url) as books:
            rows = books.rows(
                "select k.name, e.amount from creditd.entry e join creditd.entry_kind k"
                " using (kind) where root_id = %s and account_id = %s order by seq",
                *account,
            )
        return [(kind, amount) for kind, amount in rows]


@asynccontextmanager
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """A shop with an operator who grants; at the end the books must balance."""
    async with SellingApp.open(database_url) as app, Granting.open(database_url) as granting:
        yield Shop(database_url, app, granting)
    report = await audit(database_url)
    assert report.balanced, render(report)


def test_a_grant_can_be_spent_and_is_made_once_under_its_key(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account = await here.account()
            first = await here.grant(account, 100, "k", reason="order 7")
            assert (first.amount, first.repaid, first.available) == (100, 0, 100)
            await here.app.sell(account, 30, "charge")
            again = await here.granting.grant(
                account=account, source="purchased", amount=100, key="k", reason="order 7"
            )
            assert again == Granted(first, replayed=True)
            others: list[dict[str, Any]] = [
                {"amount": 101},
                {"source": "plan"},
                {"reason": "order 8"},
                {"terms": Terms(priority=5)},
            ]
            for other in others:
                asked = {"amount": 100, "source": "purchased", "reason": "order 7", **other}
                assert await here.granting.grant(account=account, key="k", **asked) == KeyReused()
            assert (await here.app.has(account)).available == 70

    asyncio.run(main())


def test_of_many_with_one_key_at_once_one_grants(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here, Granting.open(database_url) as other:
            account = await here.account()
            outcomes = await asyncio.gather(
                *(
                    side.grant(account=account, source="plan", amount=10, key="monthly")
                    for side in (here.granting, other) * 5
                )
            )
            assert sum(isinstance(o, Granted) and not o.replayed for o in outcomes) == 1
            assert (await here.app.has(account)).available == 10

    asyncio.run(main())


def test_a_debt_is_paid_first_even_by_what_begins_later_or_is_over(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here, FollowedChain.lead(database_url) as chain:
            kept = await chain.grow()
            await chain.grow(Earned(WALLET, 100, "orphaned"))
            await chain.confirm()
            account = await here.app.account_of(WALLET)
            await here.app.sell(account, 90, "k")
            await chain.reverse(kept)
            assert (await here.app.has(account)).debt == 90
            later = await here.grant(account, 20, "later", terms=Terms(effective_at=NOW + DAY))
            assert (later.repaid, later.available) == (20, 0)
            over = await here.grant(account, 30, "over", terms=Terms(expires_at=NOW - DAY))
            assert (over.repaid, over.available) == (30, 0)
            for_one = await here.grant(account, 50, "one", terms=Terms(operations=("unit",)))
            assert (for_one.repaid, for_one.available) == (40, 10)
            balance = await here.app.has(account)
            assert (balance.available, balance.debt) == (10, 0)

    asyncio.run(main())


def test_what_is_used_of_an_overdraft_is_refilled(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here, Operating.open(database_url) as operating:
            account = await here.account()
            await operating.set_overdraft(account, 50)
            await here.app.sell(account, 40, "k")
            grant = await here.grant(account, 100, "g")
            # 40 give back what was drawn, which can be drawn again.
            assert (grant.repaid, grant.available) == (0, 110)
            assert here.kinds(account)[-3:] == [
                ("grant", 100),
                ("line_cut", 40),
                ("credit_line", 40),
            ]

    asyncio.run(main())


def test_what_begins_later_cannot_be_spent_yet(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account = await here.account()
            soon = datetime.now(UTC) + timedelta(seconds=2)
            await here.grant(account, 100, "g", terms=Terms(effective_at=soon))
            assert isinstance(await charge(here, account, 1, "early"), Insufficient)
            while datetime.now(UTC) < soon:  # noqa: ASYNC110 - the clock itself is awaited
                await asyncio.sleep(0.05)
            assert isinstance(await charge(here, account, 100, "k"), Charged)

    asyncio.run(main())


def test_what_is_over_already_cannot_be_spent(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account = await here.account()
            await here.grant(account, 100, "g", terms=Terms(expires_at=NOW - DAY))
            assert isinstance(await charge(here, account, 1, "k"), Insufficient)
            assert here.kinds(account) == [("grant", 100), ("expiry", 100)]

    asyncio.run(main())


def test_restricted_credits_pay_for_their_operations_only(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here, Operating.open(database_url) as operating:
            account = await here.account()
            await here.grant(account, 100, "g", terms=Terms(operations=("image", "unit of old")))
            await operating.apply_prices([PriceRow("image", 0, 1, "image")])
            assert isinstance(await charge(here, account, 1, "k"), Insufficient)
            assert isinstance(await charge(here, account, 60, "l", "image"), Charged)
            assert isinstance(await charge(here, account, 60, "m", "image"), Insufficient)

    asyncio.run(main())


async def charge(
    here: Shop, account: AccountRef, units: int, key: str, operation: str = "unit"
) -> object:
    return await here.app.spending.charge(
        app_id=here.app.app_id, account=account, key=key, operation=operation, units=units
    )


def test_lower_priorities_are_spent_first_whenever_they_came(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account = await here.account()
            await here.grant(account, 10, "usual")
            await here.grant(account, 10, "ending", terms=Terms(expires_at=NOW + DAY))
            await here.grant(account, 10, "first", terms=Terms(priority=1))
            await here.app.sell(account, 25, "k")
            with Books.open(database_url) as books:
                left = books.rows(
                    "select case when lot_no = head_lot then head_left else remaining end"
                    " from creditd.lot join creditd.account using (root_id, account_id)"
                    " order by lot_no"
                )
            assert left == [(5,), (0,), (0,)]

    asyncio.run(main())


def test_what_a_charge_causes_stays_within_half_of_what_it_holds(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account, friend = await here.account(), await here.account("friend")
            await here.grant(account, 1_000, "g")
            bought = await here.app.sell(account, 101, "k")

            async def cashback(receiver: AccountRef, amount: int, key: str) -> object:
                return await here.granting.grant(
                    account=receiver, source="promotional", amount=amount, key=key, cause=bought
                )

            assert isinstance(await cashback(account, 20, "a"), Granted)
            assert isinstance(await cashback(friend, 20, "b"), Granted)
            assert await cashback(account, 11, "c") == BeyondBreaker(left=10)
            await here.app.give_back(bought, 11, "r")
            assert await cashback(account, 10, "c") == BeyondBreaker(left=5)
            assert isinstance(await cashback(account, 5, "c"), Granted)
            await here.app.give_back(bought, 50, "s")
            assert await cashback(friend, 1, "d") == BeyondBreaker(left=0)

    asyncio.run(main())


def test_cashback_of_one_charge_at_once_stays_within_its_half(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here, Granting.open(database_url) as other:
            account = await here.account()
            await here.grant(account, 100, "g")
            bought = await here.app.sell(account, 100, "k")
            receivers = [await here.account(f"friend {n}") for n in range(8)]
            outcomes = await asyncio.gather(
                *(
                    (here.granting, other)[n % 2].grant(
                        account=receiver, source="promotional", amount=20, key="c", cause=bought
                    )
                    for n, receiver in enumerate(receivers)
                )
            )
            assert sum(isinstance(outcome, Granted) for outcome in outcomes) == 2

    asyncio.run(main())


def test_what_was_sent_away_makes_no_room_for_more_grants_than_the_books_hold(
    database_url: str,
) -> None:
    most = 4 * 10**18

    async def main() -> None:
        async with Town.open(database_url) as town, Granting.open(database_url) as granting:
            works = await town.organisation()
            anna = await town.member(works)

            async def grant(amount: int, key: str) -> object:
                return await granting.grant(account=works, source="plan", amount=amount, key=key)

            assert isinstance(await grant(most - 1, "all but one"), Granted)
            moved = await town.sharing.allocate(app_id=1, member=anna, key="k", amount=most - 1)
            assert isinstance(moved, Allocated)
            assert await grant(2, "two") == BeyondRange()
            assert isinstance(await grant(1, "one"), Granted)

    asyncio.run(main())


def test_what_a_wallet_sent_away_makes_no_room_for_more_events_than_the_books_hold(
    database_url: str,
) -> None:
    most = 4 * 10**18

    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, Town.open(database_url) as town:
            await chain.grow(Earned(ALICE, most - 1, "all but one"))
            await chain.confirm()
            own, user = await town.wallet(ALICE), await town.user()
            await town.linked(ALICE, user)
            await town.linking.unlink(app_id=1, chain_id=CHAIN_ID, address=ALICE, account=user)
            await chain.grow(Earned(ALICE, 2, "two more"))
            await chain.confirm()
            assert town.has(user) == (most - 1, 0)
            assert town.has(own) == (1, 0)

    asyncio.run(main())


def test_what_cannot_be_granted_is_refused(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url) as here:
            account = await here.account()
            grant = here.granting.grant
            nobody = AccountRef(1, 1)
            assert await grant(account=nobody, source="plan", amount=1, key="k") == NoSuchAccount()
            await here.grant(account, 10, "g")
            bought = await here.app.sell(account, 10, "c")
            no_charge = bought._replace(seq=1)
            assert (
                await grant(account=account, source="plan", amount=1, key="k", cause=no_charge)
                == NoSuchCharge()
            )
            most = 4 * 10**18
            await here.grant(account, most - 10, "most")
            assert await grant(account=account, source="plan", amount=1, key="k") == BeyondRange()
            for amount in (0, -1, most + 1):
                with pytest.raises(ValueError, match="micro-credits"):
                    await grant(account=account, source="plan", amount=amount, key="k")

    asyncio.run(main())


@pytest.mark.parametrize(
    "terms",
    [
        {"expires_at": datetime(2030, 1, 1)},  # noqa: DTZ001 - that is the point
        {"effective_at": NOW, "expires_at": NOW},
        {"priority": -1},
        {"priority": 32_767},
        {"operations": ()},
    ],
)
def test_terms_that_no_credits_can_have_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Terms(**terms)
