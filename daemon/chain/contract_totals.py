"""What contracts say is staked, in all or by a wallet, for whoever holds it against the books."""

from collections.abc import Sequence

from contracts.logs import WORD_LENGTH
from contracts.number_calls import read_number, selector
from daemon.chain.evidence import Violated
from daemon.chain.rpc import Node


async def read_total(
    node: Node, contracts: Sequence[bytes], signature: str, block_hash: bytes
) -> int:
    """Return the sum of what a function without arguments gives at a block, over some contracts.

    The block is asked for by its hash (EIP-1898), so that no other one answers. Raises Violated
    for anything but a number, and NodeUnavailable and NodeRefused as `Node` does: a node may have
    forgotten the state.
    """
    return (await _read_sums(node, contracts, signature, [b""], block_hash))[0]


async def read_balances(
    node: Node,
    contracts: Sequence[bytes],
    signature: str,
    wallets: Sequence[bytes],
    block_hash: bytes,
) -> dict[bytes, int]:
    """Return what a function of an address gives for each wallet, summed over some contracts.

    Otherwise as `read_total`.
    """
    words = [wallet.rjust(WORD_LENGTH, b"\0") for wallet in wallets]
    sums = await _read_sums(node, contracts, signature, words, block_hash)
    return dict(zip(wallets, sums, strict=True))


async def _read_sums(
    node: Node,
    contracts: Sequence[bytes],
    signature: str,
    arguments: Sequence[bytes],
    block_hash: bytes,
) -> list[int]:
    """Return for each argument, already encoded, the sum over the contracts."""
    at = {"blockHash": f"0x{block_hash.hex()}", "requireCanonical": True}
    data = [f"0x{(selector(signature) + argument).hex()}" for argument in arguments]
    answers = await node.batch(
        [
            ("eth_call", ({"to": f"0x{contract.hex()}", "data": each}, at))
            for each in data
            for contract in contracts
        ]
    )
    numbers = iter([_number(answer, signature) for answer in answers])
    return [sum(next(numbers) for _ in contracts) for _ in arguments]


def _number(answer: object, signature: str) -> int:
    text = answer.removeprefix("0x") if isinstance(answer, str) else ""
    try:
        return read_number(bytes.fromhex(text))
    except ValueError as error:
        raise Violated(None, f"{signature} gave {error}") from error
