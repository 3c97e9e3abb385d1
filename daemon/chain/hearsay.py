"""What a node says of blocks that cannot be proven, taken as it is said. Pure.

It is worth as much as the agreement of the nodes that say the same: `daemon.chain.upstreams` asks
them.
"""

from collections.abc import Container

from contracts.logs import Log
from daemon.chain.evidence import (
    LOG_INDEX_END,
    Header,
    Kind,
    Violated,
    check_number,
    listed_receipts,
    placed_log,
)
from daemon.chain.node_json import HASH, Malformed, integer, items, octets, record_of


def believe_header(answer: object, asked_number: int | None) -> Header:
    """Return the header of a block, its hash not recomputed.

    What could prove anything is left out of it: its bloom excludes nothing, and its receipts have
    no root. Raises Violated where the number is another one or a field is malformed.
    """
    try:
        block = record_of(answer)
        header = Header(
            number=integer(block, "number"),
            hash=octets(block, "hash", HASH),
            parent=octets(block, "parentHash", HASH),
            time=integer(block, "timestamp"),
            receipts_root=bytes(HASH),
            bloom=0,
            transactions=items(block, "transactions"),
        )
    except Malformed as error:
        raise Violated(asked_number, str(error)) from None
    check_number(header, asked_number)
    return header


def believe_logs(header: Header, answer: object, kinds: Container[Kind]) -> tuple[Log, ...]:
    """Return the logs of some kinds that a block's receipts hold, in their order.

    Nothing is recomputed, and receipts of transactions that the block does not list are taken too.
    Raises Violated where receipts are malformed, of another block or two of one transaction.
    """
    logs: list[Log] = []
    tx_hashes: set[bytes] = set()
    for position, value in enumerate(listed_receipts(answer, header)):
        try:
            tx_hash, found = _logs_of_receipt(header, value)
        except Malformed as error:
            raise Violated(header.number, f"receipt {position}: {error}") from None
        tx_hashes.add(tx_hash)
        if len(tx_hashes) <= position:
            raise Violated(header.number, "two of its receipts are of one transaction")
        logs += [log for log in found if log.topics and (log.address, log.topics[0]) in kinds]
    return tuple(logs)


def _logs_of_receipt(header: Header, value: object) -> tuple[bytes, list[Log]]:
    receipt = record_of(value)
    tx_hash = octets(receipt, "transactionHash", HASH)
    if octets(receipt, "blockHash", HASH) != header.hash:
        raise Malformed("blockHash is another block's")
    logs: list[Log] = []
    for ordinal, each in enumerate(items(receipt, "logs")):
        log_index = integer(record_of(each), "logIndex")
        if log_index >= LOG_INDEX_END:
            raise Malformed(f"logIndex is {log_index}")
        address, topics, data = placed_log(each, receipt, log_index)
        logs.append(Log(address, topics, data, tx_hash, ordinal, log_index))
    return tx_hash, logs
