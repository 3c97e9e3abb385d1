"""Connections that write at the same time, in orders that a seed draws: as if one after the other."""

import asyncio
from random import Random

import psycopg
import pytest
from interleaving import Interleaving, actors_on
from model_of_lots import ModelAccount
from proof_of_the_books import assert_sound
from requests_to_the_books import Known
from stage import START, LotSpec, Stage

ACCOUNTS = 3
REQUESTS = 150


async def play(stage: Stage, seed: int, connections: int, requests: int) -> Interleaving:
    rng = Random(seed)
    models = [ModelAccount() for _ in range(ACCOUNTS)]
    first = LotSpec(100)
    accounts = [stage.account(f"{seed} {number}", first) for number in range(ACCOUNTS)]
    for model in models:
        model.give(first, START)
    known = Known(charges=[[] for _ in accounts], lots=[[1] for _ in accounts])
    async with (
        actors_on(stage, accounts, connections) as actors,
        await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True) as control,
    ):
        interleaving = Interleaving(actors, control, models, known, rng)
        try:
            await interleaving.play(requests)
        except Exception as error:
            error.add_note(f"seed {seed}: " + "; ".join(interleaving.story[-12:]))
            raise
    for account, model in zip(accounts, models, strict=True):
        assert stage.entries(account) == model.told(), f"seed {seed}"
    return interleaving


@pytest.mark.parametrize("connections", [2, 4, 7])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_connections_do_at_once_is_what_they_would_do_in_the_order_of_their_commits(
    database_url: str, seed: int, connections: int
) -> None:
    with Stage.on(database_url) as stage:
        played = asyncio.run(play(stage, 100 * seed + connections, connections, REQUESTS))
        assert played.waited > REQUESTS // 10, "nobody was in anybody's way"
    assert_sound(database_url)


@pytest.mark.soak
def test_a_thousand_schedules_each_have_an_order(database_url: str) -> None:
    with Stage.on(database_url) as stage:
        for seed in range(1_000):
            asyncio.run(play(stage, 10_000 + seed, 2 + seed % 6, REQUESTS))
    assert_sound(database_url)
