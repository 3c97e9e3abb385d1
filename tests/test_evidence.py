import copy
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import product
from typing import Any, cast

import pytest
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka.blocks import Log as SpecLog
from ethereum.forks.osaka.blocks import Receipt, encode_receipt
from ethereum.forks.osaka.bloom import logs_bloom
from ethereum.forks.osaka.transactions import (
    AccessListTransaction,
    BlobTransaction,
    FeeMarketTransaction,
    LegacyTransaction,
    SetCodeTransaction,
)
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.numeric import U64, U256, Uint
from fakechain import MINT, STAKED, TX_GAS, Event, FakeChain, MinedBlock, Tx, minted, staked
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.hashing import keccak
from daemon.chain.evidence import (
    Header,
    Kind,
    Unprovable,
    Violated,
    bloom_masks,
    header_rlp,
    prove_header,
    prove_logs,
    quantity,
)
from daemon.chain.hearsay import believe_header, believe_logs

POOL, MINE, OTHER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
ANN = b"\xa1" * 20
TX_KINDS = (
    LegacyTransaction,
    AccessListTransaction,
    FeeMarketTransaction,
    BlobTransaction,
    SetCodeTransaction,
)
FORKS = ("london", "paris", "shanghai", "cancun", "prague", "osaka")

addresses = st.sampled_from([POOL, MINE, OTHER]) | st.binary(min_size=20, max_size=20)
words = st.binary(min_size=32, max_size=32)
events = st.builds(
    Event, addresses, st.lists(words, max_size=4).map(tuple), st.binary(max_size=200)
)
drafts = st.tuples(st.lists(events, max_size=4), st.sampled_from(range(5)), st.booleans())


def masks_of(contracts: Iterable[bytes]) -> dict[Kind, int]:
    """All that the tests' contracts emit."""
    return bloom_masks(product(contracts, (STAKED, MINT)))


def block_of(chain: FakeChain, *what: Tx | Event) -> tuple[Header, MinedBlock]:
    block = chain.mine(*what)
    return prove_header(block.header_json, block.number), block


def spec_root(txs: tuple[Tx, ...]) -> bytes:
    """The receipts root as the executable specification has it."""
    trie: Trie[Any, Any] = Trie(secured=False, default=None)
    for position, tx in enumerate(txs):
        logs = tuple(
            SpecLog(event.address, event.topics, event.data)  # type: ignore[arg-type] # plain bytes
            for event in (() if tx.reverted else tx.events)
        )
        gas = Uint(TX_GAS * (position + 1))
        receipt = Receipt(not tx.reverted, gas, logs_bloom(logs), logs)
        kind = TX_KINDS[tx.kind]
        tx_of_kind = cast("Any", kind.__new__(kind))
        trie_set(trie, rlp.encode(Uint(position)), encode_receipt(tx_of_kind, receipt))
    return bytes(root(trie))


@settings(max_examples=150, deadline=None)
@given(st.lists(drafts, max_size=20))
def test_receipts_of_every_kind_are_proven_as_the_specification_encodes_them(
    blocks: list[tuple[list[Event], int, bool]],
) -> None:
    chain = FakeChain()
    txs = [chain.tx(*found, kind=kind, reverted=reverted) for found, kind, reverted in blocks]
    header, block = block_of(chain, *txs)
    assert header.receipts_root == spec_root(block.txs)
    watched = {
        (event.address, event.topics[0]) for tx in txs for event in tx.events if event.topics
    }
    expected = tuple(log for log in block.logs if log.topics)
    assert prove_logs(header, block.receipts_json, bloom_masks(watched)) == expected


@pytest.mark.parametrize(
    "count", [0, 1, 2, 3, 15, 16, 17, 126, 127, 128, 129, 130, 255, 256, 257, 300]
)
def test_the_trie_has_the_specified_root_at_every_width_of_its_keys(count: int) -> None:
    chain = FakeChain()
    header, block = block_of(chain, *(staked(POOL, ANN, number) for number in range(count)))
    assert header.receipts_root == spec_root(block.txs)
    assert len(prove_logs(header, block.receipts_json, masks_of([POOL]))) == count


JSON_NAMES: tuple[tuple[str, Any], ...] = (
    ("parentHash", 32), ("sha3Uncles", 32), ("miner", 20), ("stateRoot", 32),
    ("transactionsRoot", 32), ("receiptsRoot", 32), ("logsBloom", 256), ("difficulty", Uint),
    ("number", Uint), ("gasLimit", Uint), ("gasUsed", Uint), ("timestamp", U256),
    ("extraData", None), ("mixHash", 32), ("nonce", 8), ("baseFeePerGas", Uint),
    ("withdrawalsRoot", 32), ("blobGasUsed", U64), ("excessBlobGas", U64),
    ("parentBeaconBlockRoot", 32), ("requestsHash", 32),
)  # fmt: skip


@settings(deadline=None)
@given(st.data(), st.sampled_from(FORKS))
def test_headers_of_every_fork_hash_as_the_specification_hashes_them(
    data: st.DataObject, fork: str
) -> None:
    kind = importlib.import_module(f"ethereum.forks.{fork}.blocks").Header
    spec: list[object] = []
    shown: dict[str, Any] = {"transactions": [], "uncles": [], "size": "0x1"}
    for (name, shape), _ in zip(JSON_NAMES, fields(kind), strict=False):
        if shape is None or isinstance(shape, int):
            sizes = {"max_size": 40} if shape is None else {"min_size": shape, "max_size": shape}
            spec.append(data.draw(st.binary(**sizes)))
            shown[name] = "0x" + spec[-1].hex()  # type: ignore[attr-defined] # bytes
        else:
            most = 2**63 - 1 if name in ("number", "timestamp") else 2**64 - 1
            value = data.draw(st.integers(0, most) | st.sampled_from([0, 1, 127, 128, 256]))
            spec.append(shape(value))
            shown[name] = hex(value)
    expected = bytes(keccak256(rlp.encode(kind(*spec))))
    header = prove_header({**shown, "hash": "0x" + expected.hex()}, int(shown["number"], 16))
    assert (header.hash, header.parent) == (expected, spec[0])
    assert (header.number, header.time) == (int(shown["number"], 16), int(shown["timestamp"], 16))


def test_a_field_of_a_later_fork_makes_a_header_unprovable_not_wrong() -> None:
    block = FakeChain().mine()
    later = {**block.header_json, "hash": "0x" + "11" * 32, "blockAccessListHash": "0x" + "22" * 32}
    with pytest.raises(Unprovable, match="blockAccessListHash"):
        prove_header(later, block.number)


def test_a_header_that_lacks_a_field_before_a_later_one_is_unprovable() -> None:
    block = FakeChain().mine()
    with pytest.raises(Unprovable, match="withdrawalsRoot missing"):
        prove_header({**block.header_json, "withdrawalsRoot": None}, block.number)


def test_a_field_beside_the_header_does_not_hinder_its_proof() -> None:
    block = FakeChain().mine()
    shown = {**block.header_json, "author": "0x" + "fe" * 20}
    assert prove_header(shown, block.number).hash == block.hash


def test_a_header_of_another_number_is_refused() -> None:
    block = FakeChain().mine()
    with pytest.raises(Violated, match="answered with block 1"):
        prove_header(block.header_json, 2)


def test_receipts_without_a_type_are_legacy_ones() -> None:
    chain = FakeChain()
    header, block = block_of(chain, chain.tx(staked(POOL, ANN, 1), kind=0))
    receipts = [{name: value for name, value in block.receipts_json[0].items() if name != "type"}]
    assert prove_logs(header, receipts, masks_of([POOL])) == block.logs


def test_two_transactions_of_one_hash_are_refused() -> None:
    chain = FakeChain()
    tx = chain.tx(staked(POOL, ANN, 1))
    header, block = block_of(chain, tx, tx)
    with pytest.raises(Violated, match="same hash"):
        prove_logs(header, block.receipts_json, masks_of([POOL]))


@pytest.mark.parametrize("name", ["number", "timestamp"])
def test_a_header_of_more_than_the_books_can_hold_is_not_believed(name: str) -> None:
    shown = {**FakeChain().mine().header_json, name: hex(2**63)}
    shown["hash"] = "0x" + keccak(header_rlp(shown)).hex()
    with pytest.raises(Violated, match="more than 63 bits"):
        prove_header(shown, None)
    with pytest.raises(Violated, match="more than 63 bits"):
        believe_header(shown, None)


def test_a_log_beyond_what_the_books_can_hold_is_not_believed() -> None:
    header, block = block_of(FakeChain(), staked(POOL, ANN, 1))
    (receipt,) = copy.deepcopy(block.receipts_json)
    receipt["logs"][0]["logIndex"] = hex(2**31)
    with pytest.raises(Violated, match="logIndex"):
        believe_logs(header, [receipt], masks_of([POOL]))


@pytest.mark.parametrize("text", ["0x0", "0x7a69", "0x00ff", "0x" + "f" * 64])
def test_an_integer_is_read_from_its_text(text: str) -> None:
    assert quantity(text, "eth_chainId") == int(text, 16)


NO_QUANTITIES: tuple[object, ...] = (
    None, True, 1, -1, 1.5, "", "0x", "0X1", "x", "0xzz", "0x1_0", " 0x1", "0x 1", "0x-1", "0x1\n",
    "0x" + "f" * 65, "0x" + "é" * 64, "0x\u0661", [], {}, [None], [[]], [{}], {"hash": "0x1"},
)  # fmt: skip
NO_HASHES: tuple[object, ...] = (
    "0x" + "0" * 63, "0x" + "ab" * 31 + " a", "0x" + "ab" * 31 + "  ", "ab" * 32, "0x" + "00" * 33,
)  # fmt: skip
WRONG = (*NO_QUANTITIES, *NO_HASHES, "0x1", "0x2", "0x3", "0x" + "00" * 20, "0x" + "00" * 32)


@pytest.mark.parametrize("value", NO_QUANTITIES)
def test_an_integer_in_any_other_shape_is_refused_by_name(value: object) -> None:
    with pytest.raises(Violated, match="eth_chainId is"):
        quantity(value, "eth_chainId")


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, part in value.items():
            yield from paths(part, (*path, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from paths(part, (*path, index))


def changed(document: Any, path: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401 - JSON
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return result


def sample() -> MinedBlock:
    chain = FakeChain()
    chain.mine()
    return chain.mine(
        chain.tx(staked(POOL, ANN, 7), minted(MINE, ANN, 8), kind=0),
        chain.tx(reverted=True),
        chain.tx(staked(OTHER, ANN, 9), staked(POOL, ANN, 10), kind=4),
    )


MASKS = masks_of([POOL, MINE])
HARMLESS = {
    "from",
    "to",
    "gasUsed",
    "effectiveGasPrice",
    "contractAddress",
    "blockNumber",
    "removed",
}


@pytest.mark.parametrize("path", list(paths(sample().header_json)), ids=str)
def test_no_change_of_a_header_passes(path: tuple[Any, ...]) -> None:
    block = sample()
    proven = prove_header(block.header_json, 2)
    for value in (*WRONG, block.header_json["parentHash"]):
        try:
            header = prove_header(changed(block.header_json, path, value), 2)
        except (Violated, Unprovable):
            continue
        same = (header.hash, header.number, header.parent, header.time, header.bloom)
        assert same == (proven.hash, 2, proven.parent, proven.time, proven.bloom)
        if path[0] == "transactions" and value != block.header_json["transactions"]:
            with pytest.raises(Violated):
                prove_logs(header, block.receipts_json, MASKS)


@pytest.mark.parametrize("path", list(paths(sample().receipts_json)), ids=str)
def test_no_change_of_receipts_passes(path: tuple[Any, ...]) -> None:
    block = sample()
    header = prove_header(block.header_json, 2)
    expected = tuple(log for log in block.logs if (log.address, log.topics[0]) in MASKS)
    for value in (*WRONG, block.header_json["parentHash"]):
        try:
            logs = prove_logs(header, changed(block.receipts_json, path, value), MASKS)
        except (Violated, Unprovable):
            assert path[-1] not in HARMLESS - {"removed"}
            continue
        assert logs == expected


def test_logs_left_out_added_swapped_or_repeated_are_seen() -> None:
    block = sample()
    header = prove_header(block.header_json, 2)
    receipts = block.receipts_json
    first, last = receipts[0]["logs"], receipts[2]["logs"]
    for path, value in [
        ((0, "logs"), first[:1]),
        ((0, "logs"), first[1:]),
        ((0, "logs"), []),
        ((0, "logs"), first[::-1]),
        ((0, "logs"), [*first, first[0]]),
        ((1, "logs"), last),
        ((2, "logs"), last[:1]),
    ]:
        with pytest.raises(Violated):
            prove_logs(header, changed(receipts, path, value), MASKS)
    others: list[Any] = [[], receipts[:2], receipts[::-1], [*receipts, receipts[2]], None, "0x", {}]
    for wrong in others:
        with pytest.raises(Violated):
            prove_logs(header, wrong, MASKS)


PLACES: list[tuple[tuple[Any, ...], object]] = [
    ((0, "transactionIndex"), "0x1"),
    ((0, "blockHash"), "0x" + "11" * 32),
    ((1, "blockHash"), "0x" + "11" * 32),
    ((0, "logs", 0, "blockHash"), "0x" + "11" * 32),
    ((0, "logs", 0, "blockHash"), None),
    ((0, "logs", 0, "transactionHash"), "0x" + "11" * 32),
    ((0, "logs", 0, "logIndex"), "0x1"),
    ((2, "logs", 1, "logIndex"), "0x1"),
    ((2, "logs", 1, "removed"), True),
]


@pytest.mark.parametrize(("path", "value"), PLACES, ids=str)
def test_a_log_that_claims_another_place_is_refused(path: tuple[Any, ...], value: object) -> None:
    block = sample()
    header = prove_header(block.header_json, 2)
    with pytest.raises(Violated, match=str(path[-1])):
        prove_logs(header, changed(block.receipts_json, path, value), MASKS)


def test_hashes_may_be_written_in_any_case_and_integers_with_zeros() -> None:
    block = sample()
    header = prove_header(block.header_json, 2)
    shown = block.receipts_json
    for path in [(0, "logs", 0, "blockHash"), (0, "logs", 0, "transactionHash"), (0, "blockHash")]:
        found = block.hash if "blockHash" in path else block.txs[0].hash
        shown = changed(shown, path, "0x" + found.hex().upper())
    shown = changed(shown, (2, "logs", 0, "logIndex"), "0x002")
    assert len(prove_logs(header, shown, MASKS)) == 3


def test_what_no_receipt_can_hold_is_refused_before_its_root_is() -> None:
    header, block = block_of(FakeChain(), staked(POOL, ANN, 1))
    topics = changed(block.receipts_json, (0, "logs", 0, "topics"), ["0x" + "11" * 32] * 5)
    with pytest.raises(Violated, match="5 topics"):
        prove_logs(header, topics, masks_of([POOL]))
    header, block = block_of(FakeChain(), Event(POOL, (), b"\xab\xcd"))
    spaced = changed(block.receipts_json, (0, "logs", 0, "data"), "0xab cd")
    with pytest.raises(Violated, match="data is '0xab cd'"):
        prove_logs(header, spaced, masks_of([POOL]))


def test_a_malformed_answer_is_named_by_block_and_field() -> None:
    block = sample()
    header = prove_header(block.header_json, 2)
    with pytest.raises(Violated, match="block 2: receipt 2: topic is 'x', not 32 bytes"):
        prove_logs(header, changed(block.receipts_json, (2, "logs", 0, "topics", 1), "x"), MASKS)
    with pytest.raises(Violated, match="block 2: stateRoot is missing"):
        prove_header(changed(block.header_json, ("stateRoot",), None), 2)
    with pytest.raises(Violated, match="block 2: 'nothing' stands where an object belongs"):
        prove_header("nothing", 2)
