"""The price book: what a price list changes of it, and from which moment to which prices hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st
from town import Town

from ledger.errors import LedgerError
from ledger.operating import Operating
from ledger.outcomes import Charged, UnknownOperation
from ledger.price_book import PriceRow, Tier
from ledger.reading import Reading
from ledger.spending import Spending

NOW = datetime(2100, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_CLOCK = (
    "create or replace function creditd.clock() returns timestamptz language sql volatile"
    " return '{}'::timestamptz"
)


class Book:
    """A price book at a moment that the test sets."""

    def __init__(self, database_url: str, operating: Operating, reading: Reading) -> None:
        self._database_url = database_url
        self._operating = operating
        self.reading = reading
        self.at(NOW)

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Book"]:
        async with (
            Operating.open(database_url) as operating,
            Reading.open(database_url) as reading,
        ):
            yield cls(database_url, operating, reading)

    def at(self, moment: datetime) -> None:
        run(self._database_url, _CLOCK.format(moment.isoformat()))
        self.now = moment

    async def apply(
        self, *prices: PriceRow, withdraw: bool = False, dry_run: bool = False
    ) -> list[tuple[str, str, str, int | None]]:
        changes = await self._operating.apply_prices(prices, withdraw=withdraw, dry_run=dry_run)
        return [(change.operation, change.model, change.kind, change.version) for change in changes]

    async def in_force(self, at: datetime) -> dict[tuple[str, str], int]:
        """Versions, by operation and model."""
        rows = await self.reading.prices(at=at)
        return {(row.operation, row.model): row.version for row in rows if row.is_in_force}


def price(
    base: int, operation: str = "a", *, model: str = "", at: datetime | None = None
) -> PriceRow:
    return PriceRow(operation, base, 0, "unit", model=model, effective_at=at)


def play(database_url: str, story: Callable[[Book], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Book.open(database_url) as book:
            await story(book)

    asyncio.run(main())


def test_a_list_is_put_in_force_and_says_what_it_changes(database_url: str) -> None:
    async def story(book: Book) -> None:
        assert await book.apply(price(1), price(2, model="m"), price(3, "b")) == [
            ("a", "", "new", 1),
            ("a", "m", "new", 2),
            ("b", "", "new", 1),
        ]
        book.at(NOW + HOUR)
        assert await book.apply(price(1), price(5, model="m")) == [
            ("a", "", "unchanged", 1),
            ("a", "m", "changed", 3),
            ("b", "", "left", 1),
        ]
        assert await book.in_force(NOW) == {("a", ""): 1, ("a", "m"): 2, ("b", ""): 1}
        assert await book.in_force(NOW + HOUR) == {("a", ""): 1, ("a", "m"): 3, ("b", ""): 1}

    play(database_url, story)


def test_a_dry_run_tells_the_same_and_writes_nothing(database_url: str) -> None:
    async def story(book: Book) -> None:
        await book.apply(price(1), price(4, "gone"))
        book.at(NOW + HOUR)
        wanted = (price(2), price(3, at=NOW + 3 * HOUR), price(9, "new"))
        told = await book.apply(*wanted, withdraw=True, dry_run=True)
        assert await book.in_force(NOW + 9 * HOUR) == {("a", ""): 1, ("gone", ""): 1}
        done = await book.apply(*wanted, withdraw=True)
        assert [each[:3] for each in told] == [each[:3] for each in done]
        assert [each[2:] for each in done] == [
            ("changed", 2),
            ("scheduled", 3),
            ("ended", 1),
            ("new", 1),
        ]
        assert await book.in_force(NOW + HOUR) == {("a", ""): 2, ("new", ""): 1}
        assert await book.in_force(NOW + 3 * HOUR) == {("a", ""): 3, ("new", ""): 1}

    play(database_url, story)


def test_what_was_to_begin_later_is_put_off_or_taken_back(database_url: str) -> None:
    later, latest = NOW + 2 * HOUR, NOW + 4 * HOUR

    async def story(book: Book) -> None:
        assert await book.apply(price(1), price(2, at=later)) == [
            ("a", "", "new", 1),
            ("a", "", "scheduled", 2),
        ]
        assert await book.apply(price(1), price(2, at=latest)) == [
            ("a", "", "unchanged", 1),
            ("a", "", "taken_back", 2),
            ("a", "", "scheduled", 3),
        ]
        assert await book.in_force(later) == {("a", ""): 1}
        assert await book.in_force(latest) == {("a", ""): 3}
        # Another price of the same moment, then an earlier one: the later does not come back.
        assert await book.apply(price(1), price(7, at=latest)) == [
            ("a", "", "unchanged", 1),
            ("a", "", "scheduled", 4),
        ]
        assert await book.apply(price(1), price(7, at=later)) == [
            ("a", "", "unchanged", 1),
            ("a", "", "scheduled", 5),
            ("a", "", "taken_back", 4),
        ]
        assert await book.in_force(later) == await book.in_force(latest) == {("a", ""): 5}
        assert await book.apply(price(1)) == [
            ("a", "", "unchanged", 1),
            ("a", "", "taken_back", 5),
        ]
        assert await book.in_force(latest) == {("a", ""): 1}

    play(database_url, story)


def test_a_list_stays_good_when_its_moments_have_come(database_url: str) -> None:
    listed = (price(1), price(2, at=NOW + HOUR), price(3, at=NOW + 2 * HOUR))

    async def story(book: Book) -> None:
        await book.apply(*listed)
        book.at(NOW + HOUR)
        assert await book.apply(*listed) == [("a", "", "unchanged", 2), ("a", "", "unchanged", 3)]
        book.at(NOW + 9 * HOUR)
        assert await book.apply(*listed) == [("a", "", "unchanged", 3)]

    play(database_url, story)


def test_no_price_begins_in_the_past(database_url: str) -> None:
    async def story(book: Book) -> None:
        await book.apply(price(1), price(1, "b"))
        book.at(NOW + 2 * HOUR)
        refused = await book.apply(price(2, at=NOW + HOUR), price(5, "b"), withdraw=True)
        assert refused == [("a", "", "past", 1), ("b", "", "changed", 1)]
        assert await book.in_force(NOW + 2 * HOUR) == {("a", ""): 1, ("b", ""): 1}
        # In a book that has none, the list of long ago is put in force now.
        assert await book.apply(price(2, "c", at=NOW + HOUR)) == [
            ("a", "", "left", 1),
            ("b", "", "left", 1),
            ("c", "", "new", 1),
        ]
        assert ("c", "") not in await book.in_force(NOW + HOUR)

    play(database_url, story)


def test_what_ended_can_be_priced_again(database_url: str) -> None:
    async def story(book: Book) -> None:
        await book.apply(price(1), price(2, at=NOW + 5 * HOUR))
        book.at(NOW + HOUR)
        assert await book.apply(price(1, "b"), withdraw=True) == [
            ("a", "", "ended", 1),
            ("a", "", "taken_back", 2),
            ("b", "", "new", 1),
        ]
        assert await book.in_force(NOW + 9 * HOUR) == {("b", ""): 1}
        assert await book.apply(price(1)) == [("a", "", "new", 3), ("b", "", "left", 1)]

    play(database_url, story)


LISTED = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["", "m"]),
        st.integers(0, 3),
        st.none() | st.integers(0, 9),
    ),
    max_size=5,
    unique_by=lambda each: (each[0], each[1], each[3]),
)


def test_at_each_moment_the_price_holds_that_the_last_list_says(database_url: str) -> None:
    @settings(deadline=None, max_examples=25)  # a busy machine is no finding
    @given(st.lists(st.tuples(LISTED, st.booleans(), st.integers(0, 3)), max_size=5))
    def holds(lists: Sequence[tuple[list[tuple[str, str, int, int | None]], bool, int]]) -> None:
        async def story(book: Book) -> None:
            run(database_url, "truncate creditd.price, creditd.operation cascade")
            now = NOW
            for listed, withdraw, hours in lists:
                now += hours * HOUR
                book.at(now)
                rows = [
                    price(base, operation, model=model, at=None if at is None else NOW + at * HOUR)
                    for operation, model, base, at in listed
                ]
                changes = await book.apply(*rows, withdraw=withdraw)
                if "past" in [kind for _, _, kind, _ in changes]:
                    continue
                await holds_what_is_listed(book, rows, now)
                if withdraw:
                    in_force = await book.in_force(NOW + 99 * HOUR)
                    assert set(in_force) == {(row.operation, row.model) for row in rows}

        play(database_url, story)

    holds()


async def holds_what_is_listed(book: Book, rows: list[PriceRow], now: datetime) -> None:
    for hours in range(30):
        moment = NOW + hours * HOUR
        if moment < now:
            continue
        standing = await book.reading.prices(at=moment)
        held = {}
        for own in standing:
            if own.is_in_force:
                assert (own.operation, own.model) not in held  # one at a time
                held[own.operation, own.model] = own.terms.base_micro
        for row in rows:
            begun = [
                each
                for each in rows
                if (each.operation, each.model) == (row.operation, row.model)
                and (each.effective_at is None or each.effective_at <= moment)
            ]
            if begun:
                newest = max(begun, key=lambda each: each.effective_at or NOW - HOUR)
                assert held[row.operation, row.model] == newest.base_micro


def test_a_charge_is_made_at_the_price_of_its_moment(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            account = await town.user()
            town.grant(account, 100)
            begins = NOW + HOUR
            run(database_url, _CLOCK.format(NOW.isoformat()))
            await town.operating.apply_prices([price(1), price(2, at=begins)])
            just_before = begins - timedelta(microseconds=1)
            for moment, cost in ((just_before, 1), (begins, 2)):
                run(database_url, _CLOCK.format(moment.isoformat()))
                outcome = await town.charge(account, 1, f"{cost}", operation="a")
                assert isinstance(outcome, Charged)
                assert outcome.charge.cost == outcome.charge.price_version == cost
            await town.operating.apply_prices([price(1, "b")], withdraw=True)
            assert await town.charge(account, 1, "k", operation="a") == UnknownOperation()

    asyncio.run(main())


def test_prices_change_while_two_processes_charge(database_url: str) -> None:
    """Whatever was applied before a charge was asked for is what it costs, in every process."""

    async def main() -> None:
        async with Town.open(database_url) as town, Spending.open(database_url) as other:
            account = await town.user()
            town.grant(account, 10**9)
            for version in range(1, 12):
                await town.operating.apply_prices([price(version)])
                charges = [
                    spending.charge(
                        app_id=1,
                        account=account,
                        key=f"{version} {number}",
                        operation="a",
                        units=1,
                    )
                    for number in range(10)
                    for spending in (town.spending, other)
                ]
                *outcomes, _ = await asyncio.gather(
                    *charges,
                    town.operating.apply_prices([price(version), price(99, at=NOW)]),
                )
                for outcome in outcomes:
                    assert isinstance(outcome, Charged)
                    assert outcome.charge.cost == version

    asyncio.run(main())


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ([price(1), price(2)], "same moment"),
        ([price(1, at=NOW.replace(tzinfo=None))], "zone"),
        ([PriceRow("a", 1, 1, "unit", tiers=(Tier(5, 1), Tier(5, 2)))], "order"),
    ],
)
def test_lists_that_are_none_are_refused(
    database_url: str, prices: list[PriceRow], said: str
) -> None:
    async def main() -> None:
        async with Operating.open(database_url) as operating:
            with pytest.raises(LedgerError, match=said):
                await operating.apply_prices(prices)

    asyncio.run(main())
