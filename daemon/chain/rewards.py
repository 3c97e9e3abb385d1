"""Reading what the protocol gives in blocks: who made them and their uncles, and withdrawals.

All of it is committed to by a block's header: its `miner`, the hash of its uncles' headers, and
the root of its withdrawals (EIP-4895).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from contracts.hashing import keccak
from contracts.rewards import GENERATED, Reward, RewardKind
from daemon.chain.evidence import Header, Moved, Violated, header_rlp
from daemon.chain.node_json import ADDRESS, HASH, Malformed, integer, items, octets, record_of
from daemon.chain.rpc import Node
from daemon.chain.trie import (
    EMPTY_ROOT,
    ordered_proof,
    ordered_root,
    rlp_bytes,
    rlp_decoded,
    rlp_integer,
    rlp_list,
)

# The yellow paper allows 2, EIP-4895 and the consensus specification 16: a few times as much is
# still no burden, and more is no block.
UNCLES_MAX: Final = 8
WITHDRAWALS_MAX: Final = 256
_UINT64_MAX: Final = 2**64 - 1


async def read_rewards(
    node: Node,
    blocks: Sequence[tuple[Header, object]],
    kinds: AbstractSet[RewardKind],
    *,
    proven: bool,
) -> dict[bytes, tuple[Reward, ...]]:
    """Return what some blocks give, by their hashes, in the order block, uncles, withdrawals.

    Each block is its header and the JSON it was read from. With `proven` uncles hash to what the
    header says, and withdrawals have its root; without, the node's word is taken. Raises Violated
    where that fails or anything is malformed, Moved where a node has not got an uncle, and as
    `Node` does.
    """
    if not kinds:
        return {}
    uncles: Mapping[bytes, list[Reward]] = {}
    if "uncle" in kinds:
        uncles = await _uncles_in(node, blocks, proven=proven)
    found: dict[bytes, tuple[Reward, ...]] = {}
    for header, answer in blocks:
        rewards: list[Reward] = []
        try:
            block = record_of(answer)
            if "block" in kinds:
                miner = octets(block, "miner", ADDRESS)
                rewards.append(Reward("block", header.hash, miner, GENERATED))
            rewards += uncles.get(header.hash, ())
            if "withdrawal" in kinds:
                rewards += withdrawals_of(block, proven=proven)
        except Malformed as error:
            raise Violated(header.number, str(error)) from None
        found[header.hash] = tuple(rewards)
    return found


def withdrawals_of(block: Mapping[str, object], *, proven: bool = True) -> list[Reward]:
    """Return a block's withdrawals, which have the root of its header if they are to be proven.

    Before the chain had any, a header has no such root. Raises Malformed.
    """
    listed = items(block, "withdrawals") if block.get("withdrawals") is not None else []
    if len(listed) > WITHDRAWALS_MAX:
        raise Malformed(f"it has {len(listed)} withdrawals")
    encoded = [_withdrawal_rlp(value) for value in listed]
    root = octets(block, "withdrawalsRoot", HASH) if block.get("withdrawalsRoot") else EMPTY_ROOT
    if proven and ordered_root(encoded) != root:
        raise Malformed("its withdrawals do not have the root that its header names")
    rewards = [withdrawal_of_rlp(value, position) for position, value in enumerate(encoded)]
    if len({reward.identity for reward in rewards}) < len(rewards):
        raise Malformed("two of its withdrawals have the same index")
    return rewards


def withdrawal_path(block: Mapping[str, object], identity: bytes) -> dict[str, object]:
    """Return where a withdrawal of a block is, and the way to it from the root in its header.

    Raises Malformed, and LookupError if the block does not have it.
    """
    withdrawals = withdrawals_of(block)
    position = [each.identity for each in withdrawals].index(identity)
    encoded = [_withdrawal_rlp(value) for value in items(block, "withdrawals")]
    path = [f"0x{node.hex()}" for node in ordered_proof(encoded, position)]
    return {"position": position, "path": path}


def withdrawal_of_rlp(encoded: bytes, position: int = 0) -> Reward:
    """Return a withdrawal as its trie holds it (EIP-4895). Raises Malformed."""
    match rlp_decoded(encoded):
        case [bytes(index), bytes(validator), bytes(wallet), bytes(amount)]:
            return Reward(
                "withdrawal",
                index.rjust(HASH, b"\0"),
                wallet,
                int.from_bytes(amount),
                position,
                int.from_bytes(validator),
            )
    raise Malformed("a withdrawal is not what EIP-4895 says")


def withdrawal_rlp(index: int, validator: int, wallet: bytes, amount: int) -> bytes:
    """Return a withdrawal as its trie holds it (EIP-4895); `amount` is in gwei."""
    return rlp_list(
        (rlp_integer(index), rlp_integer(validator), rlp_bytes(wallet), rlp_integer(amount))
    )


def _withdrawal_rlp(value: object) -> bytes:
    withdrawal = record_of(value)
    numbers = [integer(withdrawal, name) for name in ("index", "validatorIndex", "amount")]
    if max(numbers) > _UINT64_MAX:
        raise Malformed("a withdrawal has a number of more than 64 bits")
    index, validator, amount = numbers
    return withdrawal_rlp(index, validator, octets(withdrawal, "address", ADDRESS), amount)


async def _uncles_in(
    node: Node, blocks: Sequence[tuple[Header, object]], *, proven: bool
) -> dict[bytes, list[Reward]]:
    """Return the uncles of blocks, by the hashes of the blocks."""
    found: dict[bytes, list[Reward]] = {}
    shown = await _read_uncles(node, blocks)
    for (header, answer), uncles in zip(blocks, shown, strict=True):
        try:
            found[header.hash] = uncles_of(record_of(answer), uncles, proven=proven)
        except Malformed as error:
            raise Violated(header.number, str(error)) from None
    return found


async def read_uncles(node: Node, header: Header, answer: object) -> list[object]:
    """Return the headers of a block's uncles as JSON, unbelieved."""
    return (await _read_uncles(node, [(header, answer)]))[0]


async def _read_uncles(node: Node, blocks: Sequence[tuple[Header, object]]) -> list[list[object]]:
    listed = [_uncle_hashes(header, answer) for header, answer in blocks]
    answers = await node.batch(
        [
            ("eth_getUncleByBlockHashAndIndex", (f"0x{header.hash.hex()}", hex(index)))
            for (header, _), hashes in zip(blocks, listed, strict=True)
            for index in range(len(hashes))
        ]
    )
    if None in answers:
        raise Moved("the node has not got an uncle of a block that it has")
    shown = iter(answers)
    return [[next(shown) for _ in hashes] for hashes in listed]


def _uncle_hashes(header: Header, answer: object) -> list[object]:
    """Return the hashes of uncles that a block lists, unbelieved."""
    try:
        listed = items(record_of(answer), "uncles")
    except Malformed as error:
        raise Violated(header.number, str(error)) from None
    if len(listed) > UNCLES_MAX:
        raise Violated(header.number, f"it has {len(listed)} uncles")
    return listed


def uncles_of(
    block: Mapping[str, object], answers: Sequence[object], *, proven: bool = True
) -> list[Reward]:
    """Return a block's uncles, whose headers hash to what its own says if they are to be proven.

    Raises Malformed.
    """
    rewards: list[Reward] = []
    encoded: list[bytes] = []
    for position, answer in enumerate(answers):
        uncle = record_of(answer)
        miner, identity = octets(uncle, "miner", ADDRESS), octets(uncle, "hash", HASH)
        if proven:
            encoded.append(header_rlp(uncle))
            if keccak(encoded[-1]) != identity:
                raise Malformed("an uncle's header does not hash to its hash")
        rewards.append(Reward("uncle", identity, miner, GENERATED, position))
    if proven and keccak(rlp_list(encoded)) != octets(block, "sha3Uncles", HASH):
        raise Malformed("its uncles do not hash to what its header says")
    return rewards
