"""When pending credits are expected: by how fast blocks come and how many are needed."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from followed_chain import Earned, FollowedChain
from live_api import CREDIT, live_api
from selling_app import SellingApp

WALLET = b"\x11" * 20
BLOCK_SECONDS = 12


async def grown(chain: FollowedChain, count: int, *events: Earned) -> datetime:
    """Append blocks up to now, the last with these events, and return the last one's time."""
    last = int(time.time())
    for number in range(count):
        at = last - BLOCK_SECONDS * (count - 1 - number)
        await chain.grow(*(events if number == count - 1 else ()), time=at)
    return datetime.fromtimestamp(last, UTC)


def test_credits_are_expected_when_the_blocks_on_top_have_come(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=10) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(WALLET)
            assert (await app.has(account)).pending_ready_at is None
            last = await grown(chain, 5, Earned(WALLET, 5, "one"))
            ready_at = (await app.has(account)).pending_ready_at
            assert ready_at == last + timedelta(seconds=10 * BLOCK_SECONDS)
            # Each block that comes when it is expected changes nothing.
            await chain.grow(time=int(last.timestamp()) + BLOCK_SECONDS)
            assert (await app.has(account)).pending_ready_at == ready_at
            await chain.grow(Earned(WALLET, 7, "two"), time=int(last.timestamp()) + 24)
            later = ready_at + timedelta(seconds=24)
            assert (await app.has(account)).pending_ready_at == later
            parts = await app.reading.pending(account, limit=10)
            assert [(part.credits, part.ready_at) for part in parts] == [(5, ready_at), (7, later)]

    asyncio.run(main())


def test_on_a_chain_with_a_final_tag_by_how_far_that_lags_behind(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=None) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(WALLET)
            last = await grown(chain, 8, Earned(WALLET, 5, "one"))
            await chain.confirm(chain.blocks[3])
            expected = last + timedelta(seconds=4 * BLOCK_SECONDS)
            assert (await app.has(account)).pending_ready_at == expected

    asyncio.run(main())


def test_what_waits_longer_is_expected_with_the_block_it_waits_for(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=2) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(WALLET)
            last = await grown(chain, 4, Earned(WALLET, 5, "one", blocks_more=30))
            expected = last + timedelta(seconds=32 * BLOCK_SECONDS)
            assert (await app.has(account)).pending_ready_at == expected
            for number in (1, 2):
                await chain.grow(time=int(last.timestamp()) + BLOCK_SECONDS * number)
            await chain.confirm(chain.blocks[3])
            assert (await app.has(account)).pending_ready_at == expected

    asyncio.run(main())


def test_what_is_overdue_is_expected_now(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=2) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(WALLET)
            for number in range(4):  # of 2023
                await chain.grow(Earned(WALLET, 5, f"tx {number}"))
            ready_at = (await app.has(account)).pending_ready_at
            assert ready_at is not None
            assert abs(datetime.now(UTC) - ready_at) < timedelta(seconds=10)

    asyncio.run(main())


def test_nobody_says_when_while_a_chain_is_not_followed_at_its_head(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=2) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(WALLET)
            await chain.grow(Earned(WALLET, 5, "one"))
            # One block says nothing of how fast they come.
            assert (await app.has(account)).pending_ready_at is None
            await chain.grow(Earned(WALLET, 5, "two"))
            assert (await app.has(account)).pending_ready_at is not None
            await chain.watching.halt("test")
            assert (await app.has(account)).pending_ready_at is None
            await chain.watching.resume()
            await chain.grow(head_number=1000)
            found = await app.has(account)
            assert (found.pending, found.pending_ready_at) == (10, None)

    asyncio.run(main())


def test_a_402_tells_when_what_is_missing_is_expected(database_url: str) -> None:
    with live_api(database_url) as api:

        async def main() -> datetime:
            async with FollowedChain.lead(database_url, depth=10) as chain:
                last = await grown(chain, 5, Earned(WALLET, 6 * CREDIT, "one"))
                await chain.grow(
                    Earned(WALLET, 3 * CREDIT, "two"), time=int(last.timestamp()) + BLOCK_SECONDS
                )
                return last

        last = asyncio.run(main())
        account = api.open_wallet(WALLET)
        shown = api.get(f"/v1/accounts/{account}/balance").json()
        assert shown["pending"] == "9"
        refused = api.charge(account, "report.render", 1)  # 7 credits: both events' are needed
        assert refused.status_code == 402
        ready_at = datetime.fromisoformat(refused.json()["pending_ready_at"])
        assert ready_at == last + timedelta(seconds=11 * BLOCK_SECONDS)
        left = (ready_at - datetime.now(UTC)).total_seconds()
        assert left < int(refused.headers["retry-after"]) < left + 10
        remedy = refused.json()["remedies"][0]
        assert (remedy["kind"], remedy["retry_after"]) == (
            "wait",
            int(refused.headers["retry-after"]),
        )
        cheap = api.charge(account, "chat.completion", 3000)  # 6 credits
        ready_at = datetime.fromisoformat(cheap.json()["pending_ready_at"])
        assert ready_at == last + timedelta(seconds=10 * BLOCK_SECONDS)
        assert shown["pending_ready_at"] > cheap.json()["pending_ready_at"]
        # More than all that is pending: when all of it is there, and no asking to wait for it.
        dear = api.charge(account, "report.render", 100)
        assert dear.json()["pending_ready_at"] == shown["pending_ready_at"]
        assert "retry-after" not in dear.headers
