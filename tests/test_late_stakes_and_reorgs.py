"""What came late to a stake and was made up for stays made up for when the chain is reorganised."""

import psycopg
from conftest import CHAIN_ID
from staking import ALICE, BOB, CAROL, DAY, MIDNIGHT, TOKEN, Staking, follow, granted, late

from ledger.late import Late


async def leave(stakes: Staking, number: int) -> None:
    """The chain leaves all blocks above one, confirmed or not."""
    await stakes.chain.reverse(stakes.chain.blocks[number])
    stakes.leave(number)


def test_what_was_made_up_for_is_granted_again_with_the_block_that_takes_the_place(
    database_url: str,
) -> None:
    async def story(stakes: Staking) -> None:
        first = await stakes.block(MIDNIGHT, (ALICE, 4 * TOKEN), (BOB, TOKEN))
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()
        await late(stakes, first, CAROL, 2 * TOKEN)
        before = await stakes.block(MIDNIGHT + 4 * DAY)
        await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, before)
        await leave(stakes, 1)
        last = await stakes.block(MIDNIGHT + 4 * DAY, fork="b")
        await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, last)

    follow(database_url, story)


def test_what_is_still_to_be_made_up_for_outlives_a_reorg(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        first = await stakes.block(MIDNIGHT, (ALICE, 4 * TOKEN), (BOB, TOKEN))
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()
        await late(stakes, first, CAROL, 2 * TOKEN)
        await stakes.block(MIDNIGHT + 3 * DAY + 10, (CAROL, TOKEN))
        await stakes.confirm()
        await leave(stakes, 1)
        last = await stakes.block(MIDNIGHT + 4 * DAY, fork="b")
        await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, last)

    follow(database_url, story)


def test_a_year_that_came_late_is_not_lost_with_the_one_block_that_granted_it(
    database_url: str,
) -> None:
    async def story(stakes: Staking) -> None:
        first = await stakes.block(MIDNIGHT)
        await stakes.block(MIDNIGHT + 1, (BOB, TOKEN))
        await stakes.block(MIDNIGHT + 365 * DAY)
        await stakes.confirm()
        await late(stakes, first, CAROL, 2 * TOKEN)
        await stakes.block(MIDNIGHT + 366 * DAY)
        await stakes.confirm()
        await leave(stakes, 2)
        last = await stakes.block(MIDNIGHT + 366 * DAY, fork="b")
        await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, last)

    follow(database_url, story)


def test_what_was_taken_back_late_stays_so_after_a_reorg(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, 4 * TOKEN), (BOB, TOKEN))
        second = await stakes.block(MIDNIGHT + DAY // 3)
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()
        await late(stakes, second, ALICE, -3 * TOKEN)
        await stakes.block(MIDNIGHT + 4 * DAY)
        await stakes.confirm()
        await leave(stakes, 2)
        last = await stakes.block(MIDNIGHT + 4 * DAY, fork="b")
        await stakes.confirm()
        assert granted(database_url, ALICE) == stakes.expected(ALICE, last)

    follow(database_url, story)


def test_a_rule_whose_first_stake_comes_late_earns_from_then_on(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        first = await stakes.block(MIDNIGHT)
        await stakes.confirm()
        await late(stakes, first, CAROL, 2 * TOKEN)
        last = first
        for day in range(1, 6):
            last = await stakes.block(MIDNIGHT + day * DAY)
            await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, last) > 0

    follow(database_url, story)


def test_a_first_stake_that_came_late_leaves_with_its_block(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT - 5)
        first = await stakes.block(MIDNIGHT)
        await stakes.confirm()
        await late(stakes, first, CAROL, 2 * TOKEN)
        await leave(stakes, 0)
        await stakes.block(MIDNIGHT + 1, (CAROL, 2 * TOKEN), fork="b")
        await stakes.block(MIDNIGHT + DAY, fork="b")
        last = await stakes.block(MIDNIGHT + 2 * DAY, fork="b")
        await stakes.confirm()
        assert granted(database_url, CAROL) == stakes.expected(CAROL, last)

    follow(database_url, story)


def test_rewinding_above_a_period_granted_in_part_does_not_take_its_block_along(
    database_url: str,
) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, 4 * TOKEN), (BOB, TOKEN))
        await stakes.block(MIDNIGHT + DAY - 10)
        await stakes.confirm()
        ending = await stakes.block(MIDNIGHT + DAY)
        await stakes.block(MIDNIGHT + DAY + 5)
        await stakes.chain.confirm(ending)
        async with Late.open(database_url, CHAIN_ID) as entering:
            place = await entering.place()
            assert place is not None
            await entering.rewind(place.epoch, ending.number)
        with psycopg.connect(database_url) as books:
            query = "select accruing_number from creditd.chain"
            assert books.execute(query).fetchall() == [(ending.number,)]

    follow(database_url, story)
