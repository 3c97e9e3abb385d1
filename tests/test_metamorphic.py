"""One history, told to the books in many ways, comes to the same entries and the same answers."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from histories import Told, merged, reordered, some_history
from proof_of_the_books import assert_sound
from stage import Stage
from telling import Teller, parties_on

STEPS = 70
PROCESSES = 2


async def tell_in_every_way(stage: Stage, seed: int) -> None:
    told, model = some_history(stage, seed, STEPS)
    rng = Random(seed)
    ways: dict[str, tuple[Sequence[Told], dict[str, bool]]] = {
        "one by one": (told, {}),
        "carefully": (told, {"carefully": True}),
        "in twos": (merged(told, 2), {}),
        "in batches": (merged(told, 256), {}),
        "twice": (told, {"again": True}),
        "in batches, twice": (merged(told, 5), {"again": True}),
        "in another order": (reordered(told, rng), {}),
        "in another order, in batches": (merged(reordered(told, rng), 256), {}),
        "carefully, in batches": (merged(reordered(told, rng), 256), {"carefully": True}),
    }
    async with parties_on(stage, PROCESSES) as parties:
        teller = Teller(stage, parties, rng)
        for way, (as_told, how) in ways.items():
            teller.begin(f"{seed} {way}")
            try:
                await teller.tell(as_told, **how)
                teller.assert_told(model)
            except AssertionError as error:
                error.add_note(f"seed {seed}, {way}")
                raise


@pytest.mark.parametrize("seed", range(6))
def test_a_history_comes_to_the_same_however_it_is_told(database_url: str, seed: int) -> None:
    with Stage.on(database_url, pretended_time=True) as stage:
        asyncio.run(tell_in_every_way(stage, seed))
    assert_sound(database_url)


@pytest.mark.soak
def test_hundreds_of_histories_come_to_the_same_however_they_are_told(database_url: str) -> None:
    with Stage.on(database_url, pretended_time=True) as stage:
        for seed in range(1_000, 1_500):
            asyncio.run(tell_in_every_way(stage, seed))
    assert_sound(database_url)
