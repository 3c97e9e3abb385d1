"""What API keys spend is counted, and their caps hold: at once, by the period, when given back."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from conftest import fake_hash
from reserving_shop import DAY, ReservingShop
from town import Town

from ledger.api_key_terms import ApiKeyTerms, Cap
from ledger.api_keys import ApiKeyRotated, Secret
from ledger.ids import AccountRef
from ledger.outcomes import (
    Charged,
    ChargeOutcome,
    Insufficient,
    OverKeyCap,
    Refunded,
    Reserved,
    Settled,
)
from ledger.reading import ApiKeyRecord, Reading
from ledger.spending import Spending

AT_ONCE = 50
CAP = 100


def secret() -> Secret:
    return Secret(fake_hash(uuid.uuid4()), "ck_…")


async def api_key(town: Town, *caps: Cap) -> int:
    return await town.operating.create_api_key(
        ApiKeyTerms(["charge:write"], caps=caps), secret(), app="shop"
    )


async def charge(
    shop: ReservingShop, account: AccountRef, units: int, by: int | None, key: str | None = None
) -> ChargeOutcome:
    return await shop.spending.charge(
        app_id=shop.app_id,
        account=account,
        key=key or shop.key(),
        operation="unit",
        units=units,
        api_key_id=by,
    )


async def record(shop: ReservingShop, key_id: int) -> ApiKeyRecord:
    async with Reading.open(shop.town.database_url) as reading:
        found = await reading.api_key_record(key_id)
    assert found is not None
    return found


async def used(shop: ReservingShop, key_id: int) -> list[int]:
    return [cap.used for cap in (await record(shop, key_id)).caps]


def play(database_url: str, story: Callable[[ReservingShop], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ReservingShop.open(database_url) as shop:
            await story(shop)

    asyncio.run(main())


def test_what_an_api_key_spent_is_counted_with_its_last_use(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        by, other = await api_key(shop.town), await api_key(shop.town)
        account = await shop.user(100)
        first = await charge(shop, account, 5, by, "a")
        assert isinstance(first, Charged)
        assert isinstance(await charge(shop, account, 5, other, "a"), Charged)  # a replay
        assert isinstance(await charge(shop, account, 200, by), Insufficient)
        shop.wait(DAY)
        async with asyncio.TaskGroup() as group:  # some of them in one batch
            for units in range(1, 5):
                group.create_task(charge(shop, account, units, by))
        await charge(shop, account, 1, None)
        back = await shop.refund(first.charge.movement, 2)
        assert isinstance(back, Refunded)
        found = await record(shop, by)
        assert (found.charges, found.spent, found.refunded) == (5, 15, 2)
        assert found.last_used_at is not None
        assert timedelta(0) <= found.last_used_at - shop.now < timedelta(seconds=1)
        nothing = await record(shop, other)
        assert (nothing.charges, nothing.spent, nothing.last_used_at) == (0, 0, None)

    play(database_url, story)


def test_a_cap_is_for_a_period_and_a_refusal_leaves_the_key_free(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("day", 10), Cap("ever", 25))
        account = await shop.user(1_000)
        assert isinstance(await charge(shop, account, 10, by, "a"), Charged)
        refused = await charge(shop, account, 1, by, "b")
        tomorrow = (shop.now + DAY).replace(hour=0)
        assert refused == OverKeyCap(required=1, left=0, price_version=1, renews_at=tomorrow)
        assert isinstance(await charge(shop, account, 10, by, "a"), Charged)  # answered before
        assert isinstance(await charge(shop, account, 7, None), Charged)
        shop.wait(DAY)
        assert isinstance(await charge(shop, account, 1, by, "b"), Charged)
        assert isinstance(await charge(shop, account, 9, by), Charged)
        shop.wait(DAY)
        ever = await charge(shop, account, 6, by)
        assert ever == OverKeyCap(required=6, left=5, price_version=1, renews_at=None)
        assert isinstance(await charge(shop, account, 5, by), Charged)
        assert await used(shop, by) == [5, 25]

    play(database_url, story)


def test_what_is_given_back_is_free_again_in_the_period_it_was_charged_in(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("day", 10), Cap("ever", 30))
        account = await shop.user(1_000)
        first = await charge(shop, account, 10, by)
        assert isinstance(first, Charged)
        await shop.refunded(first.charge.movement, 4)
        assert await used(shop, by) == [6, 6]
        assert isinstance(await charge(shop, account, 4, by), Charged)
        shop.wait(DAY)
        assert isinstance(await charge(shop, account, 8, by), Charged)
        await shop.refunded(first.charge.movement)  # of yesterday
        assert await used(shop, by) == [8, 12]
        assert isinstance(await charge(shop, account, 3, by), OverKeyCap)
        assert isinstance(await charge(shop, account, 2, by), Charged)
        assert await used(shop, by) == [10, 14]

    play(database_url, story)


def test_a_cap_counts_what_a_reservation_may_take_and_then_what_it_took(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("month", 20))
        account = await shop.user(1_000)

        async def reserved(units: int, over_max: int = 0) -> Reserved | OverKeyCap:
            outcome = await shop.reserving.reserve(
                app_id=shop.app_id,
                account=account,
                key=shop.key(),
                operation="unit",
                units=units,
                expires_in=timedelta(hours=1),
                over_max=over_max,
                api_key_id=by,
            )
            assert isinstance(outcome, Reserved | OverKeyCap), outcome
            return outcome

        refused = await reserved(1, over_max=1_000)
        assert isinstance(refused, OverKeyCap)
        assert (refused.required, refused.left) == (1_001, 20)
        first, second = await reserved(12, over_max=3), await reserved(4, over_max=1)
        assert isinstance(first, Reserved)
        assert isinstance(second, Reserved)
        assert isinstance(await reserved(1), OverKeyCap)
        assert isinstance(await charge(shop, account, 1, by), OverKeyCap)
        assert await used(shop, by) == [20]
        assert isinstance(await shop.settle(first.reservation.movement, 15), Settled)
        assert await used(shop, by) == [20]
        released = await shop.released(second.reservation.movement)
        assert isinstance(released.taken, int)
        assert await used(shop, by) == [15]
        late = await reserved(5)
        assert isinstance(late, Reserved)
        shop.wait(timedelta(hours=2))
        assert isinstance(await charge(shop, account, 1, by), OverKeyCap)
        assert shop.tidy() == 1
        assert isinstance(await charge(shop, account, 5, by), Charged)
        found = await record(shop, by)
        assert (found.charges, found.spent) == (2, 20)

    play(database_url, story)


def test_a_key_and_its_successor_share_their_caps(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        old = await api_key(shop.town, Cap("ever", 10))
        account = await shop.user(1_000)
        rotated = await shop.town.operating.rotate_api_key(old, secret())
        assert isinstance(rotated, ApiKeyRotated)
        outcomes = [
            await charge(shop, account, 4, by) for by in (old, rotated.key_id, old, rotated.key_id)
        ]
        assert [type(each) for each in outcomes] == [Charged, Charged, OverKeyCap, OverKeyCap]
        assert await used(shop, old) == await used(shop, rotated.key_id) == [8]
        assert (await record(shop, old)).spent == (await record(shop, rotated.key_id)).spent == 4

    play(database_url, story)


def test_charges_at_once_never_take_more_than_the_cap(database_url: str) -> None:
    """Of several processes, for several accounts, by two API keys of one cap and one of another."""

    async def charges(town: Town, keys: Sequence[int], accounts: Sequence[AccountRef]) -> list[int]:
        async with AsyncExitStack() as stack:
            several = [
                await stack.enter_async_context(Spending.open(town.database_url)) for _ in range(3)
            ]
            made = await asyncio.gather(
                *(
                    several[n % 3].charge(
                        app_id=town.app_id,
                        account=accounts[n % len(accounts)],
                        key=f"{n}",
                        operation="unit",
                        units=7,
                        api_key_id=keys[n % len(keys)],
                    )
                    for n in range(AT_ONCE * len(keys))
                )
            )
        assert {type(each) for each in made} == {Charged, OverKeyCap}
        return [keys[n % len(keys)] for n, each in enumerate(made) if isinstance(each, Charged)]

    async def main() -> None:
        async with Town.open(database_url) as town:
            first, other = [await api_key(town, Cap("ever", CAP)) for _ in range(2)]
            rotated = await town.operating.rotate_api_key(first, secret())
            assert isinstance(rotated, ApiKeyRotated)
            accounts = [await town.user(f"{n}") for n in range(5)]
            for account in accounts:
                town.grant(account, 10_000)
            by = await charges(town, [first, rotated.key_id, other], accounts)
            assert by.count(other) == by.count(first) + by.count(rotated.key_id) == CAP // 7
            rows = town.rows("select used from creditd.api_key_cap")
            assert rows == [(CAP // 7 * 7,)] * 2

    asyncio.run(main())


def test_what_a_capped_key_makes_of_restricted_lots_counts_too(database_url: str) -> None:
    """An account whose lots not every operation may burn is charged with care."""

    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("week", 10))
        account = await shop.user(5)
        shop.town.grant(account, 50, operations=["unit"])
        outcomes = await asyncio.gather(*(charge(shop, account, 4, by) for _ in range(5)))
        assert sorted(type(each).__name__ for each in outcomes) == [
            *("Charged", "Charged", "OverKeyCap", "OverKeyCap", "OverKeyCap")
        ]
        assert await used(shop, by) == [8]

    play(database_url, story)


def test_very_many_refunds_are_counted_some_at_a_time_and_in_any_order(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("day", 50_000), Cap("ever", 50_000))
        account = await shop.user(100_000)
        assert isinstance(await charge(shop, account, 20_000, by), Charged)
        # What was taken beyond what was held is noted after much was given back.
        shop.town.rows(
            "insert into creditd.api_key_cap_note (family, at, amount)"
            " select %s, %s, case when n <= 8000 then -3 when n <= 10000 then 5 else -1 end"
            " from generate_series(1, 16000) n",
            *(by, shop.now),
        )
        for left in (6_000, 0):
            assert isinstance(await charge(shop, account, 1, by), Charged)
            assert shop.town.rows("select count(*) from creditd.api_key_cap_note") == [(left,)]
        assert await used(shop, by) == [2, 2]

    play(database_url, story)


def test_what_a_settlement_took_beyond_is_given_back_to_the_day_it_was_reserved_on(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        by = await api_key(shop.town, Cap("day", 20), Cap("ever", 100))
        account = await shop.user(1_000)
        held = await shop.reserving.reserve(
            app_id=shop.app_id,
            account=account,
            key=shop.key(),
            operation="unit",
            units=5,
            expires_in=2 * DAY,
            over_max=10,
            api_key_id=by,
        )
        assert isinstance(held, Reserved)
        assert await used(shop, by) == [15, 15]
        shop.wait(DAY)
        settled = await shop.settle(held.reservation.movement, 12)
        assert isinstance(settled, Settled)
        assert isinstance(await charge(shop, account, 10, by), Charged)
        assert await used(shop, by) == [10, 22]
        await shop.refunded(settled.ending.movement)
        assert await used(shop, by) == [10, 10]

    play(database_url, story)
