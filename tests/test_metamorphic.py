"""One history, told to the books in many ways, comes to the same entries and the same answers."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import compress
from random import Random

import pytest
from histories import (
    ACCOUNTS,
    Told,
    Wait,
    bound,
    bound_answer,
    merged,
    reordered,
    some_history,
)
from proof_of_the_books import assert_sound
from requests_to_the_books import Answer, Batch, Charge, Give, Party, Request
from stage import START, Stage, entries_of

from ledger.ids import AccountRef
from ledger.outcomes import Charged, Refunded
from ledger.spending import Spending

STEPS = 70
PROCESSES = 2


class Teller:
    """Tells histories to the books, each to accounts of its own."""

    def __init__(self, stage: Stage, parties: Sequence[Party], rng: Random) -> None:
        self.stage = stage
        self.parties = parties
        self.rng = rng
        self.accounts: dict[AccountRef, AccountRef] = {}

    def begin(self, name: str) -> None:
        self.accounts = {each: self.stage.account(f"{name} {each.root_id}") for each in ACCOUNTS}
        self.stage.wait(START - self.stage.now)

    async def tell(
        self, told: Sequence[Told], *, carefully: bool = False, again: bool = False
    ) -> None:
        for step, answers in told:
            if isinstance(step, Wait):
                self.stage.wait(step.microseconds)
                continue
            if carefully:  # whatever an account remembers of its lots is in doubt
                self.stage.rows("update creditd.account set valid_until = '-infinity'")
            expected = [bound_answer(answer, self.accounts) for answer in answers]
            request = self._bound(step)
            assert await self._ask(request) == expected, step
            if again:
                await self._ask_again(request, expected)

    async def _ask_again(self, request: Request, answers: Sequence[Answer]) -> None:
        """Ask once more for what was made. What a batch refused it may refuse otherwise now."""
        if isinstance(request, Batch):
            made = [isinstance(answer, Charged) for answer in answers]
            request = Batch(tuple(compress(request.charges, made)))
            answers = list(compress(answers, made))
        if answers and not isinstance(request, Give):
            assert await self._ask(request) == [replayed(answer) for answer in answers], request

    async def _ask(self, request: Request) -> list[Answer]:
        return await request.ask(self.rng.choice(self.parties))

    def _bound(self, step: Request) -> Request:
        if isinstance(step, Batch):
            charges = (bound(charge, self.accounts) for charge in step.charges)
            return Batch(tuple(each for each in charges if isinstance(each, Charge)))
        return bound(step, self.accounts)


def replayed(answer: Answer) -> Answer:
    return replace(answer, replayed=True) if isinstance(answer, (Charged, Refunded)) else answer


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
    async with AsyncExitStack() as stack:
        parties = [
            Party(
                stage,
                await stack.enter_async_context(Spending.open(stage.database_url, lanes=1)),
            )
            for _ in range(PROCESSES)
        ]
        teller = Teller(stage, parties, rng)
        for way, (as_told, how) in ways.items():
            teller.begin(f"{seed} {way}")
            try:
                await teller.tell(as_told, **how)
            except AssertionError as error:
                error.add_note(f"seed {seed}, {way}")
                raise
            for each, account in teller.accounts.items():
                assert stage.entries(account) == entries_of(model, each), f"seed {seed}, {way}"


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
