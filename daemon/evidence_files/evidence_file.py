"""The file that evidence is: what all of it has in common, and what a check says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.logs import Log
from daemon.chain.evidence import Header, prove_header
from daemon.chain.trie import rlp_decoded
from ledger.credits import format_credits
from ledger.provenance import GrantEvent

KIND: Final = "creditd-evidence"
VERSION: Final = 1
TYPE_MAX: Final = 0x7F  # EIP-2718: what is above begins a legacy receipt's list
# A thousand changes of a stake, each with a header and a receipt of a few logs, come to some 8 MB;
# one receipt with all the logs that a block can pay for to 4 MB.
FILE_BYTES_MAX: Final = 32 * 1024 * 1024


class NoEvidence(Exception):
    """There is no evidence of this grant to be had, or the file is none."""


class BrokenError(Exception):
    """A step of a file does not hold."""


@dataclass(slots=True)
class Checked:
    """What a file proves, step by step, and what it cannot. `broken` is where it does not hold."""

    proven: list[str] = field(default_factory=list)
    believed: list[str] = field(default_factory=list)
    broken: str | None = None

    def render(self) -> str:
        """Return it for a person; what a file says makes no lines of its own."""
        lines = [f"proven   {each}" for each in self.proven]
        if self.broken is not None:
            lines.append(f"BROKEN   {self.broken}")
        else:
            lines += [f"believed {each}" for each in self.believed]
        return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """Return a text with a question mark for whatever would not be seen."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def said_of(grant: tuple[str, int], event: GrantEvent) -> dict[str, Any]:
    """Return what every file says of a grant, its account and its number there, and its event."""
    return {
        "kind": KIND,
        "version": VERSION,
        "grant": {
            "account": grant[0],
            "number": grant[1],
            "granted": format_credits(event.granted),
            "credits_micro": event.credits,
            "granted_micro": event.granted,
        },
        "event": {
            "chain_id": event.chain_id,
            "block_number": event.block_number,
            "block_hash": hex_of(event.block_hash),
            "tx_hash": hex_of(event.tx_hash),
            "ordinal": event.ordinal,
            "wallet": hex_of(event.wallet),
            "amount": str(event.amount),
        },
    }


def bare_header(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block, answered as JSON, without what its header only has the roots of."""
    return {**block, "transactions": [], "withdrawals": [], "uncles": []}


def check_header(said: Mapping[str, Any], event: Mapping[str, Any], checked: Checked) -> Header:
    """Return the header of the event's block. Raises BrokenError, Violated and Unprovable."""
    header = prove_header(said, event["block_number"])
    if hex_of(header.hash) != event["block_hash"]:
        raise BrokenError(
            f"the header hashes to {hex_of(header.hash)}, the event is of block"
            f" {event['block_hash']}"
        )
    checked.proven.append(f"the header of block {header.number} hashes to {hex_of(header.hash)}")
    return header


def check_granted(earned: int, grant: Mapping[str, Any], checked: Checked) -> None:
    """Hold what was granted against what was earned: caps may have left less of it."""
    granted = grant["granted_micro"]
    if grant["granted"] != format_credits(granted):
        raise BrokenError(f"{granted} micro-credits are not {grant['granted']} credits")
    if not 0 <= granted <= earned:
        raise BrokenError(f"{granted} micro-credits were granted, and {earned} earned")
    if granted < earned:
        checked.believed.append(f"that caps of the source left {granted} of them: the books say so")


def log_of(receipt: bytes, ordinal: int, tx_hash: bytes) -> Log:
    """Return a log of a receipt, as its trie holds it. Raises BrokenError if it has none there."""
    match logs_of(receipt)[ordinal : ordinal + 1]:
        case [[bytes(address), [*topics], bytes(data)]]:
            words = tuple(topic for topic in topics if isinstance(topic, bytes))
            return Log(address, words, data, tx_hash, ordinal, ordinal)
    raise BrokenError(f"the receipt has no log {ordinal}")


def logs_of(receipt: bytes) -> list[Any]:
    """Return the logs of a receipt, as its trie holds it. Raises BrokenError and BadPath."""
    match rlp_decoded(receipt[1:] if receipt and receipt[0] <= TYPE_MAX else receipt):
        case [_, _, _, [*logs], *_]:
            return logs
    raise BrokenError("what is proven is no receipt")


def bytes_of(text: str) -> bytes:
    """Return what hexadecimal text says. Raises BrokenError, ValueError and AttributeError."""
    if not text.startswith("0x"):
        raise BrokenError(f"{text!r} is no hexadecimal text")
    return bytes.fromhex(text[2:])


def hex_of(value: bytes) -> str:
    """Return bytes as hexadecimal text."""
    return f"0x{value.hex()}"
