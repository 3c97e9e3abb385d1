"""The evidence of a grant: a file that anybody can check, without a node and without the books.

It holds the header of the event's block, the way from the receipts root in it to the receipt, the
event's declaration and the rule; of a reward of the protocol, what leads from the header to it
instead. Checking recomputes all of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.events import Decoded, EventType, Mismatch
from contracts.logs import Log
from contracts.rewards import GENERATED, Reward
from daemon.evidence import (
    Header,
    Unprovable,
    Violated,
    encoded_receipts,
    prove_header,
)
from daemon.node_json import Malformed
from daemon.rewards import uncles_of, withdrawal_of_rlp, withdrawal_path
from daemon.rules import Rule, TooLarge, credits_for
from daemon.trie import BadPath, ordered_proof, ordered_root, proven_value, rlp_decoded
from ledger.causes import EventIdentity
from ledger.credits import format_credits
from ledger.provenance import GrantEvent

KIND: Final = "creditd-evidence"
VERSION: Final = 1
TYPE_MAX: Final = 0x7F  # EIP-2718: what is above begins a legacy receipt's list
RECEIPT_LOGS: Final = 3  # where a receipt has its logs
FILE_BYTES_MAX: Final = 4 * 1024 * 1024  # a receipt with all the logs that a block can pay for


class NoEvidence(Exception):
    """There is no evidence of this grant to be had, or the file is none."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a source follows and by what rule, as far as one event of it goes."""

    source: str
    event: EventType
    where: Mapping[str, int | bytes]
    rule: Rule


@dataclass(slots=True)
class Checked:
    """What a file proves, step by step, and what it cannot. `broken` is where it does not hold."""

    proven: list[str] = field(default_factory=list)
    believed: list[str] = field(default_factory=list)
    broken: str | None = None

    def render(self) -> str:
        """Return it for a person."""
        lines = [f"proven   {each}" for each in self.proven]
        if self.broken is not None:
            return "\n".join([*lines, f"BROKEN   {self.broken}"])
        return "\n".join([*lines, *(f"believed {each}" for each in self.believed)])


def evidence_of(
    grant: tuple[str, int],
    event: GrantEvent,
    declared: Declared,
    block: Mapping[str, Any],
    receipts: object,
) -> str:
    """Return the file for a grant, made of what a node answered. Raises NoEvidence.

    `grant` is its account and its number there. The file is checked before it is given.
    """
    try:
        header = prove_header(block, event.block_number)
        encoded = encoded_receipts(receipts, header)
    except (Violated, Unprovable) as error:
        raise NoEvidence(str(error)) from error
    if ordered_root(encoded) != header.receipts_root:
        raise NoEvidence(
            f"the receipts of block {event.block_number} do not have the root that its header"
            " names: of this chain nothing can be proven by itself"
        )
    hashes = [str(each) for each in header.transactions]
    index = hashes.index(_hex(event.tx_hash)) if _hex(event.tx_hash) in hashes else None
    if index is None:
        raise NoEvidence(f"block {event.block_number} of the node does not have the transaction")
    source = {
        "name": declared.source,
        "contract": _hex(_contract(encoded[index], event.ordinal)),
        "signature": declared.event.signature,
        "wallet": declared.event.wallet,
        "amount": declared.event.amount,
        "where": {
            name: _hex(value) if isinstance(value, bytes) else value
            for name, value in declared.where.items()
        },
    }
    path = [_hex(node) for node in ordered_proof(encoded, index)]
    way = {"source": source, "receipt": {"index": index, "path": path}}
    return _written(grant, event, declared.rule, block, way)


def evidence_of_reward(
    grant: tuple[str, int],
    event: GrantEvent,
    rule: Rule,
    block: Mapping[str, Any],
    uncles: Sequence[object],
) -> str:
    """Return the file for a grant that a reward of the protocol was the cause of, as above.

    `uncles` are the headers of the block's, as JSON, if the reward is for one of them.
    """
    identity = EventIdentity(event.chain_id, event.tx_hash, event.ordinal, event.role)
    if identity.reward is None:
        raise NoEvidence("the grant is for no reward of the protocol")
    kind = identity.reward.kind
    way: dict[str, Any] = {"kind": kind}
    try:
        match kind:
            case "uncle":
                way["uncles"] = list(uncles)
            case "withdrawal":
                way |= withdrawal_path(block, event.tx_hash)
    except (Malformed, LookupError) as error:
        raise NoEvidence(f"block {event.block_number} does not have the reward: {error}") from error
    return _written(grant, event, rule, block, {"source": {"name": event.source}, "reward": way})


def _written(
    grant: tuple[str, int],
    event: GrantEvent,
    rule: Rule,
    block: Mapping[str, Any],
    way: Mapping[str, Any],
) -> str:
    """Return the file, once it has been checked. `way` leads from the header to the event."""
    document = {
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
            "block_hash": _hex(event.block_hash),
            "tx_hash": _hex(event.tx_hash),
            "ordinal": event.ordinal,
            "wallet": _hex(event.wallet),
            "amount": str(event.amount),
        },
        "rule": {
            "credits_micro": rule.credits_micro_at(int(str(block["timestamp"]), 16)),
            "per_base_units": str(rule.per_base_units),
            "max_per_event_micro": rule.max_per_event_micro,
        },
        "header": {**block, "transactions": [], "withdrawals": [], "uncles": []},
        **way,
    }
    text = json.dumps(document, indent=2)
    if (broken := check(text).broken) is not None:
        raise NoEvidence(f"the node's answers are no evidence of what the books say: {broken}")
    return text


def check(text: str) -> Checked:
    """Check a file. Raises NoEvidence for one that is not of this kind."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise NoEvidence(f"the file is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise NoEvidence("the file is no evidence of a grant, as `creditd evidence` writes it")
    if document.get("version") != VERSION:
        raise NoEvidence("the file is of another version of creditd: check it with that one")
    checked = Checked()
    try:
        _check(document, checked)
    except (_BrokenError, BadPath, Malformed, Violated, Unprovable) as error:
        checked.broken = str(error)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        checked.broken = f"a part of the file is missing or not what it should be: {error!r}"
    return checked


class _BrokenError(Exception):
    """A step does not hold."""


def _check(document: Mapping[str, Any], checked: Checked) -> None:
    event, source, grant = document["event"], document["source"], document["grant"]
    header = _check_header(document, event, checked)
    if "reward" in document:
        amount = _check_reward(document, header, checked)
    else:
        amount = _check_log(document, header, checked)
    _check_rule(document["rule"], amount, header.time, grant, checked)
    number, chain_id = event["block_number"], event["chain_id"]
    checked.believed.append(
        f"that block {number} is of chain {chain_id}, and final: ask any node for its hash"
    )
    if "receipt" in document:
        checked.believed.append(
            f"that receipt {document['receipt']['index']} is that of transaction"
            f" {event['tx_hash']}: none names its own"
        )
    checked.believed.append(
        f"that source {source['name']} had this rule then, and that {event['wallet']} earns for"
        f" account {grant['account']}: the books say so"
    )


def _check_log(document: Mapping[str, Any], header: Header, checked: Checked) -> int:
    """Return the amount of the log that the receipt of the file proves."""
    event, source = document["event"], document["source"]
    index, path = document["receipt"]["index"], document["receipt"]["path"]
    receipt = proven_value(header.receipts_root, index, [_bytes(node) for node in path])
    checked.proven.append(f"receipt {index} is in the receipts root of that header")
    log = _log(receipt, event)
    if log.address != _bytes(source["contract"]):
        raise _BrokenError(f"log {event['ordinal']} is not of contract {source['contract']}")
    topics = f"{len(log.topics)} topics and {len(log.data)} bytes of data"
    checked.proven.append(f"its log {event['ordinal']} is of {source['contract']}, with {topics}")
    decoded = _decoded(log, source)
    if (_hex(decoded.wallet), decoded.amount) != (event["wallet"], int(event["amount"])):
        raise _BrokenError(
            f"the log says {decoded.amount} for {_hex(decoded.wallet)}, the file"
            f" {event['amount']} for {event['wallet']}"
        )
    checked.proven.append(
        f"as {source['signature']} it says {decoded.amount} base units for {event['wallet']}"
    )
    return decoded.amount


def _check_reward(document: Mapping[str, Any], header: Header, checked: Checked) -> int:
    """Return the amount of the reward that the header of the file proves."""
    event, way = document["event"], document["reward"]
    match way["kind"]:
        case "block":
            miner = _bytes(document["header"]["miner"])
            reward = Reward("block", header.hash, miner, GENERATED)
        case "uncle":
            uncles = uncles_of(document["header"], way["uncles"])
            reward = next(each for each in uncles if _hex(each.identity) == event["tx_hash"])
        case "withdrawal":
            root = _bytes(document["header"]["withdrawalsRoot"])
            path = [_bytes(node) for node in way["path"]]
            reward = withdrawal_of_rlp(proven_value(root, way["position"], path))
        case other:
            raise _BrokenError(f"{other!r} is no reward")
    said = (_hex(reward.identity), _hex(reward.wallet), reward.amount)
    if said != (event["tx_hash"], event["wallet"], int(event["amount"])):
        raise _BrokenError(f"the header commits to {said}, which is not what the file says")
    checked.proven.append(f"it commits to {reward.said}, {reward.amount} for {event['wallet']}")
    return reward.amount


def _check_header(
    document: Mapping[str, Any], event: Mapping[str, Any], checked: Checked
) -> Header:
    header = prove_header(document["header"], event["block_number"])
    if _hex(header.hash) != event["block_hash"]:
        raise _BrokenError(
            f"the header hashes to {_hex(header.hash)}, the event is of block {event['block_hash']}"
        )
    checked.proven.append(f"the header of block {header.number} hashes to {_hex(header.hash)}")
    return header


def _check_rule(
    said: Mapping[str, Any], amount: int, time: int, grant: Mapping[str, Any], checked: Checked
) -> None:
    rule = Rule(
        credits_micro=said["credits_micro"],
        per_base_units=int(said["per_base_units"]),
        max_per_event_micro=said["max_per_event_micro"],
    )
    earned = credits_for(rule, amount, time)
    if isinstance(earned, TooLarge) or earned != grant["credits_micro"]:
        raise _BrokenError(f"the rule gives {earned}, the file says {grant['credits_micro']}")
    bound = f", at most {rule.max_per_event_micro}" if rule.max_per_event_micro else ""
    checked.proven.append(
        f"floor({amount} x {rule.credits_micro} / {rule.per_base_units}){bound} = {earned}"
        " micro-credits"
    )
    granted = grant["granted_micro"]
    if not 0 <= granted <= earned:
        raise _BrokenError(f"{granted} micro-credits were granted, and {earned} earned")
    if granted < earned:
        checked.believed.append(f"that caps of the source left {granted} of them: the books say so")


def _decoded(log: Log, source: Mapping[str, Any]) -> Decoded:
    declared = EventType.parse(
        source["signature"], name=source["name"], wallet=source["wallet"], amount=source["amount"]
    )
    decoded = declared.decode(log)
    if isinstance(decoded, Mismatch):
        raise _BrokenError(f"the log is not the event: {decoded.reason}")
    for name, value in source["where"].items():
        wanted = _bytes(value) if isinstance(value, str) else value
        if decoded.fields.get(name) != wanted:
            raise _BrokenError(f"the log's {name} is not {value}")
    return decoded


def _log(receipt: bytes, event: Mapping[str, Any]) -> Log:
    match _logs(receipt)[event["ordinal"] : event["ordinal"] + 1]:
        case [[bytes(address), [*topics], bytes(data)]]:
            words = tuple(topic for topic in topics if isinstance(topic, bytes))
            ordinal = event["ordinal"]
            return Log(address, words, data, _bytes(event["tx_hash"]), ordinal, ordinal)
    raise _BrokenError(f"the receipt has no log {event['ordinal']}")


def _contract(receipt: bytes, ordinal: int) -> bytes:
    logs = _logs(receipt)
    if not ordinal < len(logs):
        raise NoEvidence(f"the transaction of the node has no log {ordinal}")
    match logs[ordinal]:
        case [bytes(address), *_]:
            return address
    raise NoEvidence(f"log {ordinal} is none")


def _logs(receipt: bytes) -> list[Any]:
    match rlp_decoded(receipt[1:] if receipt and receipt[0] <= TYPE_MAX else receipt):
        case [_, _, _, [*logs], *_]:
            return logs
    raise _BrokenError("what is proven is no receipt")


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise _BrokenError(f"{text!r} is no hexadecimal text")
    return bytes.fromhex(text[2:])


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
