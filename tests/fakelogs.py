"""What a fake node finds by `eth_getLogs`, and in how many ways that goes wrong."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakechain import MinedBlock

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A JSON-RPC error."""

    message: str
    code: int = -32000


@dataclass(slots=True)
class LogFaults:
    """What is wrong with the logs that a node finds; every field may be changed while it serves.

    `refuse` is told how many blocks are asked for. `asked` are the ranges asked for so far.
    """

    refuse: Callable[[int], Refusal | None] | None = None
    change: Callable[[list[Json]], object] | None = None
    no_block_receipts: Refusal | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)


def limited(most: int, refusal: Refusal) -> Callable[[int], Refusal | None]:
    """Refuse ranges of more blocks than `most`."""
    return lambda count: refusal if count > most else None


def find_logs(
    shown: Sequence[MinedBlock], head: int, asked: Mapping[str, Any], faults: LogFaults
) -> object:
    """Return the logs a filter asks for, of the blocks up to the head, or a Refusal."""
    first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
    faults.asked.append((first, last))
    refusal = faults.refuse(last - first + 1) if faults.refuse is not None else None
    if refusal is not None:
        return refusal
    found = list(_matching(shown[first : min(last, head) + 1], asked))
    return found if faults.change is None else faults.change(found)


def _matching(blocks: Iterable[MinedBlock], asked: Mapping[str, Any]) -> Iterable[Json]:
    addresses, topics = asked["address"], asked["topics"][0]
    for block in blocks:
        for receipt in block.receipts_json:
            for log in receipt["logs"]:
                if log["address"] in addresses and log["topics"] and log["topics"][0] in topics:
                    yield log


def receipt_of(blocks: Iterable[MinedBlock], tx_hash: str) -> Json | None:
    """Return the receipt of a transaction of one of the blocks."""
    for block in blocks:
        for receipt in block.receipts_json:
            if receipt["transactionHash"] == tx_hash:
                return receipt
    return None
