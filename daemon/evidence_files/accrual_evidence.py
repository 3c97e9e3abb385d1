"""The evidence of what a stake earned in a period.

The file holds every change of the stake up to the end of the period, each with the header of its
block and the way from there to its log; the header of the block that ends the period, and of the
one before it; the rule's terms. Headers and receipts stand once. Checking recomputes all of it,
and what it cannot prove is that there was no other change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from contracts.events import Decoded, EventType
from contracts.presets import Role
from daemon.chain.evidence import Header, prove_header
from daemon.chain.trie import proven_value
from daemon.configuration.followed_events import FollowedEvent, wanted
from daemon.configuration.sources import Source
from daemon.evidence_files.evidence_file import (
    BrokenError,
    Checked,
    NoEvidence,
    bare_header,
    bytes_of,
    check_granted,
    check_header,
    hex_of,
    log_of,
    said_of,
)
from daemon.evidence_files.stake_formula import Change, Earned, earned_until
from ledger.causes import EventIdentity
from ledger.provenance import GrantEvent, StakeHistory
from ledger.sightings import ADDS, EARNS, StakeTerms

# A wallet that changes its stake every day for three years; each costs the node a block's receipts,
# and the file some 8 kB.
CHANGES_MAX: Final = 1_000
# What a stake has at the end of a period is written down as an event's amount, which is no more.
AMOUNT_MAX: Final = 10**78 - 1
KEY_LENGTH: Final = 32  # of what stands for an accrual's transaction: its rule, end and wallet


@dataclass(frozen=True, slots=True)
class ProvenBlock:
    """A block as a node answered it, and the ways from its receipts root to some receipts."""

    header: Mapping[str, Any]
    receipts: Mapping[int, Sequence[bytes]]
    places: Mapping[bytes, int]  # by transaction, the receipt that is its


@dataclass(frozen=True, slots=True)
class ShownBlocks:
    """What a node answered: the block that ends a period, the one before, those of the changes."""

    ending: Mapping[str, Any]
    before: Mapping[str, Any]
    changed: Mapping[int, ProvenBlock]  # by their numbers


def require_settled(event: GrantEvent, history: StakeHistory) -> None:
    """Raise NoEvidence where the changes that the books have do not give what was granted."""
    if event.state != "confirmed":
        raise NoEvidence(
            "the grant was taken back: its stake had earned less, or its block left the chain"
        )
    if len(history.changes) > CHANGES_MAX:
        raise NoEvidence(
            f"the stake has changed more than {CHANGES_MAX} times, more than a file holds: creditd"
            f" verify --chain {event.chain} reads the blocks of all its changes again instead"
        )
    changes = [
        Change(each.block_time, each.amount if each.role == ADDS else -each.amount)
        for each in history.changes
    ]
    end = _end_of(event.chain_id, event.tx_hash, event.ordinal)
    earned = _in_period(changes, history.terms, end)
    if event.credits not in (earned.period, earned.to_end.micro - history.granted_before):
        raise NoEvidence(
            f"changes of the stake came late: by what is known now it earned {earned.period}"
            f" micro-credits in this period, and {event.credits} had been granted before that was"
            " known. It is made up for with the grant of the first period that ended after they"
            " came: that one has evidence"
        )


def accrual_document(
    grant: tuple[str, int],
    event: GrantEvent,
    source: Source,
    history: StakeHistory,
    shown: ShownBlocks,
) -> dict[str, Any]:
    """Return the file for a grant, its account and its number there, as JSON has it."""
    terms = history.terms
    return {
        **said_of(grant, event),
        "source": {
            "name": source.name,
            "contracts": [hex_of(contract) for contract in source.contracts],
            "events": [_declared(each) for each in source.events],
        },
        "rule": {
            "divisor": str(terms.divisor),
            "rates": [list(rate) for rate in terms.rates],
            "period_seconds": terms.period_seconds,
            "hold_seconds": terms.hold_seconds,
        },
        "period": {
            "end": _end_of(event.chain_id, event.tx_hash, event.ordinal),
            "granted_before_micro": history.granted_before,
        },
        "header": bare_header(shown.ending),
        "before": bare_header(shown.before),
        "blocks": [
            {
                "header": bare_header(block.header),
                "receipts": [
                    {"index": index, "path": [hex_of(node) for node in path]}
                    for index, path in block.receipts.items()
                ],
            }
            for block in shown.changed.values()
        ],
        "changes": [
            {
                "block_number": change.block_number,
                "receipt": shown.changed[change.block_number].places[change.tx_hash],
                "ordinal": change.ordinal,
                "tx_hash": hex_of(change.tx_hash),
                "role": "adds" if change.role == ADDS else "takes",
                "amount": str(change.amount),
            }
            for change in history.changes
        ],
    }


def check_accrual(document: Mapping[str, Any], checked: Checked) -> None:
    """Check a file. Raises BrokenError, and as taking apart what is none does."""
    event, source, grant = document["event"], document["source"], document["grant"]
    rule, period = document["rule"], document["period"]
    terms = StakeTerms(
        int(rule["divisor"]),
        tuple((since, micro) for since, micro in rule["rates"]),
        rule["period_seconds"],
        rule["hold_seconds"],
    )
    _check_terms(terms)
    ending = check_header(document["header"], event, checked)
    _check_end(document, terms, ending, checked)
    changes = _check_changes(document, ending, checked)
    earned = _in_period(changes, terms, period["end"])
    _check_earned(earned, event, grant, period, checked)
    check_granted(grant["credits_micro"], grant, checked)
    say = checked.believed.append
    say(
        f"that these {len(changes)} changes are all that there were of the stake of"
        f" {event['wallet']} before block {ending.number}: no file proves that there was no other"
    )
    say(
        f"that block {ending.number} and those of the changes are of chain {event['chain_id']}, and"
        " final: ask any node for their hashes"
    )
    say("that each receipt is that of the transaction named with it: none names its own")
    say(
        f"that source {source['name']} followed {_followed(source)} by this rule, and that"
        f" {event['wallet']} earns for account {grant['account']}: the books say so"
    )


@dataclass(frozen=True, slots=True)
class _InPeriod:
    """What a stake earned up to the end of a period, and before it began, in micro-credits."""

    to_end: Earned
    before: int

    @property
    def period(self) -> int:
        return self.to_end.micro - self.before


def _in_period(changes: Sequence[Change], terms: StakeTerms, end: int) -> _InPeriod:
    begin = end - terms.period_seconds
    return _InPeriod(earned_until(changes, terms, end), earned_until(changes, terms, begin).micro)


def _end_of(chain_id: int, key: bytes, ordinal: int) -> int:
    end = (
        EventIdentity(chain_id, key, ordinal, EARNS).period_end if len(key) == KEY_LENGTH else None
    )
    if end is None:
        raise BrokenError("the grant is for no period")
    return int(end.timestamp())


def _check_terms(terms: StakeTerms) -> None:
    numbers = (terms.divisor, terms.period_seconds, *(n for rate in terms.rates for n in rate))
    if not all(isinstance(number, int) for number in (*numbers, terms.hold_seconds)):
        raise BrokenError("the rule's terms are no whole numbers")
    since = [since for since, _ in terms.rates]
    if min(terms.divisor, terms.period_seconds) < 1 or min(terms.hold_seconds, *numbers) < 0:
        raise BrokenError("the rule's terms are none that a rule can have")
    if since[0] != 0 or any(later <= earlier for earlier, later in pairwise(since)):
        raise BrokenError("the rule's rates are not in the order of their times, from 0 on")


def _check_end(
    document: Mapping[str, Any], terms: StakeTerms, ending: Header, checked: Checked
) -> None:
    """Hold the block that ends the period to be the first one at its end or after it."""
    event, end = document["event"], document["period"]["end"]
    key = bytes_of(event["tx_hash"])
    if _end_of(event["chain_id"], key, event["ordinal"]) != end or end % terms.period_seconds:
        raise BrokenError(f"the grant is not for a period that ends at {end}")
    if not key.endswith(bytes_of(event["wallet"])):
        raise BrokenError(f"the grant is not for the stake of {event['wallet']}")
    before = prove_header(document["before"], ending.number - 1)
    if before.hash != ending.parent:
        raise BrokenError(f"block {ending.number} does not follow on the header before it")
    if not before.time < end <= ending.time:
        raise BrokenError(
            f"block {ending.number} is not the first at or after the end of the period, {end}: it"
            f" is of {ending.time}, the one before it of {before.time}"
        )
    checked.proven.append(
        f"it is the first block at or after {_moment(end)}, and the block before it of"
        f" {_moment(before.time)}: a period of {terms.period_seconds} s ends there"
    )


def _check_changes(document: Mapping[str, Any], ending: Header, checked: Checked) -> list[Change]:
    """Return the changes of the stake that the logs of the file prove, in chain order."""
    headers, receipts = _check_blocks(document["blocks"], ending)
    forms = [_form(each, document["source"]["name"]) for each in document["source"]["events"]]
    said = document["changes"]
    places = [(each["block_number"], each["receipt"], each["ordinal"]) for each in said]
    if any(later <= earlier for earlier, later in pairwise(places)):
        raise BrokenError("the changes are not in the order of the chain, or one is there twice")
    changes: list[Change] = []
    for each, (number, index, ordinal) in zip(said, places, strict=True):
        if (number, index) not in receipts:
            raise BrokenError(f"the file does not have receipt {index} of block {number}")
        log = log_of(receipts[number, index], ordinal, bytes_of(each["tx_hash"]))
        where = f"log {ordinal} of receipt {index} of block {number}"
        if hex_of(log.address) not in document["source"]["contracts"]:
            raise BrokenError(f"{where} is of no contract of source {document['source']['name']}")
        decoded = [(form, form.event.decode(log)) for form in forms if form.covers(number)]
        found = [
            (form.role, decoded.amount)
            for form, decoded in wanted(
                (form, said) for form, said in decoded if isinstance(said, Decoded)
            )
            if hex_of(decoded.wallet) == document["event"]["wallet"]
        ]
        if found != [(each["role"], int(each["amount"]))]:
            raise BrokenError(
                f"{where} says {found} of the stake, the file that it {each['role']}"
                f" {each['amount']}"
            )
        sign = 1 if each["role"] == "adds" else -1
        changes.append(Change(headers[number].time, sign * int(each["amount"])))
        checked.proven.append(
            f"{where}, which hashes to {hex_of(headers[number].hash)} and is of"
            f" {_moment(headers[number].time)}, {each['role']} {each['amount']} base units"
        )
    return changes


def _check_blocks(
    blocks: Sequence[Mapping[str, Any]], ending: Header
) -> tuple[dict[int, Header], dict[tuple[int, int], bytes]]:
    """Return headers by their numbers, and receipts, as their tries hold them, by their places."""
    headers: dict[int, Header] = {}
    receipts: dict[tuple[int, int], bytes] = {}
    for block in blocks:
        header = prove_header(block["header"], None)
        if header.number in headers or header.number >= ending.number:
            raise BrokenError(f"block {header.number} is there twice, or not before the end")
        headers[header.number] = header
        for each in block["receipts"]:
            path = [bytes_of(node) for node in each["path"]]
            value = proven_value(header.receipts_root, each["index"], path)
            receipts[header.number, each["index"]] = value
    times = [headers[number].time for number in sorted(headers)]
    if any(later < earlier for earlier, later in pairwise([*times, ending.time])):
        raise BrokenError("a block is older than one before it")
    return headers, receipts


def _check_earned(
    earned: _InPeriod,
    event: Mapping[str, Any],
    grant: Mapping[str, Any],
    period: Mapping[str, Any],
    checked: Checked,
) -> None:
    base_units = min(earned.to_end.base_units, AMOUNT_MAX)
    if int(event["amount"]) != max(0, base_units):
        raise BrokenError(
            f"at the end {base_units} base units earned, the file says {event['amount']}"
        )
    checked.proven.append(
        f"by the rule these changes have earned {earned.to_end.micro} micro-credits, rounded down,"
        f" by {_moment(period['end'])}, and {earned.before} before the period"
    )
    credits_micro, before = grant["credits_micro"], period["granted_before_micro"]
    if credits_micro == earned.period:
        checked.proven.append(
            f"{earned.to_end.micro} - {earned.before} = {credits_micro} micro-credits"
        )
    elif before >= 0 and credits_micro == earned.to_end.micro - before:
        checked.proven.append(f"{earned.to_end.micro} - {before} = {credits_micro} micro-credits")
        checked.believed.append(
            f"that {before} micro-credits stood granted for earlier periods, and not the"
            f" {earned.before} that these changes earned in them: changes that came late were made"
            " up for with this grant, the books say so"
        )
    else:
        raise BrokenError(
            f"the stake earned {earned.period} micro-credits in the period, the file says"
            f" {credits_micro}"
        )


def _declared(followed: FollowedEvent) -> dict[str, Any]:
    return {
        "role": followed.role,
        "signature": followed.event.signature,
        "wallet": followed.event.wallet,
        "amount": followed.event.amount,
        "where": {
            name: hex_of(value) if isinstance(value, bytes) else value
            for name, value in followed.where
        },
        "from_block": followed.from_block,
        "to_block": followed.to_block,
    }


def _form(said: Mapping[str, Any], name: str) -> FollowedEvent:
    role: Role = "adds" if said["role"] == "adds" else "takes"
    if said["role"] != role:
        raise BrokenError(f"{said['role']!r} is nothing that an event does to a stake")
    return FollowedEvent(
        EventType.parse(said["signature"], name=name, wallet=said["wallet"], amount=said["amount"]),
        role,
        tuple(
            (field, bytes_of(value) if isinstance(value, str) else value)
            for field, value in said["where"].items()
        ),
        said["from_block"],
        said["to_block"],
    )


def _followed(source: Mapping[str, Any]) -> str:
    """Return what the file says that its source follows: what it is worth, only the books say."""
    events = [
        f"{each['signature']} ({each['role']} {each['amount']} of {each['wallet']}"
        + "".join(f", where {name} is {value}" for name, value in each["where"].items())
        + ")"
        for each in source["events"]
    ]
    return f"{', '.join(events)} of {', '.join(source['contracts'])}"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
