"""Stakes as a watcher follows them: from the logs of a chain to what is granted for their time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Literal

from fakechain import staked, withdrawn
from scene import ALICE, BOB, CREDIT, DEPTH, TOKEN, VAULT, Scene, scene
from watched_stakes import DAY, MIDNIGHT, at, held


def granted(here: Scene) -> list[tuple[bytes, int]]:
    return [
        (bytes(wallet), amount)
        for wallet, amount in here.books.rows(
            "select wallet, granted from creditd.event"
            " where ordinal < 0 and state = 'confirmed' order by tx_hash"
        )
    ]


def watched(
    database_url: str,
    story: Callable[[Scene], Coroutine[object, object, None]],
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await story(here)

    asyncio.run(main())


async def follow(
    here: Scene, on_deep_reorg: Literal["halt", "reverse"] = "halt"
) -> Callable[[], Coroutine[object, object, bool]]:
    follower = await here.follow(held(), on_deep_reorg=on_deep_reorg)
    return follower.turn


def test_stakes_are_granted_by_the_day_once_its_end_is_final(database_url: str) -> None:
    async def story(here: Scene) -> None:
        turn = await follow(here)
        at(here.chain, MIDNIGHT, staked(VAULT, ALICE, 2 * TOKEN), staked(VAULT, BOB, TOKEN))
        at(here.chain, MIDNIGHT + DAY // 2, withdrawn(VAULT, ALICE, TOKEN))
        at(here.chain, MIDNIGHT + DAY)
        for _ in range(DEPTH - 1):
            here.chain.mine()
        await turn()
        assert granted(here) == []
        here.chain.mine()
        await turn()
        assert granted(here) == [(ALICE, 3 * CREDIT // 2), (BOB, CREDIT)]
        assert here.books.account(ALICE).available == 3 * CREDIT // 2
        assert here.books.standing().confirmed == here.chain.head.number - DEPTH

    watched(database_url, story)


def test_days_that_passed_while_nobody_watched_are_granted_one_by_one(database_url: str) -> None:
    async def story(here: Scene) -> None:
        at(here.chain, MIDNIGHT, staked(VAULT, ALICE, TOKEN))
        at(here.chain, MIDNIGHT + 5 * DAY + 100)
        for _ in range(DEPTH):
            here.chain.mine()
        turn = await follow(here)
        await turn()
        assert granted(here) == [(ALICE, CREDIT)] * 5

    watched(database_url, story)


def test_a_stake_that_left_the_chain_leaves_its_days_too(database_url: str) -> None:
    async def story(here: Scene) -> None:
        turn = await follow(here, "reverse")
        at(here.chain, MIDNIGHT, staked(VAULT, BOB, TOKEN))
        parting = here.chain.head.number
        at(here.chain, MIDNIGHT + 1, staked(VAULT, ALICE, TOKEN))
        at(here.chain, MIDNIGHT + DAY)
        for _ in range(DEPTH):
            here.chain.mine()
        await turn()
        assert [wallet for wallet, _ in granted(here)] == [ALICE, BOB]
        here.chain.fork_from(parting)
        at(here.chain, MIDNIGHT + 2)
        at(here.chain, MIDNIGHT + DAY + 5)
        for _ in range(DEPTH + 3):
            here.chain.mine()
        await turn()
        assert granted(here) == [(BOB, CREDIT)]
        assert here.books.account(ALICE).available == 0

    watched(database_url, story)


def test_a_chain_that_left_the_end_of_a_day_halts(database_url: str) -> None:
    async def story(here: Scene) -> None:
        turn = await follow(here)
        at(here.chain, MIDNIGHT, staked(VAULT, ALICE, TOKEN))
        parting = here.chain.head.number
        at(here.chain, MIDNIGHT + DAY)
        for _ in range(DEPTH):
            here.chain.mine()
        await turn()
        assert granted(here) == [(ALICE, CREDIT)]
        here.chain.fork_from(parting)
        for _ in range(DEPTH + 3):
            here.chain.mine()
        await turn()
        assert here.books.standing().state == "halted"
        assert granted(here) == [(ALICE, CREDIT)]

    watched(database_url, story)
