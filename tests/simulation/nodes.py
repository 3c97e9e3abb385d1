"""What is shown of the chain: machines that lag, fork and lie, behind URLs that fail."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from fakechain import Branch, MinedBlock
from fakenode import Failure, FakeNode, Faults, Reply

from simulation.world import World


@dataclass
class Machine:
    """One node: it follows the canonical branch, or one of its `own`, as far as it knows it.

    What it calls final is an ancestor of its head, always: on the canonical branch what the world
    has made final, `late` blocks later; on one of its own `own_final`, however it came to that.
    """

    world: World
    faults: Faults = field(default_factory=Faults)
    own: Branch | None = None
    own_final: int = 0
    lag: int = 0
    late: int = 0

    def __post_init__(self) -> None:
        self.node = FakeNode(self, self.faults)

    @property
    def chain_id(self) -> int:
        return self.world.chain.chain_id

    @property
    def by_hash(self) -> Mapping[bytes, MinedBlock]:
        return self.world.chain.by_hash

    @property
    def branch(self) -> Branch:
        shown = self.own or self.world.chain.branch
        return Branch(shown.name, shown.blocks[: max(1, len(shown.blocks) - self.lag)])

    @property
    def head(self) -> MinedBlock:
        return self.branch.blocks[-1]

    @property
    def finalized_number(self) -> int:
        final = self.world.final - self.late if self.own is None else self.own_final
        return max(0, min(final, self.head.number))

    @property
    def final_number(self) -> int:
        """What is final by the chain's rule; below 0 where nothing is."""
        depth = self.world.depth
        return self.finalized_number if depth is None else self.head.number - depth

    def __str__(self) -> str:
        parting = "" if self.own is None else f", forked above {self.world.common(self.own)}"
        wrong = ", wrong" if _is_wrong(self.faults) else ""
        return f"head {self.head.number}, final {self.finalized_number}{parting}{wrong}"

    def has(self, number: int) -> bytes | None:
        """Return the hash it shows at a height."""
        blocks = self.branch.blocks
        return blocks[number].hash if number < len(blocks) else None

    def come_back(self) -> None:
        """Be well: follow the canonical branch to its end."""
        self.own, self.lag, self.late = None, 0, 0
        self.faults = Faults()
        self.node = FakeNode(self, self.faults)


class Seen:
    """What each URL has shown: heads and final blocks, with all that is below them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.torn_below = -1  # what was final at a URL that had a machine on a fork below it
        self._chains: dict[str, set[bytes]] = defaultdict(set)
        self._final: set[bytes] = set()
        self._tips: dict[bytes, MinedBlock] = {}  # since the turn began

    def note(self, url: str, machine: Machine) -> None:
        """Note what a machine that answers knows."""
        head = machine.head
        self._tips[head.hash] = head
        self._add(self._chains[url], head.hash)
        final = machine.final_number
        if final >= 0:
            self._add(self._final, machine.branch.blocks[final].hash)

    def begin_turn(self) -> None:
        self._tips.clear()

    def was_final(self, block: bytes) -> bool:
        """Return whether a URL has ever called a block, or one above it, final."""
        return block in self._final

    def shown_by(self, block: bytes) -> int:
        """Return how many URLs have ever shown a block on their chain."""
        return sum(block in chain for chain in self._chains.values())

    def shows(self, number: int, block: bytes, *, otherwise: bool = False) -> bool:
        """Return whether this turn showed the block at a height, or (`otherwise`) another one."""
        for tip in self._tips.values():
            found = tip
            while found.number > number:
                found = self.world.chain.by_hash[found.parent]
            if found.number == number and (found.hash != block) is otherwise:
                return True
        return False

    def _add(self, known: set[bytes], block: bytes) -> None:
        """Add a block and what is below it: what is known has everything below it."""
        while block not in known and block in self.world.chain.by_hash:
            known.add(block)
            block = self.world.chain.by_hash[block].parent


class Url:
    """Who is asked: one machine, or several behind a balancer that takes any of them.

    What becomes of a request is drawn from what it asks, and how often that was asked: so it does
    not depend on who else asks meanwhile.
    """

    def __init__(self, name: str, machines: list[Machine], seen: Seen) -> None:
        self.name = name
        self.machines = machines
        self.scatters = False  # the calls of one batch, over all machines
        self.fails: list[tuple[float, Failure]] = []
        self._seen = seen
        self._asked: dict[bytes, int] = defaultdict(int)

    @property
    def is_plain(self) -> bool:
        """Return whether nothing is wrong but what its machines believe."""
        return not self.fails and all(not _is_wrong(machine.faults) for machine in self.machines)

    @property
    def torn_below(self) -> int:
        """The highest block that a machine calls final and another one, on a fork, does not have.

        Below 0 where there is none.
        """
        torn = -1
        for one in self.machines:
            final = one.final_number
            for other in self.machines:
                number = min(final, other.head.number)
                if number >= 0 and other.has(number) != one.has(number):
                    torn = max(torn, final)
        return torn

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(map(str, self.machines))} {self.fails or ''}"

    def be_well(self) -> None:
        self.scatters, self.fails = False, []
        for machine in self.machines:
            machine.come_back()

    def reply(self, body: bytes) -> Reply:
        asked = msgspec.json.decode(body)
        calls = asked if isinstance(asked, list) else [asked]
        said = msgspec.json.encode([[call["method"], call["params"]] for call in calls])
        self._asked[said] += 1
        self._seen.torn_below = max(self._seen.torn_below, self.torn_below)
        rng = Random(
            f"{self._seen.world.chain.chain_id} {self.name} {self._asked[said]} {said.hex()}"
        )
        if self.scatters and isinstance(asked, list):
            return Reply(msgspec.json.encode([self._one(call, rng) for call in calls]))
        machine = rng.choice(self.machines)
        for rate, failure in self.fails:
            if rng.random() < rate:
                machine.faults.failures.append(failure)
                break
        else:
            self._seen.note(self.name, machine)
        return machine.node.reply(body)

    def _one(self, call: dict[str, Any], rng: Random) -> dict[str, Any]:
        machine = rng.choice(self.machines)
        self._seen.note(self.name, machine)
        return machine.node.answer(call)


def _is_wrong(faults: Faults) -> bool:
    return any(
        (
            faults.lost_blocks,
            faults.wrong_root_in,
            faults.wrong_hash_in,
            faults.omit_log_in,
            faults.empty_receipts_in,
            faults.strip_logs_in,
            faults.parents_receipts_in,
            faults.drop_from_batches,
            faults.repeat_in_batches,
            faults.refuses,
            faults.logs.refuse,
            faults.logs.change,
            faults.batch_calls_max,
            faults.chain_id,
            not faults.finalized_tag,
        )
    )
