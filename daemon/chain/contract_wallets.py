"""Whether a signature is a contract's: its own word on its own chain (EIP-1271).

What the call says is not proven, unlike logs: it is the word of the chain's nodes, of as many as
are to agree.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.signature_calls import encode_question, says_yes
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable

# Whoever signs in waits for it, and may send the same again: a node that is slower is down.
ANSWER_SECONDS: Final = 5
# At once, by one process: whoever comes later is better told to come back.
CALLS_MAX: Final = 16
# Passkeys checked without a precompile take about 400,000, many owners a few thousand each. It is
# the node's work, and whoever asks chooses the contract.
GAS_MAX: Final = 3_000_000

# The nodes' own words where a call fails for what the contract does, and not for the node.
_FAILED_BY_ITSELF: Final = ("revert", "out of gas", "evm error", "invalid opcode", "invalid jump")
_REVERTED_CODE: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChainNodes:
    """The nodes of one chain, opened, the preferred first, and how many must say yes."""

    nodes: Sequence[Node]
    agree: int


class ContractWallets:
    """Asks contracts of some chains, by chain id."""

    def __init__(self, chains: Mapping[int, ChainNodes]) -> None:
        self._chains = chains
        self._under_way = 0

    async def takes(
        self, chain_id: int, address: bytes, hashed: bytes, signature: bytes
    ) -> bool | None:
        """Return whether the contract at an address takes a signature of a hash for its own.

        None: that cannot be found out now, or the chain is none of these.
        """
        chain = self._chains.get(chain_id)
        if chain is None or self._under_way >= CALLS_MAX:
            return None
        self._under_way += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await _ask_in_turn(chain, chain_id, address, hashed, signature)
        except TimeoutError:
            log.warning("no node says whose signature it is", chain_id=chain_id, trouble="too slow")
            return None
        finally:
            self._under_way -= 1


async def _ask_in_turn(
    chain: ChainNodes, chain_id: int, address: bytes, hashed: bytes, signature: bytes
) -> bool | None:
    """Return yes once enough nodes say so, no where one says no first, None if too few say it."""
    yes = 0
    for node in chain.nodes:
        try:
            says = await _ask(node, chain_id, address, encode_question(hashed, signature))
        except (NodeUnavailable, NodeRefused, ValueError) as error:
            log.warning("a node fails to call a wallet", node=node.endpoint, trouble=str(error))
            continue
        if not says:
            return False
        yes += 1
        if yes >= chain.agree:
            return True
    return None


async def _ask(node: Node, chain_id: int, address: bytes, question: bytes) -> bool:
    """Return what the contract says. Raises as `Node` does, and ValueError for no answer to it."""
    call = {"to": f"0x{address.hex()}", "data": f"0x{question.hex()}", "gas": hex(GAS_MAX)}
    try:
        # Of the node that answers, in one batch: a contract of another chain has no say here.
        said_id, answer = await node.together([("eth_chainId", ()), ("eth_call", (call, "latest"))])
    except NodeRefused as error:
        if error.method == "eth_call" and _failed_by_itself(error):
            return False
        raise
    if not isinstance(said_id, str) or int(said_id, 16) != chain_id:
        raise ValueError(f"the node is of chain {said_id}, not of {chain_id}")
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise ValueError("the node answered a call with something else than bytes")
    return says_yes(bytes.fromhex(answer[2:]))


def _failed_by_itself(error: NodeRefused) -> bool:
    said = error.details.lower()
    return error.code == _REVERTED_CODE or any(words in said for words in _FAILED_BY_ITSELF)
