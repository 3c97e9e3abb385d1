"""Verify, replay, backfill and rewind: what an operator does about what was missed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Said, creditd
from fakechain import Event, FakeChain
from fakenode import serve
from missed import STAKED, block_of, event_of, omit, place_of, read
from scene import (
    ALICE,
    BOB,
    CAROL,
    CREDIT,
    DEPTH,
    TOKEN,
    VAULT,
    scene,
    stakes,
    write_config,
)

from daemon.rereading.making_good import replay, rewind, verify
from daemon.rereading.rereader import CannotRead
from ledger.errors import NotLate
from ledger.late import Late


@pytest.fixture
def omitting(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    return omit(monkeypatch)


def test_verify_finds_what_is_missing_and_repairs_it(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            omitting.add(BOB)
            await read(here)
            settings = here.settings()
            found = await verify(database_url, settings, 0, None)
            assert (found.first, found.last) == (0, 1)
            assert [each.wallet for each in found.differences.missing] == [BOB]
            assert (found.admitted, here.books.account(BOB).granted) == (0, 0)
            assert (await verify(database_url, settings, 0, None, repair=True)).admitted == 1
            assert here.books.account(BOB).available == 3 * CREDIT
            assert not (await verify(database_url, settings, 0, None)).differences.any
            for first, last in ((0, 2), (2, 1), (-1, 1)):
                with pytest.raises(NotLate, match="the confirmed ones are 0 to 1"):
                    await verify(database_url, settings, first, last)

    asyncio.run(main())


def test_events_of_no_amount_that_the_books_have_from_before_differ_from_nothing(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await read(here)
            mined = here.chain.block(1)
            nothing = replace(event_of(mined), ordinal=7, log_index=7, amount=0, credits=0)
            async with Late.open(database_url, here.chain.chain_id) as late:
                place = await place_of(late)
                assert await late.admit(place.epoch, block_of(mined), [nothing]) == 1
            assert not (await verify(database_url, here.settings(), 0, None)).differences.any

    asyncio.run(main())


def test_verify_finds_events_that_are_not_on_the_chain_or_told_otherwise(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await read(here)

            def corrupt(wallet: bytes, tx_hash: bytes, amount: int, place: int) -> None:
                here.books.rows(
                    "update creditd.event set tx_hash = %s, amount = %s, log_index = %s"
                    " where wallet = %s returning 1",
                    *(tx_hash, amount, place, wallet),
                )

            alices, bobs = (tx.hash for tx in here.chain.block(1).txs)
            corrupt(ALICE, alices, 1, 0)
            corrupt(BOB, bytes(32), 3 * TOKEN, 7)
            before = here.books.contents()
            found = (await verify(database_url, here.settings(), 0, None)).differences
            assert [each.recorded.wallet for each in found.changed] == [ALICE]
            assert [each.wallet for each in found.not_on_chain] == [BOB]
            assert [each.tx_hash for each in found.missing] == [bobs]
            # Where a block is told otherwise, nothing of it comes in.
            repaired = await verify(database_url, here.settings(), 0, None, repair=True)
            assert repaired.admitted == 0
            assert here.books.contents() == before
            corrupt(ALICE, alices, 10 * TOKEN, 0)
            corrupt(BOB, bobs, 3 * TOKEN, 1)

    asyncio.run(main())


def test_verify_believes_no_node_of_another_chain_or_without_proof(
    database_url: str, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            omitting.add(BOB)
            await read(here)
            settings = here.settings()
            stranger = FakeChain(chain_id=here.chain.chain_id)
            stranger.mine_empty(3)
            other = FakeChain(chain_id=5)
            async with serve(stranger) as same, serve(other) as five:
                with pytest.raises(CannotRead, match="shows chain 5"):
                    await verify(database_url, settings, 0, None, urls=[five])
                found = await verify(database_url, settings, 0, None, urls=[same])
                assert [number for number, _, _ in found.differences.other_blocks] == [1]
                with pytest.raises(CannotRead, match="disagree about block 1"):
                    await verify(database_url, settings, 0, None, urls=[same, here.url])
            here.faults.omit_log_in.add(1)
            with pytest.raises(CannotRead, match="no node proves"):
                await verify(database_url, settings, 0, None)
            assert here.books.account(BOB).granted == 0

    asyncio.run(main())


def test_logs_set_aside_are_replayed_once_they_match(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            bad = Event(VAULT, (STAKED,), b"")
            here.chain.mine(here.stake(ALICE, 10), bad)
            monkeypatch.setattr("daemon.configuration.rules.GRANT_MAX_MICRO", 9 * CREDIT)
            here.chain.mine_empty(DEPTH)
            await here.follow()
            here.chain.mine(here.stake(BOB, 10))
            assert here.books.account(ALICE).granted == 0
            settings, source = here.settings(), stakes()
            same = await replay(database_url, settings, source, 0, None)
            assert (same.admitted, len(same.kept)) == (0, 2)
            monkeypatch.undo()
            out_of_range = await replay(database_url, settings, source, 2, None)
            assert (out_of_range.admitted, out_of_range.kept) == (0, [])
            again = await replay(database_url, settings, source, 0, None)
            assert (again.admitted, len(again.kept)) == (1, 1)
            assert "topic" in again.kept[0][1]
            assert here.books.account(ALICE).available == 10 * CREDIT
            assert len(here.books.rows("select from creditd.set_aside")) == 1
            assert (await replay(database_url, settings, source, 0, None)).admitted == 0

    asyncio.run(main())


def test_what_is_set_aside_beyond_the_most_of_one_question_is_reached_by_its_blocks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            bad = Event(VAULT, (STAKED,), b"")
            here.chain.mine(here.stake(ALICE, 10), bad)
            here.chain.mine(here.stake(BOB, 10), bad)
            here.chain.mine(here.stake(CAROL, 10))
            here.chain.mine_empty(DEPTH)
            with monkeypatch.context() as strict:
                strict.setattr("daemon.configuration.rules.GRANT_MAX_MICRO", 9 * CREDIT)
                await here.follow()
            monkeypatch.setattr("ledger.late.SET_ASIDE_MAX", 2)
            settings, source = here.settings(), stakes()
            assert (await replay(database_url, settings, source, 0, None)).admitted == 1
            assert (await replay(database_url, settings, source, 2, 2)).admitted == 1
            assert (await replay(database_url, settings, source, 3, None)).admitted == 1
            for wallet in (ALICE, BOB, CAROL):
                assert here.books.account(wallet).available == 10 * CREDIT

    asyncio.run(main())


def test_logs_of_blocks_that_are_pending_wait(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            monkeypatch.setattr("daemon.configuration.rules.GRANT_MAX_MICRO", 9 * CREDIT)
            here.chain.mine(here.stake(ALICE, 10))
            follower = await here.follow()
            monkeypatch.undo()
            waits = await replay(database_url, here.settings(), stakes(), 0, None)
            assert [reason for _, reason in waits.kept] == ["block 1 is not confirmed yet"]
            here.chain.mine_empty(DEPTH)
            await follower.turn()
            assert (await replay(database_url, here.settings(), stakes(), 0, None)).admitted == 1

    asyncio.run(main())


def test_rewinding_has_pending_blocks_read_again_and_no_confirmed_one(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(2)
            here.chain.mine(here.stake(BOB, 1))
            follower = await here.follow()
            settings = here.settings()
            standing = here.books.standing()
            with pytest.raises(NotLate, match="block 1 is confirmed"):
                await rewind(database_url, settings, 0)
            with pytest.raises(NotLate, match="read to block 4 only"):
                await rewind(database_url, settings, 5)
            assert await rewind(database_url, settings, 2) == 1
            after = here.books.standing()
            assert (after.indexed, after.reorgs) == (2, standing.reorgs)
            assert here.books.pending() == {}
            for _ in range(2):
                await follower.turn()
            assert here.books.standing().indexed == 4
            assert here.books.standing().state == "following"
            assert len(here.books.pending()) == 1

    asyncio.run(main())


def test_a_leader_whose_blocks_are_forgotten_while_it_reads_leads_anew_and_halts_nothing(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(DEPTH + 3)
            follower = await here.follow()
            here.chain.mine()

            def forget(methods: list[str]) -> None:
                if len(methods) == 1 and methods != ["eth_chainId"]:
                    here.faults.before_request = None
                    here.books.rows("select creditd.rewind_chain(31337, 1, 5)")

            here.faults.before_request = forget
            await follower.turn()
            assert here.faults.before_request is None
            assert here.books.standing().state != "halted"
            assert here.books.rows("select from creditd.alarm") == []
            await follower.turn()
            assert here.books.standing().epoch == 3  # its own, the one that was ended, and a new
            assert here.books.standing().indexed == DEPTH + 4

    asyncio.run(main())


def test_the_commands_say_what_they_found_and_did(
    database_url: str, tmp_path: Path, omitting: set[bytes]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            omitting.add(BOB)
            here.chain.mine(here.stake(ALICE, 10), here.stake(BOB, 3), Event(VAULT, (STAKED,), b""))
            here.chain.mine_empty(DEPTH)
            here.chain.mine(here.stake(ALICE, 1))
            await here.follow()
            config = write_config(tmp_path, here.url)

            async def said(*words: str) -> Said:
                arguments = (*words, "--config", str(config))
                return await asyncio.to_thread(creditd, *arguments, database_url=database_url)

            (await said("backfill", "--source", "stakes")).refused("followed all along")
            (await said("backfill", "--source", "stake")).refused('did you mean "stakes"')
            aside = await said("set-aside", "--json")
            assert aside.code == 1
            assert [each["block"] for each in aside.json["set_aside"]] == [1]
            kept = await said("replay", "--source", "stakes")
            assert (kept.code, kept.out.splitlines()[0]) == (
                *(1, "0 log(s) were entered and granted, 1 stay"),
            )
            found = await said("verify", "--chain", "town", "--json")
            assert found.code == 1
            assert [each["credits"] for each in found.json["missing"]] == ["3"]
            repaired = await said("verify", "--chain", "town", "--repair")
            assert repaired.code == 1
            assert "1 missing event(s) have been entered and granted" in repaired.out
            well = await said("verify", "--chain", "town", "--from", "0", "--to", "2")
            assert (well.code, well.out) == (
                *(0, "town, blocks 0 to 2: the chain says what the books say\n"),
            )
            assert here.books.account(BOB).available == 3 * CREDIT
            back = await said("rewind", "town", "--to", "4")
            assert back.code == 0
            assert "with 1 pending event" in back.out
            (await said("rewind", "town", "--to", "1")).refused("block 2 is confirmed")

    asyncio.run(main())
