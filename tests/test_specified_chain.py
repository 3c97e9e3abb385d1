"""The chain in memory is one: the specification says so, and a real node shows the like."""

import asyncio
from dataclasses import fields
from random import Random
from typing import Any, cast

import pytest
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka.blocks import Header, Log, Receipt, encode_receipt
from ethereum.forks.osaka.bloom import logs_bloom
from ethereum.forks.osaka.transactions import FeeMarketTransaction
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes
from ethereum_types.numeric import U64, U256, Uint
from fakechain import TX_GAS, FakeChain, MinedBlock, staked
from simulation.world import World

from daemon.chain.rpc import Node
from daemon.processes.anvil import Anvil

# Fields of a header that are numbers, by the specification's types; all others are bytes.
NUMBERS: dict[str, Any] = {
    "difficulty": Uint,
    "number": Uint,
    "gasLimit": Uint,
    "gasUsed": Uint,
    "timestamp": U256,
    "baseFeePerGas": Uint,
    "blobGasUsed": U64,
    "excessBlobGas": U64,
}
# What a node shows of a block beside its header.
BESIDE = {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"}
# What only anvil shows, and who proves a block has no use for.
OF_ANVIL = {"blockTimestamp", "blobGasPrice", "blobGasUsed"}


def spec_header(shown: dict[str, Any]) -> Header:
    """The specification's header with the fields of a shown one, which come in the same order."""
    names = [name for name in shown if name not in BESIDE]
    assert len(names) == len(fields(Header))
    values = [
        NUMBERS[name](int(shown[name], 16)) if name in NUMBERS else bytes.fromhex(shown[name][2:])
        for name in names
    ]
    return Header(*cast("list[Any]", values))


def spec_root_and_bloom(block: MinedBlock) -> tuple[bytes, bytes]:
    trie: Trie[Any, Any] = Trie(secured=False, default=None)
    kind = cast("Any", FeeMarketTransaction.__new__(FeeMarketTransaction))
    all_logs: list[Log] = []
    for position, tx in enumerate(block.txs):
        logs = tuple(
            Log(cast("Any", event.address), cast("Any", event.topics), Bytes(event.data))
            for event in (() if tx.reverted else tx.events)
        )
        gas = Uint(TX_GAS * (position + 1))
        receipt = Receipt(not tx.reverted, gas, logs_bloom(logs), logs)
        trie_set(trie, rlp.encode(Uint(position)), encode_receipt(kind, receipt))
        all_logs += logs
    return bytes(root(trie)), bytes(logs_bloom(tuple(all_logs)))


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_histories_hash_and_root_as_the_specification_has_it(seed: int) -> None:
    world = World(Random(seed), 31337, None)
    for _ in range(4):
        world.mine(4)
        world.reorg(world.rng.randint(0, world.head.number))
    for block in world.chain.by_hash.values():
        header = spec_header(block.header_json)
        assert bytes(keccak256(rlp.encode(header))) == block.hash
        found = bytes(header.receipt_root), bytes(header.bloom)
        assert found == spec_root_and_bloom(block)
        parent = world.chain.by_hash.get(block.parent)
        assert (parent.number if parent else -1) == block.number - 1


@pytest.mark.anvil
def test_a_real_node_shows_the_same_fields() -> None:
    async def main() -> None:
        async with Anvil.start(hardfork="osaka") as anvil, Node(anvil.url) as node:
            await node.call("evm_setAutomine", False)
            sender = (await node.call("eth_accounts"))[0]
            emit = "0x60006000a0"  # PUSH1 0, PUSH1 0, LOG0
            await node.call(
                "eth_sendTransaction", {"from": sender, "data": emit, "gas": hex(100_000)}
            )
            await node.call("evm_mine")
            block = await node.call("eth_getBlockByNumber", "latest", False)
            (receipt,) = await node.call("eth_getBlockReceipts", block["hash"])
        chain = FakeChain()
        mined = chain.mine(staked(b"\x01" * 20, b"\x02" * 20, 1))
        (shown,) = mined.receipts_json
        assert mined.header_json.keys() == block.keys()
        assert shown.keys() == receipt.keys() - OF_ANVIL
        assert shown["logs"][0].keys() == receipt["logs"][0].keys() - OF_ANVIL

    asyncio.run(main())
