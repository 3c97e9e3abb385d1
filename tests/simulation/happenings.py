"""What happens to the chain, to its nodes and to the database; docs/faults.md names each."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from fakelogs import Json, Refusal, limited
from fakenode import Failure, Reset, Says, Silence, Status, Truncated

from simulation.drawn import Drawn
from simulation.nodes import Machine, Url
from simulation.process import Process
from simulation.world import World

# How often each comes, and what it is called in docs/faults.md.
HAPPENINGS = {
    "turn": 45,
    "mine": 24,
    "finality": 10,
    "reorg": 8,
    "flip": 3,
    "shrink": 2,
    "leap": 5,
    "break finality": 3,
    "lag": 4,
    "all lag": 3,
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
MEANWHILE = (
    "mine",
    "reorg",
    "leap",
    "flip",
    "shrink",
    "finality",
    "fork",
    "come back",
    "lag",
    "get well",
)


@dataclass
class Clock:
    """The daemon's clock for whom it lets rest, and how long."""

    now: float = 1_000.0

    def read(self) -> float:
        return self.now


@dataclass(kw_only=True)
class Happenings:
    """All that moves, and one way to move it for each name of HAPPENINGS."""

    rng: Random
    rare: Random = field(default_factory=lambda: Random(0))  # for what happens seldom
    drawn: Drawn
    world: World
    urls: list[Url]
    clock: Clock = field(default_factory=Clock)
    processes: list[Process] = field(default_factory=list)
    finality_held: bool = True
    told: Counter[str] = field(default_factory=Counter)  # what happened, by name
    trace: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.told[what] += 1
        self.trace.append(f"{what} (head {self.world.head.number}, floor {self.world.floor})")

    def happen(self, name: str) -> None:
        """Let one thing happen to the chain, the nodes or the database."""
        getattr(self, name.replace(" ", "_"))()

    def mine(self) -> None:
        self.world.mine(self.rng.randint(1, 4))

    def finality(self) -> None:
        """Let finality go on; it stalls as long as nothing does."""
        if self.world.depth is None:
            self.world.finalize(
                max(self.world.final, self.world.head.number - self.rng.randint(0, 4))
            )

    def reorg(self) -> None:
        self._reorg(self._parting())

    def shrink(self) -> None:
        self.world.reorg(self._parting(), shorter=True)

    def leap(self) -> None:
        """Leave blocks that nobody called final for others that are, the next time one looks."""
        self.reorg()
        self.mine()
        self.finality()

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
            parting = self.rng.randint(0, min(self.world.floor, self.world.head.number))
            self._break_finality(parting)
            self._reorg(parting)
            if self.world.depth is None:
                self.world.finalize(self.rng.randint(parting, self.world.head.number))

    def lag(self) -> None:
        machine = self._machine()
        machine.lag = self.rng.choice((0, 1, 2, 4, 8, 12))
        machine.late = self.rng.randint(0, 6)

    def all_lag(self) -> None:
        """Let no machine know as much as has been confirmed."""
        for url in self.urls:
            for machine in url.machines:
                machine.lag = len(machine.branch.blocks) + machine.lag - max(0, self.world.floor)

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
            parting = self.rng.randint(0, min(world.floor, world.head.number))
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
        if self.drawn.verify == "off":  # those that are to agree do not lie alike
            machine = self.rng.choice(self.urls[0].machines)
            machine.faults.logs.change = self.rare.choice((None, _nothing_found))
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
        if self.drawn.searches:
            faults.logs.refuse = limited(self.rare.randint(1, 3), Refusal("limit exceeded", -32005))
        match self.rng.randrange(8):
            case 0:
                faults.reorder_batches = True
            case 1:
                faults.drop_from_batches = True
            case 2:
                faults.repeat_in_batches = True
            case 3:
                least = 2 if self.drawn.searches else 1  # logs, with the block they are known by
                faults.batch_calls_max = max(least, self.rng.randint(1, 3))
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
        self.rng.choice(self.urls).scatters = not self.drawn.searches

    def get_well(self) -> None:
        self.rng.choice(self.urls).be_well()

    def cut_off(self) -> None:
        """End a program's sessions with the database, between two turns."""
        if self.processes:
            self.rng.choice(self.processes).cut_off()

    def wait(self) -> None:
        self.clock.now += self.rng.choice((0.5, 3.0, 40.0, 100.0))

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


def _nothing_found(logs: list[Json]) -> object:
    del logs
    return []
