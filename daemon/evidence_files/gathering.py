"""`creditd evidence`: gathering the evidence of a grant from the books, the chain and its rule."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from contracts.events import Decoded
from contracts.logs import Log
from daemon.chain.evidence import Header, Violated, encoded_receipts, prove_header
from daemon.chain.reading import Moved, Unprovable
from daemon.chain.receipts import read_receipts, receipts_batches
from daemon.chain.rewards import read_uncles
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable
from daemon.chain.trie import ordered_proof, ordered_root
from daemon.configuration.config import Chain, Config
from daemon.configuration.sources import Source
from daemon.evidence_files.accrual_evidence import (
    CHANGES_MAX,
    ProvenBlock,
    ShownBlocks,
    accrual_document,
    require_settled,
)
from daemon.evidence_files.evidence_file import NoEvidence
from daemon.evidence_files.grant_evidence import Declared, evidence_of, evidence_of_reward, written
from daemon.watching.chain_nodes import nodes_of
from ledger.ids import AccountRef, format_account
from ledger.provenance import GrantEvent, StakeHistory, event_of_grant, stake_behind
from ledger.sightings import ACCRUAL, UNCLE

_Gathered = Callable[[Node, tuple[str, int], GrantEvent, Source], Awaitable[str]]


async def gather(database_url: str, config: Config, account: AccountRef, number: int) -> str:
    """Return the evidence of an account's grant, as JSON. Raises NoEvidence with the reason."""
    event = await event_of_grant(database_url, account, number)
    if event is None:
        raise NoEvidence(
            f"grant {number} of {format_account(account)} was not made for an event of a chain:"
            " `GET /v1/accounts/{account}/entries` says which grants were"
        )
    chain, source = _configured(config, event)
    gathered: _Gathered = _of_log if event.ordinal >= 0 else _of_reward
    if event.ordinal == ACCRUAL:
        history = await stake_behind(database_url, event, CHANGES_MAX + 1)
        require_settled(event, history)
        gathered = partial(_of_accrual, history)
    troubles = []
    for node in nodes_of(chain):
        async with node:
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
    block = await _read_block(node, event.block_hash)
    answers = await read_receipts(node, [prove_header(block, event.block_number)])
    receipts = answers[0]
    if not isinstance(receipts, list):
        raise Moved("it answers with something else")
    return evidence_of(grant, event, _declared(source, event, receipts), block, receipts)


async def _of_reward(node: Node, grant: tuple[str, int], event: GrantEvent, source: Source) -> str:
    block = await _read_block(node, event.block_hash)
    uncles: list[Any] = []
    if event.ordinal == UNCLE:
        uncles = await read_uncles(node, prove_header(block, event.block_number), block)
    return evidence_of_reward(grant, event, source.rule, block, uncles)


async def _of_accrual(
    history: StakeHistory, node: Node, grant: tuple[str, int], event: GrantEvent, source: Source
) -> str:
    ending = await _read_block(node, event.block_hash)
    before = await _read_block(node, prove_header(ending, event.block_number).parent)
    read = await _read_blocks(node, history)
    wanted: dict[int, list[bytes]] = {}
    for change in history.changes:
        wanted.setdefault(change.block_number, []).append(change.tx_hash)
    blocks: dict[int, ProvenBlock] = {}
    for headers in receipts_batches([header for header, _ in read.values()]):
        for header, answer in zip(headers, await read_receipts(node, headers), strict=True):
            tx_hashes, block = wanted[header.number], read[header.number][1]
            blocks[header.number] = _proven_block(header, block, answer, tx_hashes)
    shown = ShownBlocks(ending, before, blocks)
    return written(accrual_document(grant, event, source, history, shown))


async def _read_blocks(
    node: Node, history: StakeHistory
) -> dict[int, tuple[Header, dict[str, Any]]]:
    """Return the blocks of all changes by their numbers, in order, as the node answers them."""
    hashes = {change.block_number: change.block_hash for change in history.changes}
    answers = await node.batch(
        [("eth_getBlockByHash", (f"0x{each.hex()}", False)) for each in hashes.values()]
    )
    if None in answers:
        raise Moved("it has not got the blocks of all changes of the stake")
    return {
        number: (prove_header(answer, number), answer)
        for number, answer in zip(hashes, answers, strict=True)
    }


def _proven_block(
    header: Header, block: dict[str, Any], answer: object, tx_hashes: Sequence[bytes]
) -> ProvenBlock:
    """Return a block with the ways to the receipts of some of its transactions, each once."""
    encoded = encoded_receipts(answer, header)
    if ordered_root(encoded) != header.receipts_root:
        raise NoEvidence(
            f"the receipts of block {header.number} do not have the root that its header names: of"
            " this chain nothing can be proven by itself"
        )
    listed = [str(each) for each in header.transactions]
    try:
        places = {tx_hash: listed.index(f"0x{tx_hash.hex()}") for tx_hash in tx_hashes}
    except ValueError as error:
        raise Moved(f"its block {header.number} does not have the transaction") from error
    paths = {index: ordered_proof(encoded, index) for index in places.values()}
    return ProvenBlock(block, paths, places)


async def _read_block(node: Node, block_hash: bytes) -> dict[str, Any]:
    """Return a block as the node answers it."""
    block = await node.call("eth_getBlockByHash", f"0x{block_hash.hex()}", False)
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
