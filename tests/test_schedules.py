"""Connections that write at the same time, as a seed draws: as if one after the other."""

import asyncio
from random import Random

import pytest
from interleaving import Interleaving, hold_commits, interleaved
from proof_of_the_books import assert_sound
from requests_to_the_books import Known
from stage import Stage, entries_of

from ledger.ids import MovementRef

ACCOUNTS = 3
REQUESTS = 150


async def play(stage: Stage, seed: int, connections: int, requests: int) -> Interleaving:
    rng = Random(seed)
    accounts = [stage.account(f"{seed} {number}", 100) for number in range(ACCOUNTS)]
    model = stage.model_of(*accounts, amounts=(100,))
    known = Known(accounts, lots=[MovementRef(account, 1) for account in accounts])
    async with interleaved(stage, model, known, rng, actors=connections) as played:
        try:
            await played.play(requests)
        except Exception as error:
            error.add_note(f"seed {seed}:\n{played.told()}")
            raise
    for account in accounts:
        assert stage.entries(account) == entries_of(model, account), f"seed {seed}"
    return played


@pytest.mark.parametrize("connections", [2, 4, 7])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_connections_do_at_once_is_what_they_would_do_in_the_order_of_their_commits(
    database_url: str, seed: int, connections: int
) -> None:
    with Stage.on(database_url) as stage:
        hold_commits(stage)
        played = asyncio.run(play(stage, 100 * seed + connections, connections, REQUESTS))
        assert played.waits > REQUESTS // 10, "nobody was in anybody's way"
    assert_sound(database_url)


@pytest.mark.soak
def test_a_thousand_schedules_each_have_an_order(database_url: str) -> None:
    with Stage.on(database_url) as stage:
        hold_commits(stage)
        for seed in range(1_000):
            asyncio.run(play(stage, 10_000 + seed, 2 + seed % 6, REQUESTS))
    assert_sound(database_url)
