"""Sessions that take turns as a seed says: each asks, is held at its commit, then ends.

Whoever is held keeps its locks, so whoever asks next may have to wait for it; and the order in
which they are let go is the order that the books must have.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from requests_to_the_books import BY_USERS, Answer, Drawn, Give, Known, Party, Request, draw
from specification.books import Books
from stage import Stage

from ledger.errors import LedgerUnavailable

SETTLE_SECONDS_MAX = 20.0
LOOK_AGAIN_SECONDS = 0.0005  # who waits for a lock is only seen by looking
SAME_AGAIN = 0.25  # how often a request is one that another session has under way
LOST_AGAIN = 0.5

# A session that calls itself actor 1 waits at each commit for the lock (77, 1).
_HOLD: LiteralString = """
create function by_hand.hold() returns trigger
language plpgsql set lock_timeout = 0 as $$
declare v_who text := current_setting('application_name');
begin
  if v_who like 'actor-%' then
    perform pg_advisory_xact_lock_shared(77, split_part(v_who, '-', 2)::integer);
  end if;
  return null;
end $$;
create constraint trigger held after insert or update on creditd.account
  deferrable initially deferred for each row execute function by_hand.hold();
create constraint trigger held after insert or update on creditd.entry
  deferrable initially deferred for each row execute function by_hand.hold();
create constraint trigger held after insert or update on creditd.lot
  deferrable initially deferred for each row execute function by_hand.hold();
"""
_WAITING: LiteralString = """
select split_part(a.application_name, '-', 2)::integer,
  bool_or(l.locktype = 'advisory' and l.classid = 77)
from pg_locks l join pg_stat_activity a using (pid)
where not l.granted and a.datname = current_database() and a.application_name like 'actor-%'
group by 1"""
_CUT_OFF: LiteralString = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and application_name = %s and state <> 'idle'"""


class Verdict(Enum):
    COMMIT = "commits"
    FORGET = "commits, and its answer is lost"
    LOSE = "is cut off before it commits"


@dataclass(eq=False)
class Actor:
    """Whoever asks on sessions of one name: one request at a time."""

    number: int
    party: Party
    request: Request | None = None
    task: asyncio.Task[list[Answer]] | None = None

    def __str__(self) -> str:
        return f"actor-{self.number}"

    def ask(self, request: Request) -> None:
        self.request = request
        self.task = asyncio.create_task(request.ask(self.party))


@dataclass
class Interleaving:
    """A seeded play of several actors; each commit is held against a model at once."""

    actors: Sequence[Actor]
    control: AsyncConnection[TupleRow]
    model: Books
    known: Known
    rng: Random
    drawn: Drawn
    story: list[str] = field(default_factory=list)
    holding: set[Actor] = field(default_factory=set)
    waits: int = 0  # how often somebody was seen to wait for another's locks
    again: list[Request] = field(default_factory=list)  # what was lost, to be asked again

    async def play(self, requests: int) -> None:
        """Let so many requests be made. Raises AssertionError if the books answer otherwise."""
        while True:
            idle = [actor for actor in self.actors if actor.task is None and requests > 0]
            moves = idle * 2 + sorted(self.holding, key=lambda actor: actor.number)
            if not moves:
                assert all(actor.task is None for actor in self.actors), self.told()
                return
            actor = self.rng.choice(moves)
            if actor in self.holding:
                await self.end(actor, self.rng.choice([*Verdict, *[Verdict.COMMIT] * 5]))
            else:
                requests -= 1
                await self.ask(actor, self._next_request())

    async def ask(self, actor: Actor, request: Request) -> None:
        """Let an actor ask, until it is held or waits for who is."""
        self.story.append(f"{actor} asks {request}")
        actor.ask(request)
        await self._settle()

    def told(self) -> str:
        return "\n".join(self.story[-15:])

    def _next_request(self) -> Request:
        under_way = [actor.request for actor in self.actors if actor.request is not None]
        asked = [each for each in under_way if not isinstance(each, Give)]
        if asked and self.rng.random() < SAME_AGAIN:
            return self.rng.choice(asked)
        if self.again and self.rng.random() < LOST_AGAIN:
            return self.again.pop(self.rng.randrange(len(self.again)))
        return draw(self.rng, self.known, self.drawn)

    async def end(self, actor: Actor, verdict: Verdict) -> None:
        """Let an actor go that is held, until all others are held or wait again."""
        self.story.append(f"{actor} {verdict.value}")
        self.holding.remove(actor)
        assert actor.request is not None
        assert actor.task is not None
        if verdict is not Verdict.COMMIT and not isinstance(actor.request, Give):
            self.again.append(actor.request)
        if verdict is Verdict.LOSE:
            await self.control.execute(_CUT_OFF, (str(actor),))
            await asyncio.wait([actor.task], timeout=SETTLE_SECONDS_MAX)
            assert isinstance(actor.task.exception(), LedgerUnavailable)
            actor.task = actor.request = None
            await self._settle()
            return
        await self.control.execute("select pg_advisory_unlock(77, %s)", (actor.number,))
        await asyncio.wait([actor.task], timeout=SETTLE_SECONDS_MAX)
        await self.control.execute("select pg_advisory_lock(77, %s)", (actor.number,))
        self._hear(actor)
        await self._settle()

    def _hear(self, actor: Actor) -> None:
        """Hold what an actor was answered against the model."""
        assert actor.request is not None
        assert actor.task is not None
        answers = actor.task.result()
        expected = actor.request.expected(
            self.model, actor.party.stage.app_id, actor.party.stage.now
        )
        assert answers == expected, self.told()
        self.known.learn(answers)
        actor.task = actor.request = None

    async def _settle(self) -> None:
        """Wait until everybody who asks has an answer, is held, or waits for who is held."""
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while True:
                for actor in self.actors:  # who wrote nothing is not held
                    if actor.task is not None and actor.task.done():
                        self.story.append(f"{actor} is answered")
                        self._hear(actor)
                asking = {actor for actor in self.actors if actor.task is not None}
                if asking <= self.holding:
                    return
                cursor = await self.control.execute(_WAITING)
                waiting: dict[int, bool] = dict(await cursor.fetchall())
                self.holding |= {actor for actor in asking if waiting.get(actor.number)}
                if self.holding and all(actor.number in waiting for actor in asking):
                    self.waits += len(asking - self.holding)
                    return
                await asyncio.sleep(LOOK_AGAIN_SECONDS)


@asynccontextmanager
async def interleaved(
    stage: Stage,
    model: Books,
    known: Known,
    rng: Random,
    *,
    actors: int,
    drawn: Drawn = BY_USERS,
) -> AsyncIterator[Interleaving]:
    """Let so many actors wait at each commit. The stage's `hold_commits` must have been called."""
    async with AsyncExitStack() as stack:
        made = [
            Actor(n, await stack.enter_async_context(Party.on(stage, f"actor-{n}")))
            for n in range(actors)
        ]
        control = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True)
        )
        for actor in made:
            await control.execute("select pg_advisory_lock(77, %s)", (actor.number,))
        yield Interleaving(made, control, model, known, rng, drawn)


def hold_commits(stage: Stage) -> None:
    """Let sessions that call themselves actors wait at their commits."""
    stage.rows(_HOLD)
