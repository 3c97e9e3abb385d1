"""Finding logs by `eth_getLogs`, and holding what a node says of them to its own headers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.logs import TOPICS_MAX, Log
from daemon.chain.evidence import Header, Kind, Moved, Violated, excludes
from daemon.chain.log_range import says_beyond_head, says_too_much
from daemon.chain.node_json import (
    ADDRESS,
    ANY_LENGTH,
    HASH,
    Malformed,
    integer,
    items,
    octets,
    octets_again,
    record_of,
    shown,
)
from daemon.chain.rpc import RATE_LIMITED_CODES, Node, NodeRefused, NodeUnavailable

METHOD_MISSING: Final = -32601  # JSON-RPC 2.0, section 5.1


@dataclass(frozen=True, slots=True)
class FoundLog:
    """A log as `eth_getLogs` shows it: which one of its receipt it is, that does not say."""

    tx_hash: bytes
    log_index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(slots=True)
class Found:
    """What a node finds in some blocks, by their number; `untold` are those it cannot search."""

    logs: dict[int, list[FoundLog]] = field(default_factory=lambda: defaultdict(list))
    untold: set[int] = field(default_factory=set)

    def is_suspect(self, header: Header) -> bool:
        """Return whether the receipts of a block are to be read."""
        return header.number in self.logs or header.number in self.untold

    def require_all_in(self, header: Header, logs: Sequence[Log]) -> None:
        """Require that the receipts of a block hold every log found in it, or raise Violated."""
        held = {
            FoundLog(log.tx_hash, log.log_index, log.address, log.topics, log.data) for log in logs
        }
        if not held.issuperset(self.logs.get(header.number, ())):
            raise Violated(header.number, "its receipts lack a log that eth_getLogs showed of it")


async def find_logs(
    node: Node, headers: Sequence[Header], masks: Mapping[Kind, int], *, proven: bool
) -> Found:
    """Return the logs of some kinds in linked blocks, as the node finds them.

    It is asked for as many blocks at once as it is known to allow; where it refuses a single one,
    or what it has of it is too much for one answer, that block is `untold`. Every log stands in
    one of the blocks, by number and hash, and where these are `proven`, in their blooms. What it
    leaves out is not noticed.

    Raises Violated where an answer contradicts itself or the blocks, Moved where it is of other
    blocks or the node has not got so far, and as `Node` does where asking for less cannot help.
    """
    found = Found()
    done = 0
    while done < len(headers) and masks:
        part = headers[done : done + node.log_range.blocks]
        try:
            answer = await _asked(node, part, masks)
        except (NodeRefused, NodeUnavailable) as error:
            if _may_ask_for_less(node, error, len(part)):
                continue
            found.untold.add(part[0].number)
            done += 1
            continue
        node.log_range.answered(len(part))
        _take(answer, part, masks, found, proven=proven)
        done += len(part)
    return found


async def _asked(node: Node, part: Sequence[Header], masks: Mapping[Kind, int]) -> object:
    """Return what the node finds in some blocks, and require it to have the last of them."""
    last = part[-1]
    asked: dict[str, Any] = {
        "fromBlock": hex(part[0].number),
        "toBlock": hex(last.number),
        "address": sorted({f"0x{address.hex()}" for address, _ in masks}),
        "topics": [sorted({f"0x{topic.hex()}" for _, topic in masks})],
    }
    answer, header = await node.together(
        [("eth_getLogs", (asked,)), ("eth_getBlockByNumber", (hex(last.number), False))]
    )
    named = header.get("hash") if isinstance(header, dict) else None
    if not isinstance(named, str) or named.lower() != f"0x{last.hash.hex()}":
        raise Moved(f"the node that was asked for logs has another block {last.number}, or none")
    return answer


def _may_ask_for_less(node: Node, error: NodeRefused | NodeUnavailable, asked: int) -> bool:
    """Return whether the node can be asked for fewer blocks than it just refused.

    Raises the error where that cannot help.
    """
    if isinstance(error, NodeUnavailable):
        if not error.too_much:
            raise error
        return node.log_range.refused(asked, error.cause)
    if says_beyond_head(error.details):
        raise Moved(f"the node does not have the blocks yet: {error.message}") from error
    if error.code in RATE_LIMITED_CODES and not says_too_much(error.details):
        raise error
    if error.code == METHOD_MISSING:
        return node.log_range.refused(1, error.details)
    return node.log_range.refused(asked, error.details)


def _take(
    answer: object,
    part: Sequence[Header],
    masks: Mapping[Kind, int],
    found: Found,
    *,
    proven: bool,
) -> None:
    """Put the logs of an answer where they belong, in their order and each once."""
    headers = {header.number: header for header in part}
    if not isinstance(answer, list):
        raise Violated(part[0].number, f"eth_getLogs answered with {shown(answer)}, not a list")
    taken: dict[tuple[int, int], FoundLog] = {}
    for value in answer:
        try:
            number, log = _found_log(value, headers)
        except Malformed as error:
            raise Violated(part[0].number, f"a log that eth_getLogs showed: {error}") from None
        kind = (log.address, log.topics[0]) if log.topics else None
        if kind is None or kind not in masks:  # it filters less than it was asked to
            continue
        if proven and excludes(headers[number], masks[kind]):
            raise Violated(number, "eth_getLogs showed a log that the block's bloom excludes")
        if taken.setdefault((number, log.log_index), log) != log:
            raise Violated(number, f"eth_getLogs showed two logs {log.log_index} of it")
    for (number, _), log in sorted(taken.items(), key=lambda item: item[0]):
        found.logs[number].append(log)


def _found_log(value: object, headers: Mapping[int, Header]) -> tuple[int, FoundLog]:
    record = record_of(value)
    number = integer(record, "blockNumber")
    header = headers.get(number)
    if header is None:
        raise Malformed(f"it is of block {number}, which was not asked for")
    if octets(record, "blockHash", HASH) != header.hash or record.get("removed"):
        raise Moved(f"eth_getLogs shows another block {number} than the headers just read")
    topics = items(record, "topics")
    if len(topics) > TOPICS_MAX:
        raise Malformed(f"it has {len(topics)} topics")
    return number, FoundLog(
        octets(record, "transactionHash", HASH),
        integer(record, "logIndex"),
        octets_again(record.get("address"), "address", ADDRESS),
        tuple(octets_again(topic, "topic", HASH) for topic in topics),
        octets(record, "data", ANY_LENGTH),
    )
