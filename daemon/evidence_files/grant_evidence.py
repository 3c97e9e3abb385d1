"""The evidence of a grant: a file that anybody can check, without a node and without the books.

It holds the header of the event's block, the way from the receipts root in it to the receipt, the
event's declaration and the rule; of a reward of the protocol, what leads from the header to it
instead; of what a stake earned in a period, all that `accrual_evidence` says. Checking recomputes
all of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.events import Decoded, EventType, Mismatch
from contracts.logs import Log
from contracts.rewards import GENERATED, Reward
from daemon.chain.evidence import Header, Unprovable, Violated, encoded_receipts, prove_header
from daemon.chain.node_json import Malformed
from daemon.chain.rewards import uncles_of, withdrawal_of_rlp, withdrawal_path
from daemon.chain.trie import BadPath, ordered_proof, ordered_root, proven_value
from daemon.configuration.rules import Rule, TooLarge, credits_for
from daemon.evidence_files.accrual_evidence import check_accrual
from daemon.evidence_files.evidence_file import (
    FILE_BYTES_MAX,
    KIND,
    VERSION,
    BrokenError,
    Checked,
    NoEvidence,
    bare_header,
    bytes_of,
    check_granted,
    check_header,
    hex_of,
    log_of,
    logs_of,
    said_of,
)
from daemon.evidence_files.evidence_shape import require_shape
from ledger.causes import EventIdentity
from ledger.provenance import GrantEvent

# What taking a part apart raises where there is something else.
_NO_SUCH_PART: Final = (
    *(LookupError, TypeError, ValueError, AttributeError, OverflowError, StopIteration),
)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a source follows and by what rule, as far as one event of it goes."""

    source: str
    event: EventType
    where: Mapping[str, int | bytes]
    rule: Rule


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
    index = hashes.index(hex_of(event.tx_hash)) if hex_of(event.tx_hash) in hashes else None
    if index is None:
        raise NoEvidence(f"block {event.block_number} of the node does not have the transaction")
    source = {
        "name": declared.source,
        "contract": hex_of(_contract(encoded[index], event.ordinal)),
        "signature": declared.event.signature,
        "wallet": declared.event.wallet,
        "amount": declared.event.amount,
        "where": {
            name: hex_of(value) if isinstance(value, bytes) else value
            for name, value in declared.where.items()
        },
    }
    path = [hex_of(node) for node in ordered_proof(encoded, index)]
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
        **said_of(grant, event),
        "rule": {
            "credits_micro": rule.credits_micro_at(int(str(block["timestamp"]), 16)),
            "per_base_units": str(rule.per_base_units),
            "max_per_event_micro": rule.max_per_event_micro,
        },
        "header": bare_header(block),
        **way,
    }
    return written(document)


def written(document: Mapping[str, Any]) -> str:
    """Return a file as text, once it has been checked. Raises NoEvidence."""
    text = json.dumps(document, indent=2)
    if len(text) > FILE_BYTES_MAX:
        raise NoEvidence(f"the file would be larger than {FILE_BYTES_MAX} bytes, which none may be")
    if (broken := check(text).broken) is not None:
        raise NoEvidence(f"the node's answers are no evidence of what the books say: {broken}")
    return text


def check(text: str) -> Checked:
    """Check a file. Raises NoEvidence for one that is not of this kind."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoEvidence(f"the file is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise NoEvidence("the file is no evidence of a grant, as `creditd evidence` writes it")
    if document.get("version") != VERSION:
        raise NoEvidence("the file is of another version of creditd: check it with that one")
    checked = Checked()
    try:
        require_shape(document)
        _check(document, checked)
    except (BrokenError, BadPath, Malformed, NoEvidence, Violated, Unprovable) as error:
        checked.broken = str(error)
    except _NO_SUCH_PART as error:
        checked.broken = f"a part of the file is missing or not what it should be: {error!r}"
    return checked


def _check(document: Mapping[str, Any], checked: Checked) -> None:
    if "period" in document:
        check_accrual(document, checked)
        return
    event, source, grant = document["event"], document["source"], document["grant"]
    header = check_header(document["header"], event, checked)
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
        f"that source {source['name']} is {_followed(document)} by this rule, and that"
        f" {event['wallet']} earns for account {grant['account']}: the books say so"
    )


def _followed(document: Mapping[str, Any]) -> str:
    """Return what the file says that its source follows: what it is worth, only the books say."""
    source = document["source"]
    if "reward" in document:
        return f"about a {document['reward']['kind']}"
    where = "".join(f", where {name} is {value}" for name, value in source["where"].items())
    return (
        f"about {source['signature']} of contract {source['contract']}, {source['amount']} for"
        f" {source['wallet']}{where}"
    )


def _check_log(document: Mapping[str, Any], header: Header, checked: Checked) -> int:
    """Return the amount of the log that the receipt of the file proves."""
    event, source = document["event"], document["source"]
    index, path = document["receipt"]["index"], document["receipt"]["path"]
    receipt = proven_value(header.receipts_root, index, [bytes_of(node) for node in path])
    checked.proven.append(f"receipt {index} is in the receipts root of that header")
    log = log_of(receipt, event["ordinal"], bytes_of(event["tx_hash"]))
    if log.address != bytes_of(source["contract"]):
        raise BrokenError(f"log {event['ordinal']} is not of contract {source['contract']}")
    topics = f"{len(log.topics)} topics and {len(log.data)} bytes of data"
    checked.proven.append(f"its log {event['ordinal']} is of {source['contract']}, with {topics}")
    decoded = _decoded(log, source)
    if (hex_of(decoded.wallet), decoded.amount) != (event["wallet"], int(event["amount"])):
        raise BrokenError(
            f"the log says {decoded.amount} for {hex_of(decoded.wallet)}, the file"
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
            miner = bytes_of(document["header"]["miner"])
            reward = Reward("block", header.hash, miner, GENERATED)
        case "uncle":
            uncles = uncles_of(document["header"], way["uncles"])
            reward = next(each for each in uncles if hex_of(each.identity) == event["tx_hash"])
        case "withdrawal":
            root = bytes_of(document["header"]["withdrawalsRoot"])
            path = [bytes_of(node) for node in way["path"]]
            reward = withdrawal_of_rlp(proven_value(root, way["position"], path))
        case other:
            raise BrokenError(f"{other!r} is no reward")
    said = (hex_of(reward.identity), hex_of(reward.wallet), reward.amount)
    if said != (event["tx_hash"], event["wallet"], int(event["amount"])):
        raise BrokenError(f"the header commits to {said}, which is not what the file says")
    checked.proven.append(f"it commits to {reward.said}, {reward.amount} for {event['wallet']}")
    return reward.amount


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
        raise BrokenError(f"the rule gives {earned}, the file says {grant['credits_micro']}")
    bound = f", at most {rule.max_per_event_micro}" if rule.max_per_event_micro else ""
    checked.proven.append(
        f"floor({amount} x {rule.credits_micro} / {rule.per_base_units}){bound} = {earned}"
        " micro-credits"
    )
    check_granted(earned, grant, checked)


def _decoded(log: Log, source: Mapping[str, Any]) -> Decoded:
    declared = EventType.parse(
        source["signature"], name=source["name"], wallet=source["wallet"], amount=source["amount"]
    )
    decoded = declared.decode(log)
    if isinstance(decoded, Mismatch):
        raise BrokenError(f"the log is not the event: {decoded.reason}")
    for name, value in source["where"].items():
        wanted = bytes_of(value) if isinstance(value, str) else value
        if decoded.fields.get(name) != wanted:
            raise BrokenError(f"the log's {name} is not {value}")
    return decoded


def _contract(receipt: bytes, ordinal: int) -> bytes:
    logs = logs_of(receipt)
    if not ordinal < len(logs):
        raise NoEvidence(f"the transaction of the node has no log {ordinal}")
    match logs[ordinal]:
        case [bytes(address), *_]:
            return address
    raise NoEvidence(f"log {ordinal} is none")
