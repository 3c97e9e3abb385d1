"""What happens next, drawn; and how it ends."""

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import get_args

from books import Books
from fakenode import Failure, Reset, Says, Silence, Status, Truncated
from simulation.drawn import Drawn, small_limits
from simulation.nodes import Machine, Seen, Url
from simulation.process import Blow, Plan, Process, alive
from simulation.promises import Broken, Promises
from simulation.world import World

# What happens in one history. A turn of the daemon is one of them.
ACTIONS = 30
# A turn has some five to sixty points; a plan beyond the last one does nothing.
POINTS = 60
# At rest are nodes and daemon when a round has changed nothing: far fewer than this are needed.
ROUNDS_MAX = 60
# In the first of them a program may only find that its session is gone.
QUIET_ROUNDS = 3
PROCESSES_MAX = 2
BLOWS: tuple[Blow, ...] = get_args(Blow)


@dataclass
class Clock:
    """The daemon's clock for whom it lets rest, and how long."""

    now: float = 1_000.0

    def read(self) -> float:
        return self.now


@dataclass
class History:
    rng: Random
    drawn: Drawn
    books: Books
    database_url: str
    world: World
    seen: Seen
    urls: list[Url]
    promises: Promises
    addresses: tuple[str, ...]  # where the URLs are served
    stack: AsyncExitStack
    clock: Clock = field(default_factory=Clock)
    processes: list[Process] = field(default_factory=list)
    started: int = 0
    finality_held: bool = True
    told: Counter[str] = field(default_factory=Counter)  # what happened, by name
    trace: list[str] = field(default_factory=list)

    async def run(self) -> str:
        """Live, then let all faults end. Returns how it ended. Raises Broken."""
        await self.live()
        return await self.settle()

    async def live(self) -> None:
        """Let one thing happen after the other."""
        self.world.mine(self.rng.randint(0, 12))
        names, weights = zip(*HAPPENINGS.items(), strict=True)
        for _ in range(ACTIONS):
            (name,) = self.rng.choices(names, weights)
            self.note(name)
            match name:
                case "turn":
                    await self.turn()
                case "start":
                    await self.start()
                case "stop":
                    await self.stop()
                case _:
                    self.happen(name)

    def note(self, what: str) -> None:
        self.told[what] += 1
        self.trace.append(f"{what} (head {self.world.head.number}, floor {self.world.floor})")

    # -- the daemon ----------------------------------------------------------------------------

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
        plan = None
        if self.rng.random() < 0.3:
            plan = Plan(self.rng.randint(1, POINTS), self.rng.choice(BLOWS))
        at = self.rng.randint(1, POINTS) if self.rng.random() < 0.3 else 0
        meanwhile = self.rng.choice(MEANWHILE)

        def moves(point: int) -> None:
            if point == at:
                self.note(f"meanwhile {meanwhile}")
                self.happen(meanwhile)

        process.at_point = moves
        await self.take_turn(process, plan, still=at == 0)

    async def take_turn(self, process: Process, plan: Plan | None, *, still: bool) -> bool:
        before = self.promises.standing(self.books)
        self.seen.begin_turn()
        more, struck = await process.turn(plan)
        if struck is not None:
            self.note(struck)
        if process.is_dead:
            self.processes.remove(process)
        after = self.promises.standing(self.books)
        self.trace.append(f"    {process.name}: {process.points} points, {after}")
        self.trace += [f"    {url}" for url in self.urls]
        if before is not None and after is not None and before.state != after.state:
            self.note(f"{before.state} to {after.state}")
        self.promises.hold(self.books, before, still=still)
        return more or before != after

    # -- the chain and its nodes ---------------------------------------------------------------

    def happen(self, name: str) -> None:
        """Let one thing happen to the chain, the nodes or the database."""
        getattr(self, name.replace(" ", "_"))()

    def mine(self) -> None:
        self.world.mine(self.rng.randint(1, 4))

    def finality(self) -> None:
        """Let finality go on; it stalls as long as nothing does."""
        if self.world.depth is None:
            self.world.finalize(max(self.world.final, self.world.head.number - self.rng.randint(0, 4)))

    def reorg(self) -> None:
        self._reorg(self._parting())

    def shrink(self) -> None:
        self.world.reorg(self._parting(), shorter=True)

    def flip(self) -> None:
        """Go back to a branch that was left, if finality lets it."""
        branches = [each for each in self.world.left if self._may_leave(self.world.common(each))]
        if branches:
            branch = self.rng.choice(branches)
            self._break_finality(self.world.common(branch))
            self.world.flip(branch)

    def break_finality(self) -> None:
        """Leave what was final."""
        if self.drawn.breaks and self.world.floor > 0:
            parting = self.rng.randint(0, self.world.floor)
            self._break_finality(parting)
            self._reorg(parting)
            if self.world.depth is None:
                self.world.finalize(self.rng.randint(parting, self.world.head.number))

    def lag(self) -> None:
        machine = self._machine()
        machine.lag = self.rng.randint(0, 6)
        machine.late = self.rng.randint(0, 6)

    def stick(self) -> None:
        """Let a machine know nothing new."""
        machine = self._machine()
        machine.own_final = machine.finalized_number
        machine.own = machine.branch

    def fork(self) -> None:
        """Let a machine be on a fork; where finality breaks, it may call that final."""
        machine, world = self._machine(), self.world
        parting = self._parting()
        if self.drawn.breaks and self.rng.random() < 0.3:
            parting = self.rng.randint(0, world.floor)
        longest = 6 if world.depth is None or self.drawn.breaks else world.depth
        machine.own = world.aside(parting, self.rng.randint(1, longest))
        machine.own_final = min(parting, world.final)
        if self.drawn.breaks and self.rng.random() < 0.5:
            machine.own_final = machine.head.number - 1
        self._note_own(machine)

    def grow_fork(self) -> None:
        """Let a machine's fork go on."""
        forked = [each for url in self.urls for each in url.machines if each.own is not None]
        if not forked:
            return
        machine = self.rng.choice(forked)
        assert machine.own is not None
        depth = self.world.depth
        is_final = depth is not None and len(machine.own.blocks) - depth > self.world.common(
            machine.own
        )
        if self.drawn.breaks or not is_final:
            self.world.grow(machine.own)
            self._note_own(machine)

    def come_back(self) -> None:
        machine = self._machine()
        machine.come_back()

    def omit(self) -> None:
        """Let a machine's evidence of some blocks be wrong, or missing."""
        machine, head = self._machine(), self.world.head.number
        faults = machine.faults
        kind = self.rng.choice(
            (
                faults.omit_log_in,
                faults.empty_receipts_in,
                faults.strip_logs_in,
                faults.parents_receipts_in,
                faults.wrong_root_in,
                faults.wrong_hash_in,
                faults.lost_blocks,
            )
        )
        lowest = max(1, head - 6)
        kind.update(number for number in range(lowest, head + 4) if self.rng.random() < 0.4)

    def misbehave(self) -> None:
        """Let a machine answer other calls than it was asked, or too few, or none of a kind."""
        faults = self._machine().faults
        match self.rng.randrange(8):
            case 0:
                faults.reorder_batches = True
            case 1:
                faults.drop_from_batches = True
            case 2:
                faults.repeat_in_batches = True
            case 3:
                faults.batch_calls_max = self.rng.randint(1, 3)
            case 4:
                faults.chain_id = 5
            case 5:
                faults.finalized_tag = False
            case 6:
                faults.refuses["eth_getBlockReceipts"] = (-32005, "limit exceeded")
            case _:
                faults.refuses["eth_getBlockReceipts"] = (-32000, "header not found")

    def fail(self) -> None:
        """Let a URL fail now and then, or each time."""
        failures: tuple[Failure, ...] = (
            Reset(),
            Truncated(),
            Truncated(announced=True),
            Says(b"{}"),
            Says(b"<html>busy</html>"),
            Status(503),
            Status(429, "60"),
            Status(429, "0"),
            Status(401),
            *(() if self.drawn.sockets else (Silence(),)),
        )
        url = self.rng.choice(self.urls)
        url.fails.append((self.rng.choice((0.2, 0.5, 1.0)), self.rng.choice(failures)))

    def scatter(self) -> None:
        self.rng.choice(self.urls).scatters = True

    def get_well(self) -> None:
        self.rng.choice(self.urls).be_well()

    def cut_off(self) -> None:
        """End a program's sessions with the database, between two turns."""
        if self.processes:
            self.rng.choice(self.processes).cut_off()

    def wait(self) -> None:
        self.clock.now += self.rng.choice((0.5, 3.0, 40.0, 100.0))

    # -- the end -------------------------------------------------------------------------------

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
                process.at_point = _nothing
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

    def _machine(self) -> Machine:
        return self.rng.choice(self.rng.choice(self.urls).machines)

    def _parting(self) -> int:
        height = self.world.head.number
        return self.rng.randint(max(0, min(self.world.floor, height)), height)

    def _reorg(self, parting: int) -> None:
        self.world.reorg(parting)

    def _may_leave(self, parting: int) -> bool:
        return self.drawn.breaks or parting >= self.world.floor

    def _break_finality(self, parting: int) -> None:
        if parting < self.world.floor:
            self.finality_held = False
            self.note("finality broke")

    def _note_own(self, machine: Machine) -> None:
        """Note what the rule makes of a machine's fork: by it, too, blocks become final."""
        assert machine.own is not None
        final = machine.own_final
        if self.world.depth is not None:
            final = len(machine.own.blocks) - 1 - self.world.depth
        if final > self.world.common(machine.own):
            self.finality_held = False
        else:
            self.world.floor = max(self.world.floor, final)


# How often each comes, and what it is called in docs/faults.md.
HAPPENINGS = {
    "turn": 45,
    "mine": 24,
    "finality": 10,
    "reorg": 8,
    "flip": 3,
    "shrink": 2,
    "break finality": 2,
    "lag": 4,
    "stick": 2,
    "fork": 3,
    "grow fork": 3,
    "come back": 4,
    "omit": 5,
    "misbehave": 3,
    "fail": 4,
    "scatter": 1,
    "get well": 6,
    "start": 4,
    "stop": 1,
    "cut off": 2,
    "wait": 5,
}
# What may happen while a turn is taken.
MEANWHILE = ("mine", "reorg", "flip", "shrink", "finality", "fork", "come back", "lag", "get well")


def _nothing(point: int) -> None:
    del point
