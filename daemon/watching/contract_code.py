"""Whether there are contracts where the configuration says so."""

from collections.abc import Sequence

import structlog

from daemon.chain.known_chains import Trust
from daemon.chain.reading import read_head
from daemon.chain.rpc import RATE_LIMITED_CODES, Node, NodeRefused
from daemon.chain.unfit import Unfit
from daemon.configuration.sources import Source

log = structlog.get_logger()


class NoContract(Unfit):
    """A source follows an address without code: nothing will ever be earned there."""

    def __init__(self, source: Source, contract: bytes, block_number: int) -> None:
        super().__init__(
            f"{source.name}: there is no contract at 0x{contract.hex()} in block"
            f" {block_number}, so it earns nothing: correct its address or the chain's rpc_url; if"
            " it is to be made later, set from_block to a block that is not there yet; if it is"
            " gone for good, set to_block to the last block that earned"
        )
        self.source = source
        self.contract = contract


async def require_contracts(node: Node, sources: Sequence[Source], trust: Trust) -> None:
    """Require code at the contracts of every source that earns just now, or raise NoContract.

    A node that does not serve eth_getCode proves nothing, and none is required. Else it raises as
    `read_head` does.
    """
    head = await read_head(node, trust)
    due = [
        (source, contract)
        for source in sources
        if source.covers(head.number) and source.from_block < head.number
        for contract in source.contracts
    ]
    try:
        codes = await node.batch(
            [("eth_getCode", (f"0x{contract.hex()}", "latest")) for _, contract in due]
        )
    except NodeRefused as refusal:
        if refusal.code in RATE_LIMITED_CODES:
            raise
        log.info("contracts not looked at", node=node.endpoint, why=refusal.message)
        return
    for (source, contract), code in zip(due, codes, strict=True):
        if code in (None, "", "0x", "0x0"):
            raise NoContract(source, contract, head.number)
