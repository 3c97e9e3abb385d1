"""Asking a node for the receipts of blocks, in as many ways as it takes to get them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from daemon.chain.evidence import Header, Moved
from daemon.chain.rpc import RATE_LIMITED_CODES, Node, NodeRefused, NodeUnavailable

# Receipts of so many transactions are some 2.5 MB of JSON: a batch has whole blocks of no more, and
# one block at least.
TRANSACTIONS_PER_BATCH_MAX: Final = 1_000


def receipts_batches(headers: Sequence[Header]) -> Iterator[Sequence[Header]]:
    """Give the headers in batches whose receipts are not too many for one answer."""
    batch: list[Header] = []
    transactions = 0
    for header in headers:
        transactions += len(header.transactions)
        if batch and transactions > TRANSACTIONS_PER_BATCH_MAX:
            yield batch
            batch, transactions = [], len(header.transactions)
        batch.append(header)
    if batch:
        yield batch


async def read_receipts(node: Node, headers: Sequence[Header]) -> list[object]:
    """Return the receipts of each block as JSON, unbelieved.

    A node that does not serve those of a block, or not in one answer, is asked for those of its
    transactions. Raises Moved where it has not got them, and as `Node` does.
    """
    calls = [("eth_getBlockReceipts", (f"0x{header.hash.hex()}",)) for header in headers]
    try:
        answers = await node.batch(calls)
    except (NodeRefused, NodeUnavailable) as error:
        if isinstance(error, NodeRefused) and error.code in RATE_LIMITED_CODES:
            raise
        if isinstance(error, NodeUnavailable) and not error.too_much:
            raise
        return [await _receipts_one_by_one(node, header) for header in headers]
    for header, answer in zip(headers, answers, strict=True):
        if answer is None:
            raise Moved(f"the node no longer has the receipts of block {header.number}")
    return answers


async def _receipts_one_by_one(node: Node, header: Header) -> list[Any]:
    answers = await node.batch(
        [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in header.transactions]
    )
    if None in answers:
        raise Moved(f"the node no longer has the receipts of block {header.number}")
    return answers
