"""What contracts say is staked in all, for whoever holds it against the books."""

from collections.abc import Sequence

from contracts.number_calls import read_number, selector
from daemon.evidence import Violated
from daemon.rpc import Node


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
        return read_number(bytes.fromhex(text))
    except ValueError as error:
        raise Violated(None, f"{signature} gave {error}") from error
