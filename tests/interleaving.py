"""Connections that take turns as a seed says: each asks, holds its locks for a while, then commits.

A statement is answered when its transaction ends, so whoever asks next may wait for the locks of
whoever has not ended, and the order of the commits is the order that the books must have.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import LiteralString

import psycopg
from model_of_lots import Answer, ModelAccount
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from requests_to_the_books import Give, Known, Party, Request, accounts_of, draw
from stage import START, Stage

from ledger.connecting import Role
from ledger.errors import LedgerUnavailable
from ledger.ids import AccountRef
from ledger.session import Session

SETTLE_SECONDS_MAX = 20.0
LOOK_AGAIN_SECONDS = 0.0005  # who waits for a lock is only seen by looking
SAME_AGAIN = 0.25  # how often a request is one that another session has under way
LOST_AGAIN = 0.5


class Verdict(Enum):
    COMMIT = "commit"
    FORGET = "commit, but the answer is lost"
    LOSE = "rollback"


class HeldSession(Session):
    """A session whose every transaction ends when it is told how."""

    def __init__(self, database_url: str, role: Role) -> None:
        super().__init__(database_url, role)
        self.pid = 0
        self.verdict: asyncio.Future[Verdict] | None = None

    async def _transact(
        self, statement: str, parameters: Sequence[object], *, binary: bool
    ) -> list[TupleRow]:
        connection = await self.connection()
        self.pid = connection.info.backend_pid
        try:
            await connection.execute("set lock_timeout = 0")
            await connection.execute("begin")
            cursor = await connection.execute(statement, parameters, binary=binary)
            rows = await cursor.fetchall()
            self.verdict = asyncio.get_running_loop().create_future()
            verdict = await self.verdict
            self.verdict = None
            if verdict is Verdict.LOSE:
                raise psycopg.OperationalError("the connection was lost before the commit")
            await connection.execute("commit")
        finally:
            await connection.rollback()
        if verdict is Verdict.FORGET:
            raise psycopg.OperationalError("the connection was lost after the commit")
        return rows


@dataclass(eq=False)
class Actor:
    """Whoever asks on one session: one request at a time."""

    party: Party
    session: HeldSession
    request: Request | None = None
    task: asyncio.Task[list[Answer]] | None = None

    @property
    def holds(self) -> bool:
        verdict = self.session.verdict
        return verdict is not None and not verdict.done()

    def ask(self, request: Request) -> None:
        self.request = request
        self.task = asyncio.create_task(request.ask(self.party))


@dataclass
class Interleaving:
    """A seeded play of several actors; each commit is held against a model at once."""

    actors: Sequence[Actor]
    control: AsyncConnection[TupleRow]
    models: Sequence[ModelAccount]
    known: Known
    rng: Random
    story: list[str] = field(default_factory=list)
    waited: int = 0  # how often somebody waited for another's locks
    again: list[Request] = field(default_factory=list)  # what was lost, to be asked again
    heard: dict[object, Answer] = field(default_factory=dict)

    async def play(self, requests: int) -> None:
        """Let so many requests be made. Raises AssertionError if the books answer otherwise."""
        while True:
            idle = [actor for actor in self.actors if actor.task is None and requests > 0]
            holding = [actor for actor in self.actors if actor.holds]
            if not idle and not holding:
                if all(actor.task is None for actor in self.actors):
                    return
                raise AssertionError("all wait and nobody holds: " + "; ".join(self.story[-12:]))
            actor = self.rng.choice(idle * 2 + holding)
            if actor.holds:
                await self._end(actor)
            else:
                requests -= 1
                actor.ask(self._next_request())
                self.story.append(f"{self._name(actor)} asks {actor.request}")
            await self._settle()

    def _next_request(self) -> Request:
        under_way = [actor.request for actor in self.actors if actor.request is not None]
        asked = [each for each in under_way if not isinstance(each, Give)]
        if asked and self.rng.random() < SAME_AGAIN:
            return self.rng.choice(asked)
        if self.again and self.rng.random() < LOST_AGAIN:
            return self.again.pop(self.rng.randrange(len(self.again)))
        return draw(self.rng, self.known)

    async def _end(self, actor: Actor) -> None:
        request, task, waits = actor.request, actor.task, actor.session.verdict
        assert request is not None
        assert task is not None
        assert waits is not None
        verdict = self.rng.choice(list(Verdict) + [Verdict.COMMIT] * 5)
        self.story.append(f"{self._name(actor)}: {verdict.value}")
        waits.set_result(verdict)
        actor.task = actor.request = None
        answers: list[Answer] | None = None
        try:
            answers = await asyncio.wait_for(task, SETTLE_SECONDS_MAX)
        except LedgerUnavailable:
            if verdict is Verdict.COMMIT:
                raise
            if not isinstance(request, Give):
                self.again.append(request)
        if verdict is Verdict.LOSE:
            return
        expected = request.expected(self.models, START)
        if answers is not None:
            assert answers == expected, "; ".join(self.story[-12:])
        for account, answer in zip(accounts_of(request), expected, strict=True):
            self.known.learn(account, answer)

    async def _settle(self) -> None:
        """Wait until everybody who asks holds what they asked for or waits for a lock."""
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while True:
                for actor in self.actors:
                    if actor.task is not None and actor.task.done():
                        actor.task.result()
                        raise AssertionError("an answer came before its commit")
                moving = [a for a in self.actors if a.task is not None and not a.holds]
                if not moving:
                    return
                pids = [actor.session.pid for actor in moving]
                cursor = await self.control.execute(_WAITING, (pids,))
                waiting = {pid for (pid,) in await cursor.fetchall()}
                if waiting == set(pids) and any(actor.holds for actor in self.actors):
                    self.waited += len(waiting)
                    return
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _name(self, actor: Actor) -> str:
        return "ABCDEFGHIJ"[self.actors.index(actor)]


_WAITING: LiteralString = "select distinct pid from pg_locks where not granted and pid = any (%s)"


@asynccontextmanager
async def actors_on(
    stage: Stage, accounts: Sequence[AccountRef], count: int
) -> AsyncIterator[list[Actor]]:
    sessions = [HeldSession(stage.database_url, "creditd_api") for _ in range(count)]
    try:
        yield [Actor(Party(stage, session, accounts), session) for session in sessions]
    finally:
        for session in sessions:
            await session.close()
