"""`creditd reorg`: a chain that left a confirmed block goes on when an operator says it is true."""

import asyncio
from pathlib import Path

import pytest
from books import Books
from command_line import Said, creditd
from fakechain import FakeChain
from fakenode import serve
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene, write_config

from daemon.configuration.config import Finalized
from daemon.watching.follower import Follower
from ledger.errors import LedgerError
from ledger.operating import Operating, ReorgDecision
from ledger.reorgs import read_reorg

LEFT = 2  # the confirmed block that the chain leaves


async def accept(
    here: Scene, block: bytes, *, number: int = LEFT, chain: str = "town"
) -> ReorgDecision:
    async with Operating.open(here.database_url) as operating:
        return await operating.accept_reorg(chain, number, block, by="olga", reason="a real fork")


async def halted(here: Scene) -> Follower:
    """Block 2 had a stake of Alice's, which was granted; the chain has one of Bob's there now."""
    here.chain.mine()
    here.chain.mine(here.stake(ALICE, 10))
    here.chain.mine_empty(DEPTH)
    follower = await here.follow()
    here.chain.fork_from(1)
    here.chain.mine(here.stake(BOB, 3))
    here.chain.mine_empty(DEPTH + 3)
    await follower.turn()
    assert here.books.standing().state == "halted"
    return follower


def reversed_to_bob(books: Books) -> bool:
    available = [books.account(wallet).available for wallet in (ALICE, BOB)]
    return books.standing().state == "following" and available == [0, 3 * CREDIT]


def test_an_accepted_reorg_is_carried_out_by_the_next_turn(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await halted(here)
            reason = here.books.standing().reason or ""
            block = here.chain.block(LEFT).hash
            assert f"creditd reorg accept town --block 2 --hash 0x{block.hex()}" in reason
            decision = await accept(here, block)
            assert (decision.outcome, decision.accepted_by) == ("accepted", "olga")
            await follower.turn()
            assert reversed_to_bob(here.books)
            assert here.books.rows(
                "select number, left_hash = %s, accepted_by, reason from creditd.accepted_reorg",
                here.chain.block(LEFT).hash,
            ) == [(LEFT, False, "olga", "a real fork")]

    asyncio.run(main())


def test_it_is_carried_out_by_whoever_leads_next_and_where_finality_was_broken(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine()
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.finalize(2)
            follower = await here.follow(confirmation=Finalized())
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine()
            await follower.turn()
            await accept(here, here.chain.block(LEFT).hash)
            await here.end(follower)
            await here.follow(confirmation=Finalized())
            assert reversed_to_bob(here.books)

    asyncio.run(main())


def test_accepting_again_is_answered_alike_and_changes_nothing(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await halted(here)
            first = await accept(here, here.chain.block(LEFT).hash)
            again = await accept(here, here.chain.block(LEFT).hash)
            assert (again.outcome, again.at) == ("replayed", first.at)
            assert len(here.books.rows("select from creditd.accepted_reorg")) == 1

    asyncio.run(main())


def test_what_is_not_the_halt_cannot_be_accepted(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await halted(here)
            block = here.chain.block(LEFT).hash
            old = here.books.block_hashes()[LEFT]
            for number, given, chain, outcome in (
                (LEFT, block, "city", "no_chain"),
                (LEFT - 1, block, "town", "another_block"),
                (LEFT, old, "town", "another_hash"),
                (LEFT, bytes(32), "town", "another_hash"),
            ):
                decision = await accept(here, given, number=number, chain=chain)
                assert decision.outcome == outcome
            with pytest.raises(LedgerError, match="a name of 1 to 100"):
                async with Operating.open(database_url) as operating:
                    await operating.accept_reorg("town", LEFT, block, by="", reason="x")
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert here.books.rows("select from creditd.accepted_reorg") == []

    asyncio.run(main())


def test_a_chain_that_runs_or_halted_for_another_reason_has_nothing_to_accept(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow()
            block = here.chain.block(1).hash
            assert (await accept(here, block, number=1)).outcome == "not_halted"
            here.faults.omit_log_in.add(DEPTH + 2)
            here.chain.mine(here.stake(ALICE, 1))
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert (await accept(here, block, number=1)).outcome == "no_reorg"

    asyncio.run(main())


def test_another_fork_than_the_accepted_one_keeps_the_halt_through_restarts(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await halted(here)
            accepted = here.chain.branch
            await accept(here, here.chain.block(LEFT).hash)
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 100), seconds=5)
            here.chain.mine_empty(DEPTH + 5)
            for _ in range(2):
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert here.books.account(ALICE).available == 10 * CREDIT
                await here.end(follower)
                follower = await here.follow()
            here.chain.switch_to(accepted)
            await follower.turn()
            assert reversed_to_bob(here.books)

    asyncio.run(main())


def test_an_accepted_hash_that_does_not_link_to_the_books_takes_nothing_back(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine()
            here.chain.mine_empty(LEFT)
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow()
            left = here.books.standing().confirmed
            here.chain.fork_from(1)
            here.chain.mine_empty(DEPTH + 6)
            await follower.turn()
            block = here.chain.block(left).hash
            assert (await accept(here, block, number=left)).outcome == "accepted"
            stranger = FakeChain(chain_id=5)
            stranger.mine_empty(10)
            true = here.chain.block(left - 1)
            here.chain.branch.blocks[left - 1] = stranger.block(left - 1)  # the one between
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert here.books.account(ALICE).available == 10 * CREDIT
            here.chain.branch.blocks[left - 1] = true
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.account(ALICE).available == 0

    asyncio.run(main())


def test_an_accepted_reorg_waits_while_another_node_contradicts(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here, serve(here.chain, here.faults) as url:
            here.other_urls.append(url)
            follower = await halted(here)
            await accept(here, here.chain.block(LEFT).hash)
            third = FakeChain(chain_id=here.chain.chain_id)
            third.mine_empty(DEPTH + 5)
            async with serve(third) as other:
                here.other_urls.append(other)
                await here.end(follower)
                follower = await here.follow()
                assert here.books.standing().state == "halted"
                assert here.books.account(ALICE).available == 10 * CREDIT
                await here.end(follower)
            here.other_urls.pop()
            await here.follow()
            # It was halted for the disagreement meanwhile: what was accepted still holds.
            assert reversed_to_bob(here.books)

    asyncio.run(main())


def test_what_was_accepted_is_for_that_halt_alone(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine()
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.finalize(LEFT)
            follower = await here.follow(confirmation=Finalized())
            one, other = here.chain.branch, here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(2)
            for branch in (other, one):
                here.chain.switch_to(branch)
                here.chain.mine_empty(3)
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert (await accept(here, here.chain.block(LEFT).hash)).outcome == "accepted"
                await follower.turn()
                assert here.books.standing().state == "following"
            here.chain.switch_to(other)  # the very block that was accepted first
            here.chain.mine_empty(10)
            for _ in range(2):
                await follower.turn()
                assert here.books.standing().state == "halted"
            assert here.books.account(ALICE).available == 10 * CREDIT
            assert here.books.account(BOB).available == 0

    asyncio.run(main())


def test_the_command_shows_the_halt_and_accepts_it(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            config = write_config(tmp_path, here.url)

            async def said(*arguments: str) -> Said:
                words = ("reorg", *arguments, "--config", str(config))
                return await asyncio.to_thread(creditd, *words, database_url=database_url)

            unknown = await said("show", "town")
            assert (unknown.code, "know no chain town" in unknown.err) == (2, True)
            follower = await halted(here)
            block = "0x" + here.chain.block(LEFT).hash.hex()
            shown = await said("show", "town", "--json")
            assert shown.code == 1
            assert shown.json["new_hash"] == block
            assert shown.json["last_in_common"] == 1
            assert shown.json["nodes"] == [{"node": here.url, "hash": block, "trouble": None}]
            assert shown.json["would_be"]["taken_back"] == "10"
            words = f"accept town --block 2 --hash {block} --by olga --reason so".split()
            assert f"creditd reorg {' '.join(words[:6])}" in (await said("show", "town")).out
            refused = await said(*words[:3], "3", *words[4:])
            assert (refused.code, refused.out) == (1, "")
            assert "the halt of town is about block 2" in refused.err
            accepted = await said(*words)
            assert (accepted.code, accepted.err) == (0, "")
            assert "olga accepted" in (await said("show", "town")).out
            await follower.turn()
            assert reversed_to_bob(here.books)
            over = await said("show", "town")
            assert (over.code, over.out) == (0, "town is following: there is nothing to accept\n")
            (await said("show", "city")).refused("city", "town")
            assert (await said("accept", "town", "--hash", "0x12")).code == 2

    asyncio.run(main())


def test_while_stakes_are_granted_it_is_shown_about_the_block_that_is_to_be_accepted(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await halted(here)
            # As a step leaves it that has granted a part of what stakes earned before block 3.
            here.books.rows("update creditd.chain set accruing_number = 3 returning chain_id")
            row = await read_reorg(database_url, "town")
            assert row is not None
            assert (row.granted_number, row.granted_hash) == (3, here.books.block_hashes()[3])
            decision = await accept(here, row.other_hash or b"", number=row.granted_number)
            assert (decision.outcome, decision.left_hash) == ("accepted", row.granted_hash)
            row = await read_reorg(database_url, "town")
            assert row is not None
            assert row.accepted_by == "olga"

    asyncio.run(main())
