"""Telling a history to the books, by one of several sessions, with every answer held to a model."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import compress
from random import Random

from histories import ACCOUNTS, Told, Wait, bound
from msgspec import structs
from requests_to_the_books import Answer, Batch, Give, Party, Request
from specification.books import Books
from stage import START, Stage, entries_of

from ledger.ids import AccountRef
from ledger.outcomes import Charged, Refunded, Released, Reserved, Settled


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
            expected = [bound(answer, self.accounts) for answer in answers]
            request: Request = bound(step, self.accounts)
            assert await self._ask(request) == expected, step
            if again:
                await self._ask_again(request, expected)

    def assert_told(self, model: Books) -> None:
        """Hold the accounts of this telling against those of the history."""
        for each, account in self.accounts.items():
            assert self.stage.entries(account) == entries_of(model, each)

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


def replayed(answer: Answer) -> Answer:
    if isinstance(answer, Charged):
        return structs.replace(answer, replayed=True)
    if isinstance(answer, (Refunded, Reserved, Settled, Released)):
        return replace(answer, replayed=True)
    return answer


@asynccontextmanager
async def parties_on(stage: Stage, count: int) -> AsyncIterator[list[Party]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Party.on(stage)) for _ in range(count)]
