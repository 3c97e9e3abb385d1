"""Cashback and refunds: what a charge no longer backs, the account's later charges cause less."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from reserving_shop import HOUR, ReservingShop, play

from ledger.granting import Granting
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import BeyondBreaker, Granted, GrantOutcome

KEYS = count()


async def cashback(
    granting: Granting, charge: MovementRef, amount: int, to: AccountRef | None = None
) -> GrantOutcome:
    """Grant so much for a charge: to who paid it, unless said."""
    return await granting.grant(
        account=to or charge.account,
        source="promotional",
        amount=amount,
        key=f"cashback {next(KEYS)}",
        cause=charge,
    )


async def gained(granting: Granting, charge: MovementRef) -> int:
    """Grant as much for a charge as it may cause, and return it."""
    refused = await cashback(granting, charge, 10**12)
    assert isinstance(refused, BeyondBreaker)
    if refused.left:
        assert isinstance(await cashback(granting, charge, refused.left), Granted)
    return refused.left


def told(database_url: str, story: Callable[[ReservingShop, Granting], Awaitable[None]]) -> None:
    """Let a story happen in a shop whose operator grants; at the end the books are audited."""

    async def in_shop(shop: ReservingShop) -> None:
        async with Granting.open(database_url) as granting:
            await story(shop, granting)

    play(database_url, in_shop)


def test_charge_cashback_and_refund_in_a_circle_gain_once(database_url: str) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        gains = []
        for _ in range(4):
            charge = await shop.sold(account, 1_000)
            gains.append(await gained(granting, charge))
            await shop.refunded(charge)
        assert gains == [500, 0, 0, 0]
        assert shop.has(account) == (1_500, 0, 0)

    told(database_url, story)


def test_a_circle_over_all_that_is_there_never_gains_more_than_was_there(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        for turn in range(12):
            charges = []
            while (available := shop.has(account)[0]) > turn:
                charges.append(await shop.sold(account, available))
                await gained(granting, charges[-1])
            for charge in charges:
                await shop.refunded(charge)
        assert shop.has(account)[0] <= 2_000

    told(database_url, story)


def test_a_refund_takes_nothing_back_and_lessens_what_later_charges_cause(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        first = await shop.sold(account, 101)
        assert await gained(granting, first) == 50
        assert (await shop.refunded(first, 30)).available == 979  # 71 are held, 35 backed
        assert await gained(granting, await shop.sold(account, 50)) == 25 - 15
        assert await gained(granting, first) == 0
        await shop.refunded(first, 1)  # 70 are held: as many are backed
        assert await gained(granting, await shop.sold(account, 50)) == 25 - 15
        await shop.refunded(first)
        assert await gained(granting, await shop.sold(account, 100)) == 0
        assert await gained(granting, await shop.sold(account, 120)) == 60 - 50

    told(database_url, story)


def test_what_is_unbacked_is_added_up_over_the_charges_of_one_account(database_url: str) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        charges = [await shop.sold(account, 100) for _ in range(3)]
        for charge in charges:
            assert await gained(granting, charge) == 50
        for charge in charges[:2]:
            await shop.refunded(charge, 50)
        assert await gained(granting, await shop.sold(account, 200)) == 100 - 25 - 25
        other = (await shop.spending.open_account(app_id=shop.app_id, name="other")).account
        shop.town.grant(other, 100)
        assert await gained(granting, await shop.sold(other, 100)) == 50

    told(database_url, story)


def test_cashback_to_others_counts_where_it_was_charged(database_url: str) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        friend = (await shop.spending.open_account(app_id=shop.app_id, name="friend")).account
        charge = await shop.sold(account, 100)
        assert isinstance(await cashback(granting, charge, 50, to=friend), Granted)
        await shop.refunded(charge)
        again = await shop.sold(account, 200)
        assert await cashback(granting, again, 51, to=friend) == BeyondBreaker(left=50)
        assert await gained(granting, await shop.sold(friend, 50)) == 25

    told(database_url, story)


def test_a_settlement_that_is_refunded_backs_less_too(database_url: str) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(60, 1_000)
        held = await shop.held(account, 80, lasts=HOUR, over_max=40)
        settled = (await shop.settled(held.movement, 100)).movement  # of two lots, and over
        assert await gained(granting, settled) == 50
        await shop.refunded(settled, 90)
        assert await gained(granting, await shop.sold(account, 100)) == 50 - 45

    told(database_url, story)


def test_cashback_and_refunds_at_once_leave_nothing_uncounted(database_url: str) -> None:
    async def story(shop: ReservingShop, granting: Granting) -> None:
        account = await shop.user(1_000)
        first, *charges = [await shop.sold(account, 100) for _ in range(7)]
        assert isinstance(await cashback(granting, first, 30), Granted)

        async def grant_all() -> list[GrantOutcome]:
            return [await cashback(granting, charge, 30) for charge in reversed(charges)]

        async def refund_all() -> None:
            for charge in (*charges, first):
                await shop.refunded(charge, 80)

        outcomes, _ = await asyncio.gather(grant_all(), refund_all())
        made = 1 + sum(isinstance(outcome, Granted) for outcome in outcomes)
        charge = await shop.sold(account, 400)
        assert await gained(granting, charge) == 200 - 20 * made

    told(database_url, story)
