"""The nodes of one chain: which of them is asked, and whether the others say the same."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeVar

import structlog

from daemon.chain.reading import (
    Block,
    BlockRef,
    Moved,
    Trust,
    Unprovable,
    Violated,
    read_hash,
    read_head,
)
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable

# Whoever has failed is left alone for a while, and longer each time, up to about as long as a
# person would wait before looking.
REST_SECONDS_MIN: Final = 1.0
REST_SECONDS_MAX: Final = 60.0

_T = TypeVar("_T")

# The hash that is held for a height below the one that is to be final; None where none is.
Known = Callable[[int], Awaitable[bytes | None]]

log = structlog.get_logger()


class Disagreement(Exception):
    """Two nodes have different blocks at one height that counts as final, or logs in one block."""

    def __init__(self, number: int, said: str) -> None:
        super().__init__(
            f"the nodes disagree about block {number}: {said}."
            " Take out the one that is wrong; grants go on once those that answer agree"
        )
        self.number = number


class TooFewAgree(Exception):
    """Fewer nodes than wanted show a block, of those that are to; those that lag may yet."""

    def __init__(self, number: int, count: int, wanted: int) -> None:
        super().__init__(f"{count} of {wanted} nodes show block {number}")


@dataclass(slots=True)
class _Upstream:
    """A node and how it fares. `rests_until` is on the monotonic clock."""

    node: Node
    rests_until: float = 0.0
    rest_seconds: float = REST_SECONDS_MIN
    trouble: str = ""
    aside: bool = False  # it failed while another one was read, and is forgiven when it answers so


@dataclass(slots=True)
class Upstreams:
    """A chain's nodes in order of preference, and how many of them must agree on a final block."""

    nodes: Sequence[Node]
    agree: int = 1
    _all: list[_Upstream] = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.agree <= len(self.nodes):
            raise ValueError(f"{self.agree} of {len(self.nodes)} nodes cannot agree")
        self._all = [_Upstream(node) for node in self.nodes]

    def in_turn(self) -> list[Node]:
        """Return the nodes in the order to ask them: who rests comes last."""
        now = monotonic()
        return [each.node for each in sorted(self._all, key=lambda each: each.rests_until > now)]

    def failed(self, node: Node, trouble: Exception, *, aside: bool = False) -> None:
        """Let a node rest that did not answer, or not with the truth."""
        upstream = self._of(node)
        upstream.aside = aside and (upstream.aside or not upstream.trouble)
        upstream.rests_until = monotonic() + upstream.rest_seconds
        upstream.rest_seconds = min(2 * upstream.rest_seconds, REST_SECONDS_MAX)
        if not upstream.trouble and len(self._all) > 1:  # of a single one the follower tells
            log.warning("node fails", node=node.endpoint, trouble=str(trouble))
        upstream.trouble = str(trouble)

    def served(self, node: Node) -> None:
        """Take note that a node has answered, and that what it said holds."""
        upstream = self._of(node)
        if upstream.trouble and len(self._all) > 1:
            log.info("node is back", node=node.endpoint, after=upstream.trouble)
        upstream.rests_until, upstream.rest_seconds, upstream.trouble = 0.0, REST_SECONDS_MIN, ""
        upstream.aside = False

    def troubles(self) -> dict[str, str | None]:
        """Return what is wrong with each node, None where nothing is, by a name of its own."""
        found: dict[str, str | None] = {}
        for each in self._all:
            name, count = each.node.endpoint, 1
            while name in found:  # several of one host: their paths and keys are nobody's business
                count += 1
                name = f"{each.node.endpoint} ({count})"
            found[name] = each.trouble or None
        return found

    async def require_agreement(
        self, asked: Node, block: BlockRef, known: Known, trust: Trust = "proof"
    ) -> None:
        """Require that nobody contradicts what `asked` says of a block that is to be final.

        Who does not answer contradicts nobody. Who has not got the block yet is held to its head:
        `known` is asked for the hash below the block at that height, None if there is none to
        compare with. As many as are to agree must have the block itself. Below block 0 there is
        nothing to disagree about. Raises Disagreement and TooFewAgree.
        """
        if block.number < 0:
            return
        others = [node for node in self.nodes if node is not asked]
        found = await asyncio.gather(*(self._shown(node, block.number, trust) for node in others))
        count = 1
        for node, shown in zip(others, found, strict=True):
            if shown is None or shown.number > block.number:
                continue
            has_it = shown.number == block.number
            ours = block.hash if has_it else await known(shown.number)
            if ours is not None and shown.hash != ours:
                said = (
                    f"{asked.endpoint} has 0x{ours.hex()}, {node.endpoint} has 0x{shown.hash.hex()}"
                )
                raise Disagreement(shown.number, said)
            count += has_it
        if count < self.agree:
            raise TooFewAgree(block.number, count, self.agree)

    async def require_same(
        self,
        asked: Node,
        blocks: Sequence[Block],
        read: Callable[[Node], Awaitable[Sequence[Block]]],
    ) -> None:
        """Require as many nodes as are to agree to say of unproven blocks what `asked` says.

        The others are asked in turn, by `read`, until there are enough. Raises TooFewAgree, and
        Disagreement where there are too few because one shows other logs in a block of one hash.
        """
        count, contradiction = 1, None
        for node in self.in_turn():
            if node is asked or count >= self.agree:
                continue
            try:
                shown = await read(node)
            except Moved:  # it lags, or is on another fork just now
                continue
            except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
                self.failed(node, error)
                continue
            if list(shown) == list(blocks):
                count += 1
                continue
            contradiction = contradiction or _contradiction(asked, blocks, node, shown)
        if count >= self.agree:
            return
        if contradiction is not None:
            raise contradiction
        raise TooFewAgree(blocks[-1].number, count, self.agree)

    async def _shown(self, node: Node, number: int, trust: Trust) -> BlockRef | None:
        """Return a node's block at a height, or its head if that is lower; None if it has none."""
        try:
            found = await read_hash(node, number, trust)
            shown = await read_head(node, trust) if found is None else BlockRef(number, found)
        except Moved:
            return None
        except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
            self.failed(node, error, aside=True)
            return None
        if self._of(node).aside:
            self.served(node)
        return shown

    def _of(self, node: Node) -> _Upstream:
        return next(each for each in self._all if each.node is node)


def _contradiction(
    asked: Node, blocks: Sequence[Block], other: Node, shown: Sequence[Block]
) -> Disagreement | None:
    """Return what two nodes say differently of one block, None where they show other blocks."""
    for mine, theirs in zip(blocks, shown, strict=False):
        if mine.hash == theirs.hash and mine != theirs:
            said = (
                f"{asked.endpoint} shows {len(mine.logs)} logs in 0x{mine.hash.hex()},"
                f" {other.endpoint} shows {len(theirs.logs)}, or says else of it"
            )
            return Disagreement(mine.number, said)
    return None


async def asked_in_turn(upstreams: Upstreams, ask: Callable[[Node], Awaitable[_T]]) -> _T:
    """Return what the first node says that answers. Raises what the first one raised otherwise."""
    troubles: list[NodeUnavailable | NodeRefused] = []
    for node in upstreams.in_turn():
        try:
            return await ask(node)
        except (NodeUnavailable, NodeRefused) as error:
            upstreams.failed(node, error)
            troubles.append(error)
    raise troubles[0]
