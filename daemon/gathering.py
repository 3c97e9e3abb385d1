"""`creditd evidence`: gathering the evidence of a grant from the books, the chain and its rule."""

from typing import Any

from contracts.events import Decoded
from contracts.logs import Log
from daemon.config import Chain, Config
from daemon.evidence import Violated, prove_header
from daemon.grant_evidence import Declared, NoEvidence, evidence_of, evidence_of_reward
from daemon.reading import Moved, Unprovable
from daemon.receipts import read_receipts
from daemon.rewards import read_uncles
from daemon.rpc import Node, NodeRefused, NodeUnavailable
from daemon.sources import Source
from ledger.ids import AccountRef, format_account
from ledger.provenance import GrantEvent, event_of_grant
from ledger.sightings import ACCRUAL, EARNS, UNCLE


async def gather(database_url: str, config: Config, account: AccountRef, number: int) -> str:
    """Return the evidence of an account's grant, as JSON. Raises NoEvidence with the reason."""
    event = await event_of_grant(database_url, account, number)
    if event is None:
        raise NoEvidence(
            f"grant {number} of {format_account(account)} was not made for an event of a chain:"
            " `GET /v1/accounts/{account}/entries` says which grants were"
        )
    if event.role != EARNS or event.ordinal == ACCRUAL:
        raise NoEvidence(
            "the grant is for stakes held over a period: every event of the wallet belongs to it,"
            " and no single block proves it"
        )
    chain, source = _configured(config, event)
    gathered = _of_log if event.ordinal >= 0 else _of_reward
    troubles = []
    for url in chain.rpc_urls:
        async with Node(url.reveal()) as node:
            try:
                return await gathered(node, (format_account(account), number), event, source)
            except (NodeUnavailable, NodeRefused, Violated, Unprovable, Moved) as error:
                troubles.append(f"{node.endpoint}: {error}")
    raise NoEvidence(
        f"no node has block {event.block_number} with its receipts: {'; '.join(troubles)}"
    )


def _configured(config: Config, event: GrantEvent) -> tuple[Chain, Source]:
    for chain in config.chains:
        for source in chain.sources:
            if (chain.chain_id, source.name) == (event.chain_id, event.source):
                return chain, source
    raise NoEvidence(
        f"source {event.source} of chain {event.chain} is not in the configuration any more: put"
        " it back to say what it followed and by what rule"
    )


async def _of_log(node: Node, grant: tuple[str, int], event: GrantEvent, source: Source) -> str:
    block = await _read_block(node, event)
    answers = await read_receipts(node, [prove_header(block, event.block_number)])
    receipts = answers[0]
    if not isinstance(receipts, list):
        raise Moved("it answers with something else")
    return evidence_of(grant, event, _declared(source, event, receipts), block, receipts)


async def _of_reward(node: Node, grant: tuple[str, int], event: GrantEvent, source: Source) -> str:
    block = await _read_block(node, event)
    uncles: list[Any] = []
    if event.ordinal == UNCLE:
        uncles = await read_uncles(node, prove_header(block, event.block_number), block)
    return evidence_of_reward(grant, event, source.rule, block, uncles)


async def _read_block(node: Node, event: GrantEvent) -> dict[str, Any]:
    """Return the event's block as the node answers it."""
    block = await node.call("eth_getBlockByHash", f"0x{event.block_hash.hex()}", False)
    if not isinstance(block, dict):
        raise Moved("it has no block of that hash")
    return block


def _declared(source: Source, event: GrantEvent, receipts: list[Any]) -> Declared:
    """Return the one of a source's events that a log is, and that says what the books say."""
    log = _log(event, receipts)
    for each in source.events:
        if each.role != "earns" or not each.covers(event.block_number):
            continue
        decoded = each.event.decode(log)
        if (
            isinstance(decoded, Decoded)
            and each.wants(decoded)
            and (decoded.wallet, decoded.amount) == (event.wallet, event.amount)
        ):
            return Declared(source.name, each.event, dict(each.where), source.rule)
    raise NoEvidence(
        f"what the configuration says of source {event.source} does not make of the log what the"
        " books have: put back what it said then"
    )


def _log(event: GrantEvent, receipts: list[Any]) -> Log:
    wanted = f"0x{event.tx_hash.hex()}"
    try:
        receipt = next(each for each in receipts if each["transactionHash"] == wanted)
        log = receipt["logs"][event.ordinal]
        address, topics, data = log["address"], log["topics"], log["data"]
        return Log(
            bytes.fromhex(address[2:]),
            tuple(bytes.fromhex(topic[2:]) for topic in topics),
            bytes.fromhex(data[2:]),
            event.tx_hash,
            event.ordinal,
            event.log_index,
        )
    except (StopIteration, LookupError, TypeError, ValueError) as error:
        raise NoEvidence("the node's block does not have the event's log") from error
