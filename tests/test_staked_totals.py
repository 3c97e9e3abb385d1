"""Stakes on a real chain, and its own total of them held against the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from books import Books
from scene import TOKEN
from test_watched_stakes import CREDIT, DAY, held

from daemon.anvil import Anvil
from daemon.auditor import Auditor
from daemon.config import Chain, Depth, SecretUrl
from daemon.contract_totals import read_total
from daemon.demo.checks import Checks
from daemon.demo.town import Town
from daemon.evidence import Violated
from daemon.follower import Follower
from daemon.rpc import Node
from daemon.sources import Source
from ledger.audit import audit, render
from ledger.late import Late
from ledger.reading import Reading

pytestmark = pytest.mark.anvil


@dataclass(frozen=True)
class Pool:
    """A pool on anvil, followed from block 0."""

    town: Town
    node: Node
    follower: Follower
    auditor: Auditor
    reading: Reading
    books: Books

    async def turn(self) -> None:
        """Let the newest block be final, and read and audit all there is."""
        await self.town.add_block()
        await self.follower.turn()
        await self.auditor.turn()

    async def alarms(self) -> list[str]:
        return [each.said for each in await self.reading.alarms() if each.kind == "stakes"]


@asynccontextmanager
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with (
        Anvil.start() as anvil,
        Node(anvil.url) as node,
        Late.open(database_url, 31337) as late,
        Reading.open(database_url) as reading,
    ):
        town = await Town.build(node, Checks(list))
        source = replace(held(), contracts=(town.staking.address,), total="totalStaked()")
        follower = Follower(_settings(anvil.url, source), database_url, "test")
        await follower.open()
        try:
            with Books.open(database_url) as books:
                yield Pool(town, node, follower, Auditor(follower, late), reading, books)
        finally:
            await follower.close()
    report = await audit(database_url)
    assert report.balanced, render(report)


def _settings(url: str, source: Source) -> Chain:
    return Chain(
        name="town",
        chain_id=31337,
        rpc_urls=(SecretUrl(url),),
        confirmation=Depth(1),
        on_deep_reorg="halt",
        poll_ms=100,
        span_max=100,
        blocks_remembered=1_000,
        sources=(source,),
    )


def test_a_day_of_staking_on_a_real_chain_is_granted_and_adds_up(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url) as here:
            ada, ben, _ = here.town.earners
            now = int(
                (await here.node.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16
            )
            midnight = now - now % DAY + DAY
            await here.node.call("evm_setNextBlockTimestamp", midnight)
            staked = await here.town.stake(ada, 3 * TOKEN)
            await here.town.stake(ben, TOKEN)
            await here.node.call("evm_setNextBlockTimestamp", midnight + DAY)
            await here.town.add_block()
            await here.turn()
            assert here.books.account(ada.address).available == 3 * CREDIT
            assert 0 < here.books.account(ben.address).available < CREDIT + 1
            assert staked.amount == 3 * TOKEN
            assert await here.alarms() == []

    asyncio.run(main())


def test_a_stake_that_nobody_noticed_is_an_alarm_until_it_is_followed(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url) as here:
            ada, *_ = here.town.earners
            await here.town.stake(ada, 5 * TOKEN)
            await here.turn()
            assert await here.alarms() == []
            here.books.rows("update creditd.stake set balance = balance - 7 returning 1")
            await here.turn()
            (said,) = await here.alarms()
            assert f"says that {5 * TOKEN} base units are staked, the books {5 * TOKEN - 7}" in said
            here.books.rows("update creditd.stake set balance = balance + 7 returning 1")
            await here.turn()
            assert await here.alarms() == []

    asyncio.run(main())


def test_more_taken_out_than_came_in_is_an_alarm(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url) as here:
            ada, *_ = here.town.earners
            await here.town.stake(ada, 5 * TOKEN)
            await here.turn()
            here.books.rows("update creditd.stake set balance = -1 returning 1")
            (found,) = await here.alarms()
            assert "from 1 stake(s) more was taken than was seen to come in" in found
            here.books.rows("update creditd.stake set balance = %s returning 1", 5 * TOKEN)

    asyncio.run(main())


def test_what_is_no_number_is_no_total(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url) as here:
            head = await here.node.call("eth_getBlockByNumber", "latest", False)
            block = bytes.fromhex(head["hash"][2:])
            contracts = [here.town.stake_token.address]
            assert await read_total(here.node, contracts, "decimals()", block) == 18
            with pytest.raises(Violated, match="gave 96 bytes instead of one number"):
                await read_total(here.node, contracts, "name()", block)

    asyncio.run(main())
