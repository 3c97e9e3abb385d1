"""Stakes on a real chain, and what its contracts say of them held against the books."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from books import Books
from scene import CREDIT, TOKEN
from watched_stakes import DAY, held

from daemon.chain.contract_totals import read_balances, read_total
from daemon.chain.evidence import Violated
from daemon.chain.rpc import Node
from daemon.configuration.config import Chain, Depth, SecretUrl
from daemon.configuration.sources import Source
from daemon.demo.checks import Checks
from daemon.demo.town import Town
from daemon.processes.anvil import Anvil
from daemon.rereading.auditor import Auditor
from daemon.watching.follower import Follower
from ledger.audit import audit, render
from ledger.errors import Deposed
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
    late: Late
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
async def pool(
    database_url: str, *, total: str | None = "totalStaked()", balance: str | None = None
) -> AsyncIterator[Pool]:
    async with (
        Anvil.start() as anvil,
        Node(anvil.url) as node,
        Late.open(database_url, 31337) as late,
        Reading.open(database_url) as reading,
    ):
        town = await Town.build(node, Checks(list))
        source = replace(held(), contracts=(town.staking.address,), total=total, balance=balance)
        follower = Follower(_settings(anvil.url, source), database_url, "test")
        await follower.open()
        try:
            with Books.open(database_url) as books:
                yield Pool(town, node, follower, Auditor(follower, late), late, reading, books)
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


BALANCE = "balanceOf(address)"


async def staked_by_all(here: Pool) -> list[bytes]:
    """Everybody stakes, some tokens each. Returns their wallets in order."""
    for tokens, earner in enumerate(here.town.earners, 1):
        await here.town.stake(earner, tokens * TOKEN)
    await here.turn()
    return sorted(each.address for each in here.town.earners)


def change(here: Pool, wallet: bytes, base_units: int) -> None:
    here.books.rows(
        "update creditd.stake set balance = balance + %s where wallet = %s returning 1",
        *(base_units, wallet),
    )


def test_a_wallet_whose_stake_differs_is_an_alarm_until_it_agrees(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance=BALANCE) as here:
            one, two, three = await staked_by_all(here)
            for _ in range(2):
                await here.turn()
                assert await here.alarms() == []
            change(here, one, 7)
            change(here, three, -7)  # so their sum is right
            for _ in range(2):
                await here.turn()
                (said,) = await here.alarms()
                assert said.startswith(f"held: at block {here.books.standing().confirmed} its")
                for wallet, wrong in ((one, 7), (three, -7)):
                    ((booked,),) = here.books.rows(
                        "select balance from creditd.stake where wallet = %s", wallet
                    )
                    assert (
                        f"says that 0x{wallet.hex()} has staked {booked - wrong} base units, the"
                        f" books {booked}"
                    ) in said
                assert two.hex() not in said
            change(here, one, -7)
            await here.turn()
            (said,) = await here.alarms()
            assert (one.hex() in said, three.hex() in said) == (False, True)
            change(here, three, 7)
            await here.turn()
            assert await here.alarms() == []

    asyncio.run(main())


def test_what_does_not_earn_yet_is_staked_all_the_same(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance=BALANCE) as here:
            one, *_ = await staked_by_all(here)
            here.books.rows(
                "update creditd.stake set balance = balance - 7, maturing = '{3, 4}',"
                " matures_at = '{2100-01-01, 2100-01-02}' where wallet = %s returning 1",
                one,
            )
            await here.turn()
            assert await here.alarms() == []
            here.books.rows(
                "update creditd.stake set balance = balance + 7, maturing = '{}', matures_at = '{}'"
                " where wallet = %s returning 1",
                one,
            )

    asyncio.run(main())


def test_wallets_are_asked_for_in_rounds_and_what_differs_in_every_turn(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.rereading.auditor.BALANCES_PER_TURN_MAX", 2)
    asked: list[list[bytes]] = []

    async def noted(
        node: Node, contracts: Sequence[bytes], signature: str, wallets: Sequence[bytes], at: bytes
    ) -> dict[bytes, int]:
        asked.append(list(wallets))
        return await read_balances(node, contracts, signature, wallets, at)

    monkeypatch.setattr("daemon.rereading.auditor.read_balances", noted)

    async def main() -> None:
        async with pool(database_url, total=None, balance=BALANCE) as here:
            one, two, three = await staked_by_all(here)
            await here.turn()
            change(here, three, 7)
            await here.turn()
            assert await here.alarms() == []
            for _ in range(5):
                await here.turn()
            assert asked == [
                *([one, two], [three], [one, two], [three]),
                *([three, one], [three, two], [three], [three, one]),
            ]
            # Whoever differs is asked for though the books have no stake of his any more.
            stranger = bytes(20)
            here.books.rows(
                "update creditd.stake set wallet = %s where wallet = %s returning 1",
                *(stranger, three),
            )
            await here.turn()
            (said,) = await here.alarms()
            assert f"0x{three.hex()} has staked" in said
            assert said.endswith("base units, the books 0")
            here.books.rows(
                "update creditd.stake set wallet = %s where wallet = %s returning 1",
                *(three, stranger),
            )
            change(here, three, -7)
            for _ in range(3):
                await here.turn()
            assert await here.alarms() == []

    asyncio.run(main())


def test_nothing_is_compared_that_was_said_of_another_block(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance=BALANCE) as here:
            one, *_ = await staked_by_all(here)
            place = await here.late.place()
            assert place is not None
            asked = await here.late.said_stakes.wallets_to_ask(1, 100)
            wrong = dict.fromkeys(asked.wallets, 5)
            for number, is_compared in ((-1, False), (1, False), (0, True)):
                assert is_compared == await here.late.said_stakes.note_balances(
                    place.epoch, 1, place.confirmed_number + number, wrong, one
                )
                assert (await here.alarms() != []) == is_compared
            assert (await here.late.said_stakes.wallets_to_ask(1, 2)).wallets[0] in asked.wallets
            with pytest.raises(Deposed):
                await here.late.said_stakes.note_balances(place.epoch - 1, 1, 1, wrong, None)
            await here.turn()
            assert await here.alarms() == []

    asyncio.run(main())


def test_of_very_many_that_differ_the_first_are_told(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance=BALANCE) as here:
            await staked_by_all(here)
            place = await here.late.place()
            assert place is not None
            for part in range(3):
                many = {(600 * part + each).to_bytes(20): 1 for each in range(600)}
                await here.late.said_stakes.note_balances(
                    place.epoch, 1, place.confirmed_number, many, None
                )
            (said,) = await here.alarms()
            assert said.count("has staked 1 base units, the books 0") == 3
            assert said.endswith("; and so of 997 more wallet(s)")
            asked = await here.late.said_stakes.wallets_to_ask(1, 10)
            assert len(asked.wallets) == 5 + len(here.town.earners)

    asyncio.run(main())


def test_what_nobody_asks_for_any_more_is_no_alarm(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance=BALANCE) as here:
            one, *_ = await staked_by_all(here)
            change(here, one, 7)
            await here.turn()
            (said,) = await here.alarms()
            assert said.count("base units") == 2  # the sum, too
            place = await here.late.place()
            assert place is not None
            await here.late.said_stakes.note_asked(place.epoch, [1], [1])
            assert await here.alarms() == [said]
            await here.late.said_stakes.note_asked(place.epoch, [1], [])
            (left,) = await here.alarms()
            assert "are staked" in left
            assert one.hex() not in left
            await here.late.said_stakes.note_asked(place.epoch, [], [])
            assert await here.alarms() == []
            change(here, one, -7)

    asyncio.run(main())


def test_what_several_contracts_say_of_a_wallet_is_added_up(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url) as here:
            ada, ben, _ = here.town.earners
            await here.town.stake(ada, 5 * TOKEN)
            head = await here.node.call("eth_getBlockByNumber", "latest", False)
            block = bytes.fromhex(head["hash"][2:])
            await here.town.stake(ben, TOKEN)  # in a later block
            contracts = [here.town.staking.address, here.town.stake_token.address]
            wallets = [ada.address, ben.address]
            staked, free = [
                await read_balances(here.node, [each], BALANCE, wallets, block)
                for each in contracts
            ]
            assert staked == {ada.address: 5 * TOKEN, ben.address: 0}
            assert await read_balances(here.node, contracts, BALANCE, wallets, block) == {
                wallet: staked[wallet] + free[wallet] for wallet in wallets
            }
            with pytest.raises(Violated, match="gave 0 bytes instead of one number"):
                await read_balances(here.node, [bytes(19) + b"\x99"], BALANCE, wallets, block)

    asyncio.run(main())


def test_a_node_that_cannot_say_leaves_the_books_as_they_are(database_url: str) -> None:
    async def main() -> None:
        async with pool(database_url, balance="nothing(address)") as here:
            one, *_ = await staked_by_all(here)
            change(here, one, 7)
            await here.turn()
            (said,) = await here.alarms()
            assert said.count("base units") == 1  # of the sum
            change(here, one, -7)
            await here.turn()

    asyncio.run(main())
