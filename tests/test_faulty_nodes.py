"""Nodes that omit, lie, lag, stammer and fall silent: a chain waits or halts, missing nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakenode import Failure, Faults, Reset, Says, Silence, Status, Truncated
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene

from daemon.chain.rpc import ATTEMPTS_MAX
from daemon.watching.follower import Follower

Cause = tuple[bytes, int]

REQUESTS_MAX = 12  # of a turn that has something to do: every moment of it is tried


@asynccontextmanager
async def three_stakes(
    database_url: str,
) -> AsyncIterator[tuple[Scene, Follower, dict[Cause, int]]]:
    """A follower at block 0, and blocks 1 to 3 with a stake each that it has not read yet."""
    async with scene(database_url) as here:
        follower = await here.follow()
        txs = [here.stake(wallet, tokens) for wallet, tokens in ((ALICE, 1), (BOB, 2), (ALICE, 4))]
        for tx in txs:
            here.chain.mine(tx)
        here.chain.mine_empty(DEPTH)
        truth = {(tx.hash, 0): n * CREDIT for tx, n in zip(txs, (1, 2, 4), strict=True)}
        yield here, follower, truth


def nothing_is_wrong(here: Scene, truth: dict[Cause, int]) -> None:
    """Whatever is in the books is true; something may be missing yet, above the cursor only."""
    assert here.books.confirmed().items() <= truth.items()
    for number, known in here.books.block_hashes().items():
        assert number < 0 or known == here.chain.block(number).hash
    confirmed = here.books.standing().confirmed
    due = sorted(truth.values())[: max(confirmed, 0)]  # blocks 1, 2 and 3 earn 1, 2 and 4
    assert sorted(here.books.confirmed().values()) == due


async def all_comes_right(here: Scene, follower: Follower, truth: dict[Cause, int]) -> None:
    """Let the node be honest again: everything is granted, once."""
    for field in ("omit_log_in", "empty_receipts_in", "strip_logs_in", "parents_receipts_in"):
        getattr(here.faults, field).clear()
    here.faults.wrong_root_in.clear()
    here.faults.lost_blocks.clear()
    here.faults.failures.clear()
    here.faults.lag_blocks = 0
    here.faults.drop_from_batches = False
    here.faults.before_request = None
    await follower.turn()
    assert here.books.standing().state == "following"
    assert here.books.standing().reason is None
    assert here.books.confirmed() == truth
    assert sorted(amount for _, amount in here.books.entry_kinds(ALICE)) == [CREDIT, 4 * CREDIT]
    assert here.books.entry_kinds(BOB) == [("grant", 2 * CREDIT)]


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("omit_log_in", 1),
        ("omit_log_in", 2),
        ("empty_receipts_in", 3),
        ("strip_logs_in", 1),
        ("parents_receipts_in", 2),
        ("wrong_root_in", 3),
    ],
)
def test_evidence_that_does_not_hold_halts_the_chain_before_the_cursor_passes(
    database_url: str, field: str, number: int
) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            getattr(here.faults, field).add(number)
            for _ in range(2):
                await follower.turn()
                assert here.books.standing().state == "halted"
                assert f"block {number}" in (here.books.standing().reason or "")
                assert here.books.standing().indexed < number
                nothing_is_wrong(here, truth)
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


def test_a_head_that_does_not_hash_to_its_hash_halts_the_chain(database_url: str) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            here.faults.wrong_root_in.add(here.chain.head.number)
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert here.books.standing().indexed == 0
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


def test_what_a_halted_chain_says_is_not_that_its_watcher_is_gone(database_url: str) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            here.faults.omit_log_in.add(2)
            await follower.turn()
            statement = "select leader_seen_at from creditd.chain"
            before = here.books.rows(statement)
            await follower.turn()
            assert here.books.rows(statement) > before
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


NO_ANSWER: list[Failure] = [
    Reset(),
    Silence(),
    Truncated(),
    Truncated(announced=True),
    Says(b""),
    Says(b"<html>busy</html>"),
    Says(b"{}"),
    Says(b"[]"),
    Says(b"null"),
    Says(b'{"jsonrpc":"2.0","id":1}'),
    Says(b'{"jsonrpc":"2.0","id":1,"result":null}'),
    Says(b'{"jsonrpc":"2.0","id":1,"result":{}}'),
    Says(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"slower"}}'),
    Says(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"header not found"}}'),
    Status(429, "60"),
    Status(500),
    Status(502),
    Status(401),
    Status(413),
]


@pytest.mark.parametrize("failure", NO_ANSWER, ids=repr)
def test_a_failure_at_any_moment_of_a_turn_costs_time_only(
    database_url: str, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scene.ANSWER_SECONDS_MAX", 0.3)

    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            slow = isinstance(failure, Silence)
            for moment in range(0, REQUESTS_MAX, 5 if slow else 1):
                fail_at(here.faults, moment, failure)
                await follower.turn()
                nothing_is_wrong(here, truth)
                here.faults.failures.clear()
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


def fail_at(faults: Faults, moment: int, failure: Failure) -> None:
    """Let every try of the turn's request number `moment` fail."""
    asked = 0

    def before_request(_: list[str]) -> None:
        nonlocal asked
        if asked == moment:
            faults.failures.extend([failure] * ATTEMPTS_MAX)
        asked += 1

    faults.before_request = before_request


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_block_that_is_not_to_be_had_is_waited_for(database_url: str, number: int) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            here.faults.lost_blocks.add(number)
            await follower.turn()
            assert here.books.standing().state != "halted"
            nothing_is_wrong(here, truth)
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


def test_a_batch_with_answers_missing_is_not_taken_for_the_whole(database_url: str) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            here.faults.drop_from_batches = True
            await follower.turn()
            nothing_is_wrong(here, truth)
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


def test_answers_in_another_order_and_short_batches_are_no_trouble(database_url: str) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            here.faults.reorder_batches = True
            here.faults.batch_calls_max = 2
            await follower.turn()
            assert here.books.confirmed() == truth

    asyncio.run(main())


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_a_backend_that_lags_behind_takes_nothing_back(database_url: str, every: int) -> None:
    async def main() -> None:
        async with three_stakes(database_url) as (here, follower, truth):
            await follower.turn()
            before = here.books.contents()
            here.faults.lag_blocks, here.faults.lag_every = 5, every
            for _ in range(10):
                await follower.turn()
            after = here.books.contents()
            assert after == before
            for _ in range(10):
                here.chain.mine()
                await follower.turn()
                nothing_is_wrong(here, truth)
            assert here.books.standing().reorgs == 0
            await all_comes_right(here, follower, truth)

    asyncio.run(main())


@pytest.mark.parametrize("before", [0, 1, DEPTH])
def test_the_same_log_twice_on_one_chain_halts_it(database_url: str, before: int) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            follower = await here.follow()
            tx = here.stake(ALICE, 1)
            here.chain.mine(tx)
            here.chain.mine_empty(before)
            if before:  # it is pending, or confirmed, when it comes again
                await follower.turn()
            here.chain.mine(tx)
            here.chain.mine_empty(DEPTH + 1)
            for _ in range(2):
                await follower.turn()
                assert here.books.standing().state == "halted"
            assert len(here.books.entry_kinds(ALICE)) == (1 if before == DEPTH else 0)
            here.chain.fork_from(1)
            here.chain.mine_empty(2 * DEPTH)
            await follower.turn()
            assert here.books.standing().state == "following"
            assert here.books.entry_kinds(ALICE) == [("grant", CREDIT)]

    asyncio.run(main())
