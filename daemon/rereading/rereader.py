"""Final blocks read again, and held against the books."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from daemon.chain.evidence import Watched
from daemon.chain.reading import (
    Block,
    BlockRef,
    Moved,
    Unprovable,
    Violated,
    read_chain_id,
    read_genesis,
)
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable
from daemon.chain.unfit import Unfit
from daemon.chain.upstreams import Disagreement, TooFewAgree, Upstreams
from daemon.configuration.config import Chain
from daemon.watching.earning import Followed, earnings_of, kinds_of
from daemon.watching.view import View
from ledger.late import Late, Place, RecordedEvent
from ledger.watching import SeenBlock, SeenEvent, SetAside

# One answer's worth: it is what is read again if its node fails in the middle of it.
BLOCKS_PER_PART: Final = 100


class CannotRead(Unfit):
    """No node gives the blocks with their proof, or they are not of the chain in the books."""


class Contradicted(CannotRead):
    """Two nodes have different blocks at a height that is final."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An event that the chain tells otherwise than the books do."""

    recorded: RecordedEvent
    seen: SeenEvent
    block_hash: bytes


@dataclass(slots=True)
class Differences:
    """What final blocks say, and the books do not: or the other way round."""

    missing: list[SeenEvent] = field(default_factory=list)
    not_on_chain: list[RecordedEvent] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    other_blocks: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # ours, the node's

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.missing or self.not_on_chain or self.changed or self.other_blocks)

    @property
    def all_missing(self) -> float:
        """How many events have to come in until nothing differs: infinity if that helps not."""
        mends = not (self.not_on_chain or self.changed or self.other_blocks)
        return len(self.missing) if mends else math.inf

    def add(self, other: Self) -> None:
        """Count others, too."""
        self.missing += other.missing
        self.not_on_chain += other.not_on_chain
        self.changed += other.changed
        self.other_blocks += other.other_blocks

    def said(self) -> str:
        """Return how many there are of each, in a line."""
        counts = {
            "event(s) missing": len(self.missing),
            "event(s) that are not on the chain": len(self.not_on_chain),
            "event(s) told otherwise": len(self.changed),
            "block(s) of another hash": len(self.other_blocks),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


@dataclass(frozen=True, slots=True)
class Reread:
    """Proven blocks, `first` to `last` without a gap, and how they differ from the books."""

    blocks: Mapping[int, SeenBlock]
    first: int
    last: int
    set_aside: Sequence[SetAside]
    differences: Differences


@dataclass(slots=True)
class Rereader:
    """Reads final blocks of a chain again, through nodes in their order of preference."""

    chain: Chain
    nodes: Sequence[Node]
    late: Late
    _upstreams: Upstreams = field(init=False)
    _view: tuple[Watched, View] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._upstreams = Upstreams(self.nodes, min(self.chain.agree, len(self.nodes)))

    async def require_chain(self, place: Place) -> None:
        """Require that each node that answers shows the chain of the books. Raises CannotRead."""
        for node in self.nodes:
            try:
                found, genesis = (
                    await read_chain_id(node),
                    await read_genesis(node, self.chain.trust),
                )
            except (NodeUnavailable, NodeRefused):
                continue
            except (Violated, Unprovable) as error:
                raise CannotRead(f"{node.endpoint}: {error}") from error
            if (found, genesis) != (place.chain_id, place.genesis):
                raise CannotRead(
                    f"the node at {node.endpoint} shows chain {found} with genesis"
                    f" 0x{genesis.hex()}, the books follow chain {place.chain_id} with genesis"
                    f" 0x{place.genesis.hex()}"
                )

    async def read(self, first: int, last: int, followed: Sequence[Followed]) -> Reread:
        """Read blocks from `first` on again, up to `last` at most, and compare them.

        All are below the last confirmed block. Raises CannotRead where no node proves them, or
        where another one contradicts.
        """
        node, blocks = await self._blocks(first, last, kinds_of(followed))
        await self._require_agreement(node, blocks)
        try:
            earnings = earnings_of(blocks, followed, self.chain.waits)
        except Violated as error:
            raise CannotRead(f"{node.endpoint}: {error}") from error
        until = blocks[-1].number
        recorded = await self.late.recorded(first, until)
        remembered = await self.late.hashes(first, until)
        differences = compare(blocks, earnings.events, recorded, followed)
        differences.other_blocks += [
            (block.number, ours, block.hash)
            for block in blocks
            if (ours := remembered.get(block.number)) not in (None, block.hash)
        ]
        return Reread(seen(blocks), first, until, earnings.set_aside, differences)

    async def logs_of(self, number: int, kinds: Watched) -> Block:
        """Return one block with its logs of some kinds, proven. Raises CannotRead."""
        node, blocks = await self._blocks(number, number, kinds)
        await self._require_agreement(node, blocks)
        return blocks[0]

    async def _blocks(self, first: int, last: int, kinds: Watched) -> tuple[Node, Sequence[Block]]:
        troubles = []
        until = min(last, first + BLOCKS_PER_PART - 1)
        view = self._looking_for(kinds)
        for node in self._upstreams.in_turn():
            view.use(node)
            try:
                blocks = await view.proven(first, until)
            except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
                self._upstreams.failed(node, error)
                troubles.append(f"{node.endpoint}: {error}")
            except (Moved, TooFewAgree) as error:
                troubles.append(f"{node.endpoint}: {error}")
            else:
                self._upstreams.served(node)
                return node, blocks
        raise CannotRead(f"no node proves blocks {first} to {until}: {'; '.join(troubles)}")

    def _settings(self) -> Chain:
        """Return the settings to read by: what a node does not find is looked for all the same."""
        return replace(self.chain, verify="bloom") if self.chain.verify == "found" else self.chain

    def _looking_for(self, kinds: Watched) -> View:
        """Return the view to read through: the same as before, if it looks for the same."""
        if self._view is None or self._view[0] != kinds:
            self._view = kinds, View(self._upstreams, self._settings(), kinds)
        return self._view[1]

    async def _require_agreement(self, node: Node, blocks: Sequence[Block]) -> None:
        read = {block.number: block.hash for block in blocks}

        async def known(number: int) -> bytes | None:
            return read.get(number) or await self.late.hash_of(number)

        last = BlockRef(blocks[-1].number, blocks[-1].hash)
        try:
            await self._upstreams.require_agreement(node, last, known, self.chain.trust)
        except TooFewAgree as error:
            raise CannotRead(str(error)) from error
        except Disagreement as error:
            raise Contradicted(str(error)) from error


def compare(
    blocks: Sequence[Block],
    events: Sequence[SeenEvent],
    recorded: Sequence[RecordedEvent],
    followed: Sequence[Followed],
) -> Differences:
    """Return how the events of proven blocks differ from those that the books have of them.

    Of sources that are not followed any more the books' word stands. What a rule gives for an
    event may have changed since: its credits are not compared.
    """
    hashes = {block.number: block.hash for block in blocks}
    rules = {each.rule_id for each in followed}
    ours = {each.cause: each for each in recorded if each.rule_id in rules}
    # Which transaction a log is of, no header proves: it is the same log where its place is.
    places = {(each.block_hash, each.log_index, each.role): each.cause for each in ours.values()}
    theirs: set[tuple[bytes, int, int]] = set()
    differences = Differences()
    for event in events:
        place = (hashes[event.block_number], event.log_index, event.role)
        cause = event.cause if event.cause in ours else places.get(place)
        if cause is None:
            differences.missing.append(event)
            continue
        theirs.add(cause)
        known = ours[cause]
        said = (known.cause, known.block_hash, known.wallet, known.amount, known.rule_id)
        block_hash = hashes[event.block_number]
        if said != (event.cause, block_hash, event.wallet, event.amount, event.rule_id):
            differences.changed.append(Changed(known, event, block_hash))
    differences.not_on_chain += [each for cause, each in ours.items() if cause not in theirs]
    return differences


def seen(blocks: Sequence[Block]) -> dict[int, SeenBlock]:
    """Return blocks for the books, by their numbers."""
    return {
        block.number: SeenBlock(block.number, block.hash, block.parent, block.time)
        for block in blocks
    }
