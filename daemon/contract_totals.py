"""What contracts say is staked in all, for whoever holds it against the books."""

from collections.abc import Sequence

from eth_hash.auto import keccak

from contracts.logs import WORD_LENGTH
from daemon.evidence import Violated
from daemon.rpc import Node

_SELECTOR_LENGTH = 4


def selector(signature: str) -> bytes:
    """Return the first bytes of a call of a function such as `totalSupply()`."""
    return keccak(signature.encode("ascii"))[:_SELECTOR_LENGTH]


async def read_total(
    node: Node, contracts: Sequence[bytes], signature: str, block_hash: bytes
) -> int:
    """Return the sum of what a function without arguments gives at a block, over some contracts.

    The block is asked for by its hash (EIP-1898), so that no other one answers. Raises Violated
    for anything but a number, and NodeUnavailable and NodeRefused as `Node` does: a node may have
    forgotten the state.
    """
    at = {"blockHash": f"0x{block_hash.hex()}", "requireCanonical": True}
    data = f"0x{selector(signature).hex()}"
    answers = await node.batch(
        [("eth_call", ({"to": f"0x{contract.hex()}", "data": data}, at)) for contract in contracts]
    )
    return sum(_number(answer, signature) for answer in answers)


def _number(answer: object, signature: str) -> int:
    text = answer.removeprefix("0x") if isinstance(answer, str) else ""
    try:
        word = bytes.fromhex(text)
    except ValueError:
        word = b""
    if len(word) != WORD_LENGTH:
        raise Violated(None, f"{signature} gave {len(word)} bytes instead of one number")
    return int.from_bytes(word)
