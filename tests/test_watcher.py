"""Following a chain through an honest node: what is shown, when it counts, and only once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from conftest import fresh_database
from fakechain import Event, FakeChain, Tx, minted, staked
from scene import (
    ALICE,
    BOB,
    CREDIT,
    DEPTH,
    MINE,
    TOKEN,
    VAULT,
    Scene,
    mining,
    scene,
    stakes,
)

from daemon.chain.reading import BLOCKS_PER_READ_MAX
from daemon.configuration.config import Finalized
from daemon.watching.watcher import advance


@pytest.fixture
def twin_url(server_url: str, template: str) -> Iterator[str]:
    """Other empty books, for somebody who saw less trouble."""
    with fresh_database(server_url, template) as url:
        yield url


def earning(chain: FakeChain, wallet: bytes, tokens: int) -> Tx:
    return chain.tx(staked(VAULT, wallet, tokens * TOKEN))


@asynccontextmanager
async def one_stake(database_url: str) -> AsyncIterator[tuple[Scene, Tx]]:
    """A chain whose block 1 has a stake of Alice's."""
    async with scene(database_url) as here:
        tx = earning(here.chain, ALICE, 5)
        here.chain.mine(tx)
        yield here, tx


def test_a_seen_event_is_shown_at_once_and_not_spendable(database_url: str) -> None:
    async def main() -> None:
        async with one_stake(database_url) as (here, tx):
            await here.follow()
            assert here.books.pending() == {(tx.hash, 0): 5 * CREDIT}
            assert here.books.confirmed() == {}
            assert here.books.account(ALICE).available == 0

    asyncio.run(main())


def test_a_block_counts_with_exactly_so_many_blocks_on_top_as_configured(
    database_url: str,
) -> None:
    async def main() -> None:
        async with one_stake(database_url) as (here, tx):
            follower = await here.follow()
            here.chain.mine_empty(DEPTH - 1)
            await follower.turn()
            assert here.books.standing().confirmed == 0
            assert here.books.account(ALICE).available == 0
            here.chain.mine()
            await follower.turn()
            assert here.books.standing().confirmed == 1
            assert here.books.confirmed() == {(tx.hash, 0): 5 * CREDIT}
            assert here.books.account(ALICE).available == 5 * CREDIT

    asyncio.run(main())


def test_a_confirmed_event_is_granted_once_however_often_it_is_looked_at(
    database_url: str,
) -> None:
    async def main() -> None:
        async with one_stake(database_url) as (here, _):
            follower = await here.follow()
            here.chain.mine_empty(DEPTH)
            for _ in range(3):
                await follower.turn()
                here.chain.mine()
            assert here.books.entry_kinds(ALICE) == [("grant", 5 * CREDIT)]

    asyncio.run(main())


def test_a_chain_with_finality_goes_by_its_tag_and_not_by_depth(database_url: str) -> None:
    async def main() -> None:
        async with one_stake(database_url) as (here, tx):
            here.chain.mine_empty(50)
            follower = await here.follow(confirmation=Finalized())
            assert here.books.standing().indexed == 51
            assert here.books.standing().confirmed == 0
            here.chain.finalize(1)  # and no new block with it
            await follower.turn()
            assert here.books.standing().confirmed == 1
            assert here.books.confirmed() == {(tx.hash, 0): 5 * CREDIT}
            here.chain.mine_empty(2)
            await follower.turn()
            assert here.books.standing().confirmed == 1

    asyncio.run(main())


def test_a_long_pause_of_finality_is_caught_up_one_span_at_a_time(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            for _ in range(25):
                here.chain.mine(here.stake(ALICE, 1))
            follower = await here.follow(confirmation=Finalized(), span_max=10)
            assert here.books.standing().indexed == 25
            here.chain.finalize(25)
            watching, followings = follower._watching, follower._followings
            view = follower._view
            assert view is not None
            assert watching is not None
            assert followings is not None
            for confirmed in (10, 20):
                await advance(view, watching, followings)
                assert here.books.standing().confirmed == confirmed
            here.chain.mine_empty(1)  # the rest, with a block that is read
            await advance(view, watching, followings)
            assert here.books.standing().confirmed == 25
            assert here.books.account(ALICE).available == 25 * CREDIT

    asyncio.run(main())


def test_a_tag_that_goes_back_unconfirms_nothing(database_url: str) -> None:
    async def main() -> None:
        async with one_stake(database_url) as (here, _):
            here.chain.mine_empty(5)
            here.chain.finalize(4)
            follower = await here.follow(confirmation=Finalized())
            before = here.books.contents()
            here.chain.finalize(0)
            await follower.turn()
            assert here.books.contents() == before

    asyncio.run(main())


def test_history_is_read_in_spans_and_loses_nothing_where_they_meet(database_url: str) -> None:
    async def main() -> None:
        chain = FakeChain()
        txs = [earning(chain, ALICE, 1) for _ in range(35)]
        for tx in txs:
            chain.mine(tx)
        async with scene(database_url, chain) as here:
            await here.follow(span_max=10)
            standing = here.books.standing()
            assert (standing.indexed, standing.confirmed) == (35, 35 - DEPTH)
            assert set(here.books.confirmed()) == {(tx.hash, 0) for tx in txs[:-DEPTH]}
            assert set(here.books.pending()) == {(tx.hash, 0) for tx in txs[-DEPTH:]}
            assert here.books.account(ALICE).available == (35 - DEPTH) * CREDIT

    asyncio.run(main())


def test_a_span_as_long_as_the_configuration_allows_can_be_read(database_url: str) -> None:
    async def main() -> None:
        chain = FakeChain()
        chain.mine_empty(BLOCKS_PER_READ_MAX + 10)
        async with scene(database_url, chain) as here:
            await here.follow(span_max=BLOCKS_PER_READ_MAX + 10)
            assert here.books.standing().indexed == BLOCKS_PER_READ_MAX + 10

    asyncio.run(main())


def test_reading_begins_where_the_first_source_begins(database_url: str) -> None:
    async def main() -> None:
        chain = FakeChain()
        early, late = earning(chain, ALICE, 1), earning(chain, ALICE, 2)
        chain.mine_empty(20)
        chain.mine(early)
        chain.mine(late)
        chain.mine_empty(DEPTH + 5)
        async with scene(database_url, chain) as here:
            await here.follow(stakes(from_block=22), mining(from_block=25))
            assert min(here.books.block_hashes()) == 21
            assert here.books.confirmed() == {(late.hash, 0): 2 * CREDIT}

    asyncio.run(main())


def test_a_source_that_begins_in_the_future_is_waited_for(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(10)
            follower = await here.follow(stakes(from_block=15))
            assert here.books.standing().indexed == 10
            assert min(here.books.block_hashes()) == 10 - DEPTH
            here.chain.mine_empty(3)
            tx = [earning(here.chain, ALICE, tokens) for tokens in (1, 2)]
            here.chain.mine(tx[0])
            here.chain.mine(tx[1])
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.confirmed() == {(tx[1].hash, 0): 2 * CREDIT}

    asyncio.run(main())


def test_genesis_itself_can_earn_nothing_and_stops_nothing(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await here.follow()
            assert here.books.standing().indexed == 0
            assert sorted(here.books.block_hashes()) == [-1, 0]

    asyncio.run(main())


def test_every_log_of_a_transaction_earns_for_itself(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            tx = here.chain.tx(
                staked(VAULT, ALICE, TOKEN), minted(MINE, ALICE, TOKEN), staked(VAULT, BOB, TOKEN)
            )
            here.chain.mine(earning(here.chain, BOB, 1), tx)
            here.chain.mine_empty(DEPTH)
            await here.follow(stakes(), mining())
            mined = {
                key: amount for key, amount in here.books.confirmed().items() if key[0] == tx.hash
            }
            assert mined == {(tx.hash, 0): CREDIT, (tx.hash, 1): CREDIT, (tx.hash, 2): CREDIT}
            assert here.books.account(ALICE).available == 2 * CREDIT
            assert here.books.account(BOB).available == 2 * CREDIT

    asyncio.run(main())


def test_a_reverted_transaction_earns_nothing(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.chain.tx(staked(VAULT, ALICE, TOKEN), reverted=True))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            assert here.books.standing().confirmed == 1
            assert here.books.confirmed() == {}

    asyncio.run(main())


def test_an_event_too_small_to_earn_is_confirmed_and_granted_nothing(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            tx = here.chain.tx(staked(VAULT, ALICE, 1))
            here.chain.mine(tx)
            here.chain.mine_empty(DEPTH)
            await here.follow()
            assert here.books.confirmed() == {(tx.hash, 0): 0}
            assert here.books.entry_kinds(ALICE) == []

    asyncio.run(main())


def test_a_daily_cap_grants_what_room_it_leaves(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            txs = [earning(here.chain, ALICE, 4) for _ in range(3)]
            for tx in txs:
                here.chain.mine(tx)
            here.chain.mine(earning(here.chain, BOB, 4), seconds=86_400)
            here.chain.mine(earning(here.chain, ALICE, 4))
            here.chain.mine_empty(DEPTH)
            await here.follow(stakes(per_account_day=10))
            granted = here.books.confirmed()
            assert [granted[tx.hash, 0] for tx in txs] == [4 * CREDIT, 4 * CREDIT, 2 * CREDIT]
            assert here.books.account(ALICE).available == 14 * CREDIT
            assert here.books.account(BOB).available == 4 * CREDIT

    asyncio.run(main())


def test_a_log_nobody_can_be_sure_of_is_set_aside_and_stops_nothing(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            near = Event(VAULT, staked(VAULT, ALICE, 1).topics, b"")
            huge = staked(VAULT, BOB, 2**255)
            tx = here.chain.tx(near, staked(VAULT, ALICE, TOKEN), huge)
            here.chain.mine(tx)
            here.chain.mine_empty(DEPTH)
            follower = await here.follow()
            (first, second) = here.books.set_aside()
            assert first[:2] == second[:2] == (1, VAULT)
            assert "data" in first[2]
            assert "more than one grant may be" in second[2]
            assert here.books.confirmed() == {(tx.hash, 1): CREDIT}
            assert here.books.account(BOB).available == 0
            here.chain.mine(earning(here.chain, BOB, 1))
            await follower.turn()
            assert here.books.standing().state == "following"
            assert len(here.books.pending()) == 1

    asyncio.run(main())


def test_the_books_after_a_restart_at_any_block_are_those_without_one(
    database_url: str, twin_url: str
) -> None:
    async def main() -> None:
        chain = FakeChain()
        async with scene(database_url, chain) as restarted, scene(twin_url, chain) as still:
            steady = await still.follow(span_max=2)
            for number in range(12):
                follower = await restarted.follow(span_max=2)
                chain.mine(*(earning(chain, ALICE, 1) for _ in range(number % 3)))
                if number % 4 == 0:
                    await restarted.end(follower)  # and not seen: the next one must read it
                else:
                    await follower.turn()
                    await restarted.end(follower)
                await steady.turn()
            await restarted.follow(span_max=2)
            assert restarted.books.story() == still.books.story()
            assert restarted.books.standing().epoch == 13

    asyncio.run(main())
