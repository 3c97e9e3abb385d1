"""Backfill: a source is read in the blocks that were read without it."""

import asyncio
from typing import Any

import pytest
from fakechain import Event, minted
from scene import (
    ALICE,
    BOB,
    CREDIT,
    DEPTH,
    MINE,
    TOKEN,
    mining,
    scene,
    stakes,
)

from contracts.catalogue import EVENTS
from daemon.rereading.making_good import backfill
from daemon.rereading.rereader import CannotRead
from ledger.errors import NotLate, RuleConflict
from ledger.late import Late


def test_a_source_behind_the_cursor_is_backfilled_and_then_followed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            for _ in range(3):
                here.chain.mine(here.stake(ALICE, 1), minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(250)
            here.chain.mine(minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(DEPTH)
            here.chain.mine(minted(MINE, BOB, TOKEN))  # pending
            first = await here.follow()
            both = (stakes(), mining())
            await here.end(first)
            with pytest.raises(RuleConflict, match="creditd backfill --source mining"):
                await here.follow(*both)
            done = await backfill(database_url, here.settings(*both), mining())
            assert (done.first, done.last, done.admitted) == (0, 255, 4)
            assert here.books.account(BOB).available == 4 * CREDIT
            again = await backfill(database_url, here.settings(*both), mining())
            assert again.admitted == 0
            await here.follow(*both)
            assert here.books.standing().state == "following"
            here.chain.mine_empty(DEPTH)
            assert here.books.account(ALICE).available == 3 * CREDIT
            follower = here._opened[-1]
            await follower.turn()
            assert here.books.account(BOB).available == 5 * CREDIT
            assert here.books.rows("select name, to_block from creditd.rule order by name") == [
                ("mining", None),
                ("stakes", None),
            ]
            with pytest.raises(NotLate, match="followed all along"):
                await backfill(database_url, here.settings(*both), mining())

    asyncio.run(main())


def test_a_backfill_that_is_cut_off_goes_on_where_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            for _ in range(30):
                here.chain.mine(minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(DEPTH)
            await here.end(await here.follow())
            both = here.settings(stakes(), mining())
            monkeypatch.setattr("daemon.rereading.rereader.BLOCKS_PER_PART", 10)
            here.faults.lost_blocks.add(15)
            with pytest.raises(CannotRead):
                await backfill(database_url, both, mining())
            assert here.books.account(BOB).available == 9 * CREDIT
            with pytest.raises(RuleConflict, match="creditd backfill --source mining"):
                await here.follow(stakes(), mining())
            here.faults.lost_blocks.clear()
            done = await backfill(database_url, both, mining())
            assert (done.first, done.admitted) == (10, 21)
            assert here.books.account(BOB).available == 30 * CREDIT
            await here.follow(stakes(), mining())

    asyncio.run(main())


def test_a_watcher_without_the_source_that_reads_on_makes_it_behind_again(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(DEPTH)
            old = await here.follow()
            both = here.settings(stakes(), mining())
            await backfill(database_url, both, mining())
            here.chain.mine(minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(DEPTH)
            for _ in range(3):
                await old.turn()
            assert here.books.standing().indexed == here.chain.head.number
            await here.end(old)
            with pytest.raises(RuleConflict, match="creditd backfill --source mining"):
                await here.follow(stakes(), mining())
            assert (await backfill(database_url, both, mining())).admitted == 1
            await here.follow(stakes(), mining())
            assert here.books.account(BOB).available == 2 * CREDIT

    asyncio.run(main())


def test_what_a_backfill_set_aside_is_not_lost_where_it_is_cut_short(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(Event(MINE, (EVENTS["eip918.Mint"].topic0,), b""))
            for _ in range(10):
                here.chain.mine(minted(MINE, BOB, TOKEN))
            here.chain.mine_empty(DEPTH)
            await here.end(await here.follow())
            monkeypatch.setattr("ledger.late.LATE_EVENTS_MAX", 4)
            entered, admit = [0], Late._admit

            async def cut(late: Late, *arguments: Any) -> int:  # noqa: ANN401 - as it comes
                entered[0] += 1
                if entered[0] == 3:
                    raise NotLate("the chain is halted just now")
                return await admit(late, *arguments)

            monkeypatch.setattr(Late, "_admit", cut)
            both = here.settings(stakes(), mining())
            with pytest.raises(NotLate):
                await backfill(database_url, both, mining())
            await backfill(database_url, both, mining())
            assert here.books.account(BOB).available == 10 * CREDIT
            assert len(here.books.rows("select from creditd.set_aside")) == 1

    asyncio.run(main())
