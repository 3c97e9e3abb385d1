"""What a watcher sees of its chain: through one node at a time, and the blocks ahead of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

from daemon.chain.evidence import Watched
from daemon.chain.reading import (
    Block,
    BlockRef,
    Tip,
    Unprovable,
    Violated,
    read_blocks,
    read_hash,
    read_tip,
    require_linked,
)
from daemon.chain.rpc import Node
from daemon.chain.upstreams import Known, Upstreams
from daemon.configuration.config import Chain, Depth
from daemon.watching.ahead import LOGS_PER_PART_MAX, Ahead
from daemon.watching.steps import shared_height
from ledger.watching import GENESIS_PARENT, Position

# While history is read, the head and what is final are looked up so often: the blocks' own links
# say that they are of the chain in the books.
TIP_KEPT_SECONDS: Final = 2.0


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """The greatest height that is final; `hash` is None where depth decides, not the node."""

    number: int
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one step goes by: the node's head and final block, and where the books stand.

    `shared` is the greatest height that the books and the node both have, `node_hash` the node's
    block there, None if it does not know one.
    """

    head: BlockRef
    final: FinalBlock
    position: Position
    shared: int
    node_hash: bytes | None


class View:
    """One chain, as a node shows it. Another node can take its place between two steps."""

    def __init__(self, upstreams: Upstreams, chain: Chain, watched: Watched) -> None:
        self.node = upstreams.nodes[0]
        self._upstreams = upstreams
        self._chain = chain
        self._watched = watched
        self._ahead = Ahead(self.proven)
        self._tip: Tip | None = None
        self._tip_until = 0.0
        self._final = -1  # what was final when the blocks ahead began to be read
        self._told_unproven = False

    async def sight(self, position: Position) -> Sight:
        """Return what the next step goes by. Raises as `read_tip` does."""
        tip, indexed = self._tip, position.indexed_number
        if (
            tip is None
            or monotonic() > self._tip_until
            or tip.head.number <= indexed + self._chain.span_max
        ):
            tip = await self._look(max(indexed, 0))
            self._tip, self._tip_until = tip, monotonic() + TIP_KEPT_SECONDS
            self._be_final(final_block(self._chain, tip.head, tip.finalized).number)
            node_hash = tip.hashes[0] if indexed >= 0 else GENESIS_PARENT
        else:
            node_hash = position.indexed_hash
        if tip.head.number < indexed:
            node_hash = tip.head.hash
        return Sight(
            tip.head,
            final_block(self._chain, tip.head, tip.finalized),
            position,
            shared_height(position, tip.head.number),
            node_hash,
        )

    async def hash_at(self, number: int) -> bytes | None:
        """Return the hash the node has for a height, None where it has no block."""
        return (
            GENESIS_PARENT
            if number < 0
            else (await read_hash(self.node, number, self._chain.trust))
        )

    async def block(self, number: int) -> Block:
        """Return one block. Raises as `read_blocks` does."""
        return (await self.proven(number, number))[0]

    async def blocks(self, first: int, last: int, until: int) -> Sequence[Block]:
        """Return proven blocks from `first` to at most `last`, as many as one step may write.

        Those up to `until` are read ahead. What cannot be proven is taken where as many nodes say
        it as are to agree, two at least. Raises as `read_blocks` and `require_same` do.
        """
        return await self._ahead.take(first, last, until)

    async def require_agreement(self, block: BlockRef, known: Known) -> None:
        """Require that the other nodes do not contradict this one, as `Upstreams` says."""
        await self._upstreams.require_agreement(self.node, block, known, self._chain.trust)

    async def require_linked(self, ancestor: BlockRef, block: BlockRef) -> None:
        """Require the node to show a block linked to an ancestor, as `reading.require_linked`."""
        await require_linked(self.node, ancestor, block, self._chain.trust)

    def use(self, node: Node) -> None:
        """See the chain through another node from now on, and nothing that this one has shown."""
        if node is not self.node:
            self.node = node
            self.look_again()

    def look_up(self) -> None:
        """Ask for the head again before the next step."""
        self._tip = None

    def look_again(self) -> None:
        """Believe nothing that was seen before: the chain has moved."""
        self._tip, self._final = None, -1
        self._ahead.forget()

    async def close(self) -> None:
        """Stop reading ahead."""
        await self._ahead.close()

    async def _look(self, height: int) -> Tip:
        """Return the node's tip with its hash at a height. Blocks ahead stay if it still has them.

        What is final now says nothing of blocks that the node has left since it showed them.
        """
        last = self._ahead.last
        tip = await read_tip(
            self.node,
            self._chain.chain_id,
            [height] if last is None else [height, last.number],
            finalized=not isinstance(self._chain.confirmation, Depth),
            trust=self._chain.trust,
        )
        if last is not None and tip.hashes[1] != last.hash:
            self._ahead.forget()
        return tip

    def _be_final(self, number: int) -> None:
        """Take note of what is final now.

        A block that was read before it was final may be one that the chain has left since: where
        such blocks are ahead, they are read again.
        """
        if number <= self._final:
            return
        if self._ahead.end > self._final + 1:
            self._ahead.forget()
        self._final = number

    async def proven(self, first: int, last: int) -> Sequence[Block]:
        """Return what `blocks` does, of the node at hand and just now."""
        node, verify = self.node, self._chain.verify
        if verify != "off":
            try:
                return await read_blocks(
                    node, first, last, self._watched, verify=verify, logs_max=LOGS_PER_PART_MAX
                )
            except Unprovable as error:
                if self._chain.trust == "proof":
                    raise
                self._tell_unproven(error)
            except Violated as error:
                if self._chain.trust != "word":
                    raise
                self._tell_unproven(error)
        return await self._agreed(node, first, last)

    async def _agreed(self, node: Node, first: int, last: int) -> Sequence[Block]:
        """Return blocks of which nothing is proven, as enough nodes say them."""
        blocks = await read_blocks(
            node, first, last, self._watched, verify="off", logs_max=LOGS_PER_PART_MAX
        )
        end = blocks[-1].number

        async def read(other: Node) -> Sequence[Block]:
            return await read_blocks(other, first, end, self._watched, verify="off")

        await self._upstreams.require_same(node, blocks, read)
        return blocks

    def _tell_unproven(self, error: Unprovable | Violated) -> None:
        if not self._told_unproven:
            log.warning("not proven: nodes that agree are believed", why=str(error))
        self._told_unproven = True


def final_block(chain: Chain, head: BlockRef, finalized: BlockRef | None) -> FinalBlock:
    """Return the last block that is final by the chain's rule."""
    if isinstance(chain.confirmation, Depth):
        # Head 107, depth 3: 104 has three blocks on top (105, 106, 107).
        return FinalBlock(head.number - chain.confirmation.blocks)
    if finalized is None:
        raise ValueError("a chain that goes by its finalized block needs to be asked for it")
    return FinalBlock(finalized.number, finalized.hash)
