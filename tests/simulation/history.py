"""What happens next, drawn; and how it ends."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import LiteralString, get_args

from books import Books

from simulation.happenings import HAPPENINGS, MEANWHILE, Happenings
from simulation.nodes import Seen
from simulation.process import Blow, Plan, Process, alive, wait_for_others_to_end
from simulation.promises import Broken, Promises, Standing

# What happens in one history. A turn of the daemon is one of them.
ACTIONS = 30
# A turn has some five to sixty points; a plan beyond the last one does nothing.
POINTS = 60
# At rest are nodes and daemon when a round has changed nothing: far fewer than this are needed.
ROUNDS_MAX = 60
# In the first of them a program may only find that its session is gone.
QUIET_ROUNDS = 3
PROCESSES_MAX = 2
# How often somebody looks whether there is a reorg to accept, where somebody does at all.
LOOKS_RATE = 0.2
# How often time passes in the middle of a turn in which nothing else does.
PAUSE_RATE = 0.1
AtPoint = Callable[[int], Awaitable[None]]

_ACCEPT: LiteralString = """
    select a.outcome from creditd.chain c
      cross join lateral creditd.accept_reorg(
        c.name, coalesce(c.accruing_number, c.confirmed_number), c.other_hash, 'somebody', 'true') a
    where c.chain_id = %s and c.state = 'halted' and c.other_hash is not null"""

BLOWS: tuple[Blow, ...] = get_args(Blow)


@dataclass(kw_only=True)
class History(Happenings):
    """What happens, with the daemon in it."""

    books: Books
    database_url: str
    seen: Seen
    promises: Promises
    addresses: tuple[str, ...]  # where the URLs are served
    stack: AsyncExitStack
    started: int = 0
    _led_before: Standing | None = None  # where the books stood when others last let them be

    async def run(self) -> str:
        """Live, then let all faults end. Returns how it ended. Raises Broken."""
        self.told.update(self.drawn.told)
        await self.live()
        how = await self.settle()
        if how == "halted" and self.drawn.accepts and self.accept():
            how = await self.settle()
            if how != "equal":
                raise Broken("the reorg was accepted, and the chain is halted all the same")
        return how

    async def live(self) -> None:
        """Let one thing happen after the other."""
        self.world.mine(self.rng.randint(0, 12))
        names, weights = zip(*HAPPENINGS.items(), strict=True)
        for _ in range(ACTIONS):
            (name,) = self.rng.choices(names, weights)
            self.note(name)
            if self.drawn.accepts and self.rare.random() < LOOKS_RATE:
                self.accept()
            match name:
                case "turn":
                    await self.turn()
                case "start":
                    await self.start()
                case "stop":
                    await self.stop()
                case _:
                    self.happen(name)

    def accept(self) -> bool:
        """Let somebody accept a reorg that halts the chain; return whether there was one."""
        found = self.books.rows(_ACCEPT, self.world.chain.chain_id)
        accepted = [outcome for (outcome,) in found] == ["accepted"]
        if accepted:
            self.note("reorg accepted")
        return accepted

    async def start(self) -> None:
        """Start a program: the first one, or one more that is to stand by."""
        if len(self.processes) >= PROCESSES_MAX:
            return
        self.started += 1
        name = f"process {self.started}"
        chain = self.drawn.settings(self.addresses)
        process = Process(chain, self.database_url, name, self.books)
        await self.stack.enter_async_context(alive(process))
        self.processes.append(process)

    async def stop(self) -> None:
        if self.processes:
            process = self.processes.pop(self.rng.randrange(len(self.processes)))
            await process.end()

    async def turn(self) -> None:
        """Let a program take a turn, in which the world may move and it may be struck."""
        if not self.processes:
            await self.start()
        process = self.rng.choice(self.processes)
        plan, at = None, 0
        if self.rng.random() < 0.3:
            plan = Plan(self.rng.randint(1, POINTS), self.rng.choice(BLOWS))
        if self.rng.random() < 0.3:
            at = self.rng.randint(1, POINTS)
            process.at_point = self._moving(at, self.rng.choice(MEANWHILE))
        if at == 0 and self.rare.random() < PAUSE_RATE:
            process.at_point = self._moving(self.rare.randint(1, POINTS), "wait")
        others = [each for each in self.processes if each is not process]
        if others and self.rng.random() < 0.3:
            at = self.rng.randint(1, POINTS)
            plan = self.rng.choice((plan, Plan(self.rng.randint(1, at), "unlocked")))
            process.at_point = self._interrupted(process, at, others[0])
        await self.take_turn(process, plan, still=at == 0)
        process.at_point = _nothing

    def _moving(self, at: int, name: str) -> AtPoint:
        """Let something happen at a point of a turn."""

        async def moves(point: int) -> None:
            if point == at:
                self.note(f"meanwhile {name}")
                self.happen(name)

        return moves

    def _interrupted(self, process: Process, at: int, other: Process) -> AtPoint:
        """Let another program take its turn at a point of one's turn, or as soon as it can."""

        async def moves(point: int) -> None:
            if point >= at and not process.writes:
                process.at_point = _nothing
                self.note("meanwhile another turn")
                await self._turn_of(other, None)
                self._led_before = self.promises.standing(self.books)

        return moves

    async def take_turn(self, process: Process, plan: Plan | None, *, still: bool) -> bool:
        """Let a program take a turn, and hold the promises. Returns whether anything moved."""
        wait_for_others_to_end(self.books, self.processes)
        before = self._led_before = self.promises.standing(self.books)
        self.seen.begin_turn()
        more = await self._turn_of(process, plan)
        after = self.promises.standing(self.books)
        if before is not None and after is not None and before.state != after.state:
            self.note(f"{before.state} to {after.state}")
        self.promises.hold_leader(self._led_before, after, process.name)
        self.promises.hold(self.books, before, still=still)
        return more or before != after

    async def _turn_of(self, process: Process, plan: Plan | None) -> bool:
        more, struck = await process.turn(plan)
        if struck is not None:
            self.note(struck)
        if process.is_dead:
            self.processes.remove(process)
        after = self.promises.standing(self.books)
        self.trace.append(f"    {process.name}: {process.points} points, {after}")
        self.trace += [f"    {url}" for url in self.urls]
        return more

    async def settle(self) -> str:
        """Let all be well, and the daemon come to rest; then hold it to its last word."""
        world = self.world
        for url in self.urls:
            url.be_well()
        forks = [len(branch.blocks) for branch in world.left]
        world.mine(max([world.highest, *forks]) - world.head.number + 1 + (world.depth or 0))
        if world.depth is None:
            world.finalize(world.head.number - 1)
        if not self.processes:
            await self.start()
        quiet = 0
        for _ in range(ROUNDS_MAX):
            self.clock.now += 100.0
            goes_on = False
            for process in tuple(self.processes):
                goes_on |= await self.take_turn(process, None, still=True)
            if not self.processes:
                raise Broken("the program ended, and all was well")
            quiet = 0 if goes_on else quiet + 1
            if quiet == QUIET_ROUNDS:
                break
        else:
            raise Broken("the daemon does not come to rest")
        reverses = self.drawn.on_deep_reorg == "reverse"
        how = self.promises.hold_at_the_end(
            self.books, reverses=reverses, finality_held=self.finality_held
        )
        self.note(f"end: {how}")
        return how


async def _nothing(point: int) -> None:
    del point
