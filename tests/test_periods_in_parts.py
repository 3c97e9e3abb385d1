"""A period of many stakes is granted in parts, and a reorg in between takes nothing wrong."""

import pytest
from staking import (
    ALICE,
    CONFIRMS_MAX,
    DAY,
    MIDNIGHT,
    TOKEN,
    Staking,
    accruals,
    follow,
    has,
    render,
)

from ledger.audit import audit


def test_many_stakes_are_granted_in_parts_and_a_fork_between_them_takes_all_back(
    database_url: str,
) -> None:
    crowd = [each.to_bytes(20) for each in range(1, 121)]

    async def story(stakes: Staking) -> None:
        begin = await stakes.block(MIDNIGHT, *((wallet, TOKEN) for wallet in crowd))
        before = await stakes.block(MIDNIGHT + DAY - 1)
        ending = await stakes.block(MIDNIGHT + DAY, (ALICE, TOKEN))
        for _ in range(CONFIRMS_MAX):
            await stakes.chain.confirm(ending)
            position = await stakes.chain.watching.position()
            if position.granted_number == ending.number:
                break
        assert (position.confirmed_number, begin.number) == (before.number, 0)
        assert 0 < len(accruals(database_url)) < len(crowd)
        report = await audit(database_url)
        assert report.balanced, render(report)
        await stakes.chain.reverse(before)
        assert accruals(database_url) == []
        assert has(database_url, crowd[0]) == 0
        await stakes.block(MIDNIGHT + DAY + 7, fork="b")
        await stakes.confirm()
        assert len(accruals(database_url)) == len(crowd)

    follow(database_url, story)


def test_pending_blocks_that_leave_above_a_period_granted_in_part_change_nothing_of_it(
    database_url: str,
) -> None:
    crowd = [each.to_bytes(20) for each in range(1, 121)]

    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, *((wallet, TOKEN) for wallet in crowd))
        ending = await stakes.block(MIDNIGHT + DAY)
        await stakes.block(MIDNIGHT + DAY + 1)
        for _ in range(CONFIRMS_MAX):
            await stakes.chain.confirm(ending)
            if (await stakes.chain.watching.position()).granted_number == ending.number:
                break
        await stakes.chain.drop(ending)
        assert (await stakes.chain.watching.position()).granted_number == ending.number
        report = await audit(database_url)
        assert report.balanced, render(report)
        with pytest.raises(Exception, match="block 1 is confirmed"):
            await stakes.chain.watching.drop(0)
        await stakes.block(MIDNIGHT + DAY + 2, fork="b")
        await stakes.confirm()
        assert len(accruals(database_url)) == len(crowd)

    follow(database_url, story)


def test_pending_blocks_cannot_be_dropped_from_under_what_they_were_granted(
    database_url: str,
) -> None:
    crowd = [each.to_bytes(20) for each in range(1, 121)]

    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, *((wallet, TOKEN) for wallet in crowd))
        ending = await stakes.block(MIDNIGHT + DAY)
        for _ in range(CONFIRMS_MAX):
            await stakes.chain.confirm(ending)
            if (await stakes.chain.watching.position()).granted_number == ending.number:
                break
        with pytest.raises(Exception, match="block 1 is confirmed"):
            await stakes.chain.watching.drop(0)
        await stakes.confirm()

    follow(database_url, story)
