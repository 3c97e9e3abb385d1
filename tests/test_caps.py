"""Caps cut what a rule grants: to one account or to all, on a day of the chain or ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from books import Books
from followed_chain import Earned, FollowedChain, source

from ledger.audit import audit, render

ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
# Chain time, the last second of a day and the first of the next.
EVENING = int(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp())
MIDNIGHT = EVENING + 1


@asynccontextmanager
async def capped(database_url: str, **caps: int) -> AsyncIterator[FollowedChain]:
    terms: dict[str, Any] = dict(caps)
    async with FollowedChain.lead(database_url, rule=replace(source(), **terms)) as chain:
        yield chain
    report = await audit(database_url)
    assert report.balanced, render(report)


async def earn(chain: FollowedChain, *earned: tuple[bytes, int], time: int = EVENING) -> None:
    events = [
        Earned(wallet, amount, f"{len(chain.blocks)} {place}")
        for place, (wallet, amount) in enumerate(earned)
    ]
    await chain.grow(*events, time=time)
    await chain.confirm()


def granted(database_url: str) -> list[int]:
    """What the events were granted, in the order of the chain."""
    with Books.open(database_url) as books:
        return [
            amount
            for (amount,) in books.rows(
                "select granted from creditd.event where state = 'confirmed'"
                " order by block_number, log_index"
            )
        ]


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ({}, [40, 40, 40, 40, 40]),
        ({"cap_account": 60}, [40, 40, 20, 0, 20]),
        ({"cap_account_day": 60}, [40, 40, 20, 40, 40]),
        ({"cap_day": 90}, [40, 40, 10, 40, 40]),
        ({"cap_total": 130}, [40, 40, 40, 10, 0]),
        ({"cap_account_day": 60, "cap_day": 70, "cap_total": 150}, [40, 30, 0, 40, 30]),
        ({"cap_account": 100, "cap_account_day": 60, "cap_total": 1}, [1, 0, 0, 0, 0]),
    ],
)
def test_a_grant_is_cut_to_what_the_caps_leave(
    database_url: str, caps: dict[str, int], expected: list[int]
) -> None:
    async def main() -> None:
        async with capped(database_url, **caps) as chain:
            await earn(chain, (ALICE, 40), (BOB, 40), (ALICE, 40))
            await earn(chain, (ALICE, 40), (BOB, 40), time=MIDNIGHT)
        assert granted(database_url) == expected

    asyncio.run(main())


def test_events_confirmed_at_once_are_cut_in_the_order_of_the_chain(database_url: str) -> None:
    async def main() -> None:
        async with capped(database_url, cap_account=100) as chain:
            for number in range(8):
                await chain.grow(Earned(ALICE, 30, f"tx {number}"))
            await chain.confirm()
        assert granted(database_url) == [30, 30, 30, 10, 0, 0, 0, 0]

    asyncio.run(main())


def test_a_reversal_gives_back_what_it_took_of_every_cap(database_url: str) -> None:
    async def main() -> None:
        caps = {"cap_account": 100, "cap_account_day": 60, "cap_day": 60, "cap_total": 100}
        async with capped(database_url, **caps) as chain:
            stays = await chain.grow(Earned(ALICE, 10, "stays"), time=EVENING)
            await earn(chain, (ALICE, 40), (BOB, 40))
            assert granted(database_url) == [10, 40, 10]
            await chain.reverse(stays)
            assert granted(database_url) == [10]
            await chain.grow(Earned(BOB, 45, "b"), Earned(ALICE, 45, "a"), fork="b", time=EVENING)
            await chain.confirm()
            assert granted(database_url) == [10, 45, 5]

    asyncio.run(main())


def test_a_cap_lowered_below_what_was_granted_takes_nothing_back(database_url: str) -> None:
    async def main() -> None:
        rule = replace(source(), cap_total=100)
        async with FollowedChain.lead(database_url, rule=rule) as chain:
            await earn(chain, (ALICE, 90))
            await chain.watching.enter_rules([replace(rule, cap_total=50)])
            await earn(chain, (ALICE, 90))
            await chain.watching.enter_rules([replace(rule, cap_total=95)])
            await earn(chain, (ALICE, 90))
        assert granted(database_url) == [90, 0, 5]

    asyncio.run(main())
