"""Books and a model of them that are asked the same and must answer the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from requests_to_the_books import Answer, Give, Party, Request
from specification.accounts import Terms
from specification.books import Books
from stage import Stage, entries_of

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Charged


@dataclass
class Both:
    party: Party
    model: Books = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.stage.model_of()

    @classmethod
    @asynccontextmanager
    async def on(cls, stage: Stage) -> AsyncIterator["Both"]:
        async with Party.on(stage) as party:
            yield cls(party)

    @property
    def stage(self) -> Stage:
        return self.party.stage

    def account(self, name: str) -> AccountRef:
        ref = self.stage.account(name)
        self.model.open(ref, app=self.stage.app_id)
        return ref

    async def ask(self, request: Request) -> list[Answer]:
        answers = await request.ask(self.party)
        assert answers == self.expected(request), request
        return answers

    def expected(self, request: Request) -> list[Answer]:
        return request.expected(self.model, self.stage.app_id, self.stage.now)

    async def give(self, account: AccountRef, amount: int, terms: Terms) -> MovementRef:
        (lot,) = await self.ask(Give(account, amount, terms))
        assert isinstance(lot, MovementRef)
        return lot

    async def charge(self, request: Request) -> MovementRef:
        (outcome,) = await self.ask(request)
        assert isinstance(outcome, Charged)
        return outcome.charge.movement

    def assert_same_entries(self, *, since: str = "") -> None:
        for ref in self.model.accounts:
            assert self.stage.entries(ref) == entries_of(self.model, ref), since
