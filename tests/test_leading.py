"""Who may write a chain's books: one watcher at a time, of the configured chain and its rules."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from books import Books
from fakechain import FakeChain
from scene import ALICE, BOB, CREDIT, DEPTH, MINE, Scene, mining, scene, stakes

from daemon.chain.reading import UnsupportedTag
from daemon.configuration.config import Finalized
from daemon.configuration.rules import Rule
from daemon.watching.follower import Follower, rule_entry
from ledger.errors import AnotherLeader, Deposed, LedgerUnavailable, RuleConflict, WrongChain
from ledger.watching import ChainEntry, SeenBlock, Watching

Write = Callable[[Watching, Scene], Awaitable[object]]


def append_a_block(watching: Watching, here: Scene) -> Awaitable[object]:
    last = here.chain.head
    return watching.append(
        head_number=last.number + 1,
        blocks=[SeenBlock(last.number + 1, bytes(32), last.hash, last.time + 1)],
        events=[],
        set_aside=[],
        confirm=(last.number, last.hash),
        remember=1_000,
    )


WRITES: dict[str, Write] = {
    "append": append_a_block,
    "enter_rules": lambda watching, _: watching.enter_rules([rule_entry(stakes())]),
    "drop": lambda watching, here: watching.drop(here.chain.head.number - 1),
    "reverse": lambda watching, _: watching.reverse(0),
    "halt": lambda watching, _: watching.halt("no reason"),
    "resume": lambda watching, _: watching.resume(),
    "see_head": lambda watching, _: watching.see_head(1_000),
}


async def end_sessions(books: Books) -> None:
    """End every other session, as a failing database or network would, and wait until it is so."""
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    books.rows(f"select pg_terminate_backend(pid) {others}")
    for _ in range(300):
        if not books.rows(f"select {others}"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("sessions do not end")


def lead_of(follower: Follower) -> Watching:
    assert follower._watching is not None
    return follower._watching


def leads(follower: Follower) -> bool:
    return follower._watching is not None


@pytest.mark.parametrize("write", WRITES)
def test_a_deposed_leader_cannot_write_any_more(database_url: str, write: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH + 1)
            watching = lead_of(await here.follow())
            await end_sessions(here.books)
            await here.follow()
            assert here.books.standing().epoch == 2
            before = here.books.contents()
            with pytest.raises(LedgerUnavailable):
                await watching.position()
            # Its session opens again: only the epoch stands between it and the books.
            assert (await watching.position()).indexed_number == DEPTH + 2
            with pytest.raises(Deposed):
                await WRITES[write](watching, here)
            assert here.books.contents() == before

    asyncio.run(main())


def test_a_standby_takes_over_from_a_leader_whose_session_ended(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            tx = here.stake(ALICE, 1)
            here.chain.mine(tx)
            first = await here.follow()
            second = await here.follow()
            assert (leads(first), leads(second)) == (True, False)
            await end_sessions(here.books)
            here.chain.mine_empty(DEPTH)
            await second.turn()
            assert leads(second)
            assert here.books.account(ALICE).available == CREDIT
            for _ in range(3):
                await first.turn()
                await second.turn()
            assert (leads(first), leads(second)) == (False, True)
            assert here.books.standing().epoch == 2
            assert here.books.entry_kinds(ALICE) == [("grant", CREDIT)]

    asyncio.run(main())


def test_a_standby_takes_over_from_a_leader_that_ends(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            first, second = await here.follow(), await here.follow()
            await second.turn()
            assert not leads(second)
            await here.end(first)
            here.chain.mine(here.stake(ALICE, 1))
            here.chain.mine_empty(DEPTH)
            await second.turn()
            assert here.books.account(ALICE).available == CREDIT

    asyncio.run(main())


def test_of_many_that_start_at_once_one_leads_and_everything_is_granted_once(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            followers = [await here.stand_by() for _ in range(4)]
            for number in range(12):
                here.chain.mine(here.stake(ALICE, 1))
                await asyncio.gather(*(follower.turn() for follower in followers))
                assert sum(map(leads, followers)) == 1
                if number % 4 == 3:
                    await end_sessions(here.books)
                    await asyncio.gather(*(follower.turn() for follower in followers))
            assert here.books.entry_kinds(ALICE) == [("grant", CREDIT)] * (12 - DEPTH)

    asyncio.run(main())


def test_whoever_is_not_the_leader_is_told(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await here.follow()
            chain = ChainEntry(
                chain_id=here.chain.chain_id,
                name="town",
                genesis=here.chain.block(0).hash,
                depth=DEPTH,
                anchor_number=-1,
                anchor_hash=bytes(32),
                anchor_time=0,
            )
            with pytest.raises(AnotherLeader, match=r"\(session [0-9]+, \w+\)"):
                async with Watching.lead(here.database_url, chain, "second"):
                    pass
            assert here.books.standing().epoch == 1

    asyncio.run(main())


RULE = Rule(credits_micro=CREDIT, per_base_units=10**18)
CONFLICTS = {
    "another contract": stakes(contract=MINE),
    "another event": stakes(event="staking-rewards.Withdrawn"),
    "an earlier first block": stakes(from_block=2),
    "a later first block": stakes(from_block=50),
    "a name of another source": replace(mining(), from_block=4),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_source_that_says_otherwise_than_the_books_is_refused(
    database_url: str, name: str
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(4)
            here.chain.mine(here.stake(ALICE, 1))
            good = (stakes(from_block=3), mining(from_block=3))
            await here.end(await here.follow(*good))
            before = here.books.contents()
            here.chain.mine(here.stake(BOB, 1))
            fresh = stakes("fresh", contract=MINE, from_block=40)
            refused = await here.stand_by(here.settings(fresh, CONFLICTS[name]))
            for _ in range(2):
                with pytest.raises(RuleConflict, match=CONFLICTS[name].name):
                    await refused.turn()
            assert here.books.contents() == before
            await here.follow(*good)
            assert here.books.standing().indexed == 6

    asyncio.run(main())


def test_a_new_source_behind_the_cursor_is_refused_and_one_ahead_is_followed(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(5)
            await here.end(await here.follow())
            before = here.books.contents()
            late = stakes("late", contract=MINE, from_block=5)
            refused = await here.stand_by(here.settings(stakes(), late))
            with pytest.raises(RuleConflict, match="late begins at block 5"):
                await refused.turn()
            assert here.books.contents() == before
            await here.end(refused)
            await here.follow(stakes(), replace(late, from_block=6))
            assert here.books.rows("select name from creditd.rule order by 1") == [
                ("late",),
                ("stakes",),
            ]

    asyncio.run(main())


def test_caps_and_credits_of_a_source_may_change(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.mine_empty(DEPTH)
            await here.end(await here.follow(stakes(per_account_day=5)))
            here.chain.mine(here.stake(ALICE, 10))
            here.chain.mine_empty(DEPTH)
            await here.follow(stakes(per_account_day=12))
            assert here.books.account(ALICE).available == 12 * CREDIT

    asyncio.run(main())


def test_another_genesis_is_refused(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine_empty(5)
            await here.end(await here.follow())
            before = here.books.contents()
            here.chain.fork_from(-1)
            here.chain.mine(seconds=1)
            here.chain.mine_empty(9)
            refused = await here.stand_by()
            with pytest.raises(WrongChain, match="genesis"):
                await refused.turn()
            assert here.books.contents() == before
            assert here.books.standing().epoch == 1

    asyncio.run(main())


def test_a_node_on_another_chain_is_refused(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.faults.chain_id = 5
            refused = await here.stand_by()
            with pytest.raises(WrongChain, match="is on chain 5"):
                await refused.turn()
            assert here.books.contents() == {name: [] for name in here.books.contents()}

    asyncio.run(main())


def test_a_chain_without_finality_is_refused_where_it_should_go_by_it(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.faults.finalized_tag = False
            refused = await here.stand_by(here.settings(confirmation=Finalized()))
            with pytest.raises(UnsupportedTag):
                await refused.turn()
            assert here.books.contents() == {name: [] for name in here.books.contents()}

    asyncio.run(main())


def test_a_name_of_another_chain_is_refused(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await here.follow()
            before = here.books.contents()
            async with scene(database_url, FakeChain(chain_id=5)) as there:
                refused = await there.stand_by()
                with pytest.raises(WrongChain, match="town"):
                    await refused.turn()
            assert here.books.contents() == before

    asyncio.run(main())
