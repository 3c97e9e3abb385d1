"""What a chain may hold that nobody asked for: a stated end for each, and no grant goes wrong."""

import asyncio
from dataclasses import replace

import pytest
from fakechain import STAKED, Event
from scene import ALICE, BOB, CREDIT, DEPTH, TOKEN, VAULT, mining, scene, stakes

from contracts.events import EventType
from contracts.hashing import keccak
from daemon.chain.known_chains import Verify
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Rule
from daemon.configuration.sources import Source
from daemon.watching.contract_code import NoContract

LONG = 1_500_000  # bytes of a log's data
MANY = 10_000  # events in one block
OTHER_CHAIN = 5
DECIMALS_CHANGED = keccak(b"DecimalsChanged(uint8)")


def test_a_contract_without_code_is_refused_at_the_start(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(5)
            here.faults.no_code_at = {VAULT}
            refused = await here.stand_by(here.settings(stakes(from_block=2), mining()))
            with pytest.raises(NoContract, match=r"stakes: there is no contract at 0x(ca){20} in"):
                await refused.turn()
            assert here.books.contents() == {name: [] for name in here.books.contents()}

    asyncio.run(main())


@pytest.mark.parametrize(
    "source",
    [stakes(from_block=9), stakes(from_block=1, to_block=3)],
    ids=["to be made", "gone for good"],
)
def test_a_source_that_does_not_earn_just_now_needs_no_code(
    database_url: str, source: Source
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(5)
            here.faults.no_code_at = {VAULT}
            await here.follow(source)
            assert here.books.standing().state == "following"

    asyncio.run(main())


def test_a_contract_that_is_gone_later_does_not_stop_who_follows_it(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(5)
            follower = await here.follow()
            here.faults.no_code_at = {VAULT}
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


def test_a_chain_id_that_changes_behind_a_url_halts_the_chain_until_it_is_back(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await here.follow()
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            here.faults.chain_id = OTHER_CHAIN
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert f"is on chain {OTHER_CHAIN}" in (here.books.standing().reason or "")
            assert here.books.account(ALICE).available == 0
            here.faults.chain_id = None
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


def test_a_token_that_changes_its_decimals_is_not_asked_for_them_and_earns_as_before(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine(Event(VAULT, (DECIMALS_CHANGED,), (6).to_bytes(32)))
            here.chain.mine(here.stake(ALICE, 2))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            assert here.books.account(ALICE).available == 3 * CREDIT
            assert here.faults.calls["eth_call"] == 0

    asyncio.run(main())


@pytest.mark.parametrize("verify", ["bloom", "found"])
def test_a_log_of_more_than_a_megabyte_is_set_aside_or_granted_as_its_event_is(
    database_url: str, verify: Verify
) -> None:
    noted = EventType.parse(
        "Noted(address indexed who,uint256 sum,bytes note)",
        name="Noted",
        wallet="who",
        amount="sum",
    )
    source = Source("notes", (VAULT,), (FollowedEvent(noted),), 0, None, Rule(CREDIT, TOKEN))
    note = LONG.to_bytes(32) + bytes(-(-LONG // 32) * 32)
    wallet = BOB.rjust(32, b"\0")

    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(Event(VAULT, (STAKED, wallet), bytes(LONG)), here.stake(ALICE, 1))
            data = (2 * TOKEN).to_bytes(32) + (64).to_bytes(32) + note
            here.chain.mine(Event(VAULT, (noted.topic0, wallet), data))
            here.chain.mine_empty(DEPTH)
            settings = here.settings(stakes(), source)
            follower = await here.stand_by(replace(settings, verify=verify))
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == CREDIT
            assert here.books.account(BOB).available == 2 * CREDIT
            ((size, reason),) = here.books.rows(
                "select octet_length(data), reason from creditd.set_aside"
            )
            assert size == LONG
            assert reason

    asyncio.run(main())


def test_ten_thousand_events_in_one_block_are_all_granted(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            stake = here.stake(ALICE, 1).events
            here.chain.mine(*(here.chain.tx(*stake * 100) for _ in range(MANY // 100)))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            assert here.books.account(ALICE).available == MANY * CREDIT
            assert here.books.standing().state == "following"

    asyncio.run(main())
