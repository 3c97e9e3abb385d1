"""What a reader must make of mined blocks."""

from collections.abc import Iterable

from fakechain import MinedBlock

from daemon.chain.evidence import Kind
from daemon.chain.reading import Block


def seen(blocks: Iterable[MinedBlock], watched: frozenset[Kind]) -> list[Block]:
    """Return the blocks with their logs of the watched kinds."""
    return [
        Block(
            each.number,
            each.hash,
            each.parent,
            each.time,
            tuple(log for log in each.logs if (log.address, log.topics[0]) in watched),
        )
        for each in blocks
    ]
