"""What to do next on a chain, decided from what the books and the node say. Pure.

    books   … 96 ─ 97 ─ 98 ─ 99 ─ 100        100 is indexed, 97 is confirmed
    node    … 96 ─ 97 ─ 98'─ 99'─ 100'─ 101'

A lower head is never a reorg: a node may lag. Another hash at the same height is one. Here the two
share 97, so the pending blocks 98 to 100 are dropped and reading goes on from 97. Had they parted
at 96, a block with grants would be gone: past confirmation nothing is rewritten quietly.
"""

from dataclasses import dataclass

from ledger.watching import Position


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until the node shows more.

    It `agrees` if it has just shown the last block in the books: a node that `lags` proves nothing.
    """

    why: str
    agrees: bool = False
    lags: bool = False


@dataclass(frozen=True, slots=True)
class Extend:
    """Read the blocks `first`..`last`, both included, and confirm what is final by then."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """No new block, but more of those read are final: confirm up to `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class Fork:
    """The node's chain has another block than the books at `number`: find where they part."""

    number: int


@dataclass(frozen=True, slots=True)
class Drop:
    """The chain left pending blocks only: forget those above `to_number`."""

    to_number: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """The chain left confirmed blocks: take back what was granted above `to_number`."""

    to_number: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop granting until it is proven, or decided, that the chain may go on.

    If the chain left the confirmed block, `ancestor` is the last one that books and node share, and
    `other_hash` what the node shows where the confirmed one was.
    """

    reason: str
    ancestor: int | None = None
    other_hash: bytes | None = None


def shared_height(position: Position, head_number: int) -> int:
    """Return the greatest height that the books and the node both have."""
    return min(position.indexed_number, head_number)


def next_step(
    position: Position,
    *,
    head_number: int,
    final_number: int,
    node_hash: bytes | None,
    books_hash: bytes | None,
    span_max: int,
) -> Wait | Extend | Confirm | Fork:
    """Decide from the two hashes at `shared_height`; None is a height the one does not know."""
    shared = shared_height(position, head_number)
    if node_hash is None or books_hash is None:
        who = "the node does" if node_hash is None else "the books do"
        return Wait(f"{who} not know block {shared}", lags=node_hash is None)
    if node_hash != books_hash:
        return Fork(shared)
    if head_number < position.indexed_number:
        return Wait(f"the node's head {head_number} lags behind what has been read", lags=True)
    if head_number > position.indexed_number:
        first = position.indexed_number + 1
        return Extend(first, min(head_number, position.indexed_number + span_max))
    # After a pause of finality thousands of blocks are final at once: one transaction a span.
    confirm = min(final_number, position.indexed_number, position.confirmed_number + span_max)
    if confirm > position.confirmed_number:
        return Confirm(confirm)
    return Wait(f"block {head_number} is the newest", agrees=True)


def after_fork(
    position: Position,
    ancestor: int | None,
    *,
    reverses: bool,
    other_hash: bytes | None = None,
    name: str = "",
) -> Drop | Reverse | Halt:
    """Decide what a fork means; `ancestor` is the last height both have, if remembered.

    `reverses` says whether confirmed blocks may be given up; else the chain called `name` halts,
    and the node shows `other_hash` where the confirmed block was (None: no block yet).
    """
    if ancestor is None:
        return Halt(
            "the node's chain and the books have no remembered block in common:"
            " check that the node is the right one before anything else"
        )
    if ancestor >= position.granted_number:
        return Drop(ancestor)
    if reverses:
        return Reverse(ancestor)
    number = position.granted_number
    remedy = (
        f"look at it by `creditd reorg show {name}`, and if the new history is true, accept it:"
        f" `creditd reorg accept {name} --block {number} --hash 0x{other_hash.hex()}"
        " --by WHO --reason WHY`"
        if other_hash is not None
        else "whether the new history is true can be judged once the node has that block again"
    )
    return Halt(
        f"the chain left block {number}, which was confirmed: it parts from the books above block"
        f" {ancestor}. Grants go on by themselves if the old history comes back; {remedy}",
        ancestor,
        other_hash,
    )
