"""Changes of stakes that come late: what was granted is made up for, either way."""

from dataclasses import replace

import pytest
from staking import (
    ALICE,
    BOB,
    CAROL,
    DAILY,
    DAY,
    MIDNIGHT,
    TOKEN,
    WALLETS,
    Staking,
    follow,
    granted,
    has,
    late,
    render,
)

from ledger.audit import audit


@pytest.mark.parametrize("hold", [0, DAY // 2])
def test_what_comes_late_is_made_up_for_when_the_next_period_ends(
    database_url: str, hold: int
) -> None:
    terms = replace(DAILY, hold_seconds=hold)

    async def story(stakes: Staking) -> None:
        first = await stakes.block(MIDNIGHT, (ALICE, 4 * TOKEN), (BOB, TOKEN))
        second = await stakes.block(MIDNIGHT + DAY // 3)
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()
        before = has(database_url, ALICE)
        await late(stakes, second, ALICE, -3 * TOKEN)  # so she was granted too much
        await late(stakes, first, CAROL, 2 * TOKEN)  # and she nothing
        assert has(database_url, ALICE) == before
        report = await audit(database_url)
        assert report.balanced, render(report)
        last = await stakes.block(MIDNIGHT + 4 * DAY)
        await stakes.confirm()
        for wallet in WALLETS:
            assert granted(database_url, wallet) == stakes.expected(wallet, last)
            assert has(database_url, wallet) == stakes.expected(wallet, last)

    follow(database_url, story, terms)
