"""The auditor reads final blocks again, round and round, and says what the books do not have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from fakechain import FakeChain
from fakenode import Faults, Status, serve
from missed import omit
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene, stakes
from several_nodes import followed, nodes, staked_deep, unhashed, unproven

from daemon.chain.known_chains import Verify
from daemon.rereading.auditor import AUDIT_BLOCKS, Auditor
from daemon.rereading.making_good import verify
from daemon.watching.follower import Follower
from ledger.alarms import Alarm
from ledger.late import Late, Rereading
from ledger.reading import Reading


@dataclass
class Watched:
    here: Scene
    follower: Follower
    late: Late
    auditor: Auditor
    reading: Reading

    async def place(self) -> Rereading | None:
        return await self.late.rereading()

    async def alarms(self) -> list[Alarm]:
        return await self.reading.alarms()


@asynccontextmanager
async def watched(here: Scene) -> AsyncIterator[Watched]:
    async with (
        Late.open(here.database_url, here.chain.chain_id) as late,
        Reading.open(here.database_url) as reading,
    ):
        follower = await here.follow(span_max=500)
        yield Watched(here, follower, late, Auditor(follower, late), reading)


@pytest.fixture
def omitting(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    return omit(monkeypatch)


def test_it_goes_round_and_round_from_where_the_books_say_it_was(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            for _ in range(2 * AUDIT_BLOCKS):
                here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            async with watched(here) as at:
                await at.auditor.turn()
                assert await at.place() == Rereading(AUDIT_BLOCKS, 0, None)
                again = Auditor(at.follower, at.late)  # after a restart
                await again.turn()
                await again.turn()
                assert await at.place() == Rereading(0, 1, None)
                here.chain.mine_empty(1)
                await at.follower.turn()
                for _ in range(3):
                    await again.turn()
                assert await at.place() == Rereading(0, 2, None)
                assert await at.alarms() == []

    asyncio.run(main())


def test_what_the_watcher_missed_is_an_alarm_until_it_is_repaired(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(AUDIT_BLOCKS)
            omitting.add(BOB)
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(AUDIT_BLOCKS + DEPTH)
            async with watched(here) as at:
                await at.auditor.turn()
                assert await at.alarms() == []
                await at.auditor.turn()
                (alarm,) = await at.alarms()
                assert alarm.kind == "reread"
                assert "1 event(s) missing" in alarm.said
                assert "creditd verify --chain town --from 50 --to 99" in alarm.remedy
                assert here.books.rows("select kind from creditd.alarm") == [("reread",)]
                for _ in range(3):
                    await at.auditor.turn()
                assert len(await at.alarms()) == 1
                assert here.books.account(BOB).granted == 0
                settings = at.follower.chain
                await verify(database_url, settings, 0, 50, repair=False)
                assert len(await at.alarms()) == 1
                await verify(database_url, settings, 50, 99, repair=True)
                assert await at.alarms() == []
                assert here.books.account(BOB).available == 3 * CREDIT

    asyncio.run(main())


def test_an_alarm_that_was_false_is_over_when_the_same_blocks_are_read_well(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            async with watched(here) as at:
                here.books.rows("update creditd.event set amount = amount + 1 returning 1")
                await at.auditor.turn()
                assert [each.kind for each in await at.alarms()] == ["reread"]
                here.books.rows("update creditd.event set amount = amount - 1 returning 1")
                await at.auditor.turn()
                assert await at.alarms() == []

    asyncio.run(main())


def test_it_reads_from_another_node_than_the_watcher_does(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        faults = Faults()
        async with scene(database_url) as here, serve(here.chain, faults) as url:
            here.other_urls.append(url)
            omitting.add(BOB)
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(DEPTH)
            async with watched(here) as at:
                assert faults.calls["eth_getBlockReceipts"] == 0
                here.faults.requests.clear()
                await at.auditor.turn()
                assert faults.calls["eth_getBlockReceipts"] == 1
                assert here.faults.calls["eth_getBlockReceipts"] == 0
                assert [each.kind for each in await at.alarms()] == ["reread"]

    asyncio.run(main())


def test_nodes_that_disagree_about_an_old_block_are_an_alarm(database_url: str) -> None:
    async def main() -> None:
        other = FakeChain()
        async with scene(database_url) as here, serve(other) as url:
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine_empty(DEPTH)
            here.other_urls.append(url)
            other.switch_to(here.chain.branch)
            async with watched(here) as at:
                other.fork_from(0)
                other.mine_empty(10)
                await at.auditor.turn()
                (alarm,) = await at.alarms()
                assert alarm.kind == "reread"
                assert "disagree about block 1" in alarm.said
                other.switch_to(here.chain.branch)
                await at.auditor.turn()
                assert await at.alarms() == []

    asyncio.run(main())


def test_it_waits_while_no_node_answers_and_while_the_chain_is_being_read(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 3))
            here.chain.mine_empty(DEPTH)
            async with watched(here) as at:
                here.faults.failures.extend([Status(503)] * 20)
                await at.auditor.turn()
                assert await at.place() is None
                here.faults.failures.clear()
                here.books.rows("update creditd.chain set state = 'syncing' returning 1")
                await at.auditor.turn()
                assert await at.place() is None
                here.books.rows("update creditd.chain set state = 'following' returning 1")
                await at.auditor.turn()
                assert await at.place() == Rereading(0, 0, None)

    asyncio.run(main())


def test_it_begins_where_the_first_source_does(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(AUDIT_BLOCKS + DEPTH + 10)
            follower = await here.follow(stakes(from_block=7), span_max=500)
            async with Late.open(database_url, here.chain.chain_id) as late:
                await Auditor(follower, late).turn()
                assert await late.rereading() == Rereading(7 + AUDIT_BLOCKS, 0, None)

    asyncio.run(main())


@pytest.mark.parametrize("verify", ["bloom", "found", "off"])
def test_a_chain_that_cannot_be_proven_is_audited_by_nodes_that_agree(
    database_url: str, omitting: set[bytes], verify: Verify
) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, _):
            omitting.add(BOB)
            staked_deep(here)
            unhashed(here.chain)
            follower = await followed(here, unproven(here, verify))
            async with Late.open(database_url, here.chain.chain_id) as late:
                await Auditor(follower, late).turn()
                kept = await late.rereading()
            assert kept is not None
            assert kept.found == "1 event(s) missing"

    asyncio.run(main())


def test_it_waits_for_as_many_nodes_as_are_to_agree(database_url: str) -> None:
    async def main() -> None:
        async with nodes(database_url) as (here, faults):
            staked_deep(here)
            follower = await followed(here, here.settings(agree=2))
            async with Late.open(database_url, here.chain.chain_id) as late:
                auditor = Auditor(follower, late)
                faults[1].failures.extend([Status(503)] * 50)
                await auditor.turn()
                assert await late.rereading() is None
                faults[1].failures.clear()
                await auditor.turn()
                assert await late.rereading() == Rereading(0, 0, None)

    asyncio.run(main())


def test_what_no_node_can_read_any_more_is_told_of_and_the_rest_is_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.rereading.auditor.UNREAD_TURNS_MAX", 3)

    async def main() -> None:
        async with scene(database_url) as here:
            for _ in range(2 * AUDIT_BLOCKS):
                here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            async with watched(here) as at:
                here.faults.omit_log_in.add(1)  # as if all receipts of it were gone
                for _ in range(2):
                    await at.auditor.turn()
                    assert await at.place() is None
                await at.auditor.turn()
                place = await at.place()
                assert place is not None
                assert (place.next_number, place.found_first) == (AUDIT_BLOCKS, 0)
                (alarm,) = await at.alarms()
                assert (alarm.kind, "cannot be read again" in alarm.said) == ("reread", True)
                await at.auditor.turn()
                assert (await at.place() or place).next_number == 2 * AUDIT_BLOCKS
                here.faults.omit_log_in.clear()
                for _ in range(3):
                    await at.auditor.turn()
                assert await at.alarms() == []

    asyncio.run(main())
