"""The nodes of one chain: which of them is asked, and whether the others say the same."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeVar

import structlog

from daemon.reading import (
    Block,
    BlockRef,
    Moved,
    Trust,
    Unprovable,
    Violated,
    read_hash,
    read_head,
)
from daemon.rpc import Node, NodeRefused, NodeUnavailable

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

    def failed(self, node: Node, trouble: Exception) -> None:
        """Let a node rest that did not answer, or not with the truth."""
        upstream = self._of(node)
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
        self,
        asked: Node,
        number: int,
        block: bytes,
        trust: Trust = "proof",
        known: Known | None = None,
    ) -> None:
        """Require that nobody contradicts what `asked` says of a block that is to be final.

        Who does not answer contradicts nobody, nor does who has not got so far, unless its head is
        another block than the one that is `known` there; but as many as are to agree must have the
        block. Below block 0 there is nothing to disagree about. Raises Disagreement and
        TooFewAgree.
        """
        if number < 0:
            return
        others = [node for node in self.nodes if node is not asked]
        found = await asyncio.gather(*(self._shown_by(node, number, trust) for node in others))
        pairs = list(zip(others, found, strict=True))
        shown = [(node.endpoint, ref.hash) for node, ref in pairs if ref and ref.number == number]
        if any(hash_ != block for _, hash_ in shown):
            raise _disagreement(number, [(asked.endpoint, block), *shown])
        for node, ref in pairs:
            if known is None or ref is None or ref.number >= number:
                continue
            held = await known(ref.number)
            if held not in {None, ref.hash}:
                held_by = (asked.endpoint, held or b"")
                raise _disagreement(ref.number, [held_by, (node.endpoint, ref.hash)])
        if 1 + len(shown) < self.agree:
            raise TooFewAgree(number, 1 + len(shown), self.agree)

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

    async def _shown_by(self, node: Node, number: int, trust: Trust) -> BlockRef | None:
        """Return the block that a node has at a height, or else its head; None: no answer."""
        try:
            found = await read_hash(node, number, trust)
            return await read_head(node, trust) if found is None else BlockRef(number, found)
        except Moved:  # it has no block at all
            return None
        except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
            self.failed(node, error)
            return None

    def _of(self, node: Node) -> _Upstream:
        return next(each for each in self._all if each.node is node)


def _disagreement(number: int, shown: Sequence[tuple[str, bytes]]) -> Disagreement:
    said = ", ".join(f"{endpoint} has 0x{found.hex()}" for endpoint, found in shown)
    return Disagreement(number, said)


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
