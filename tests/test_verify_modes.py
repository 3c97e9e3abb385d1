"""How much is proven of a node's word, by each way of verifying, and what each cannot see."""

import asyncio
import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from fakechain import MINT, STAKED, FakeChain, minted, staked
from fakenode import Faults, serve
from seen_blocks import seen

from daemon.chain.known_chains import Verify
from daemon.chain.reading import Block, Moved, Unprovable, Violated, read_blocks
from daemon.chain.rpc import Node

POOL, MINE, OTHER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
ANN = b"\xa1" * 20
WATCHED = frozenset(product((POOL, MINE), (STAKED, MINT)))
EVERY_WAY: tuple[Verify, ...] = ("all", "bloom", "found", "off")
PROVING: tuple[Verify, ...] = ("all", "bloom", "found")
ABSENCE_PROVEN: tuple[Verify, ...] = ("all", "bloom")
BY_SEARCHING: tuple[Verify, ...] = ("found", "off")
Json = dict[str, Any]


def read(chain: FakeChain, faults: Faults, verify: Verify) -> list[Block]:
    async def main() -> list[Block]:
        async with serve(chain, faults) as url, Node(url) as node:
            return await read_blocks(node, 1, chain.head.number, WATCHED, verify=verify)

    return asyncio.run(main())


def mined(chain: FakeChain) -> list[Block]:
    """What must be read of the chain."""
    return seen(chain.branch.blocks[1:], WATCHED)


def mixed_chain() -> FakeChain:
    """Blocks 1 to 6: nothing; a stranger; a stake among others; two in one; a mint; nothing."""
    chain = FakeChain()
    chain.mine()
    chain.mine(staked(OTHER, ANN, 1))
    chain.mine(staked(OTHER, ANN, 1), staked(POOL, ANN, 2), minted(OTHER, ANN, 3))
    chain.mine(chain.tx(staked(OTHER, ANN, 1), staked(POOL, ANN, 4), staked(POOL, ANN, 5)))
    chain.mine(minted(MINE, ANN, 6))
    chain.mine()
    return chain


@pytest.mark.parametrize("verify", EVERY_WAY)
@pytest.mark.parametrize("seed", range(4))
def test_an_honest_node_shows_the_same_by_every_way(verify: Verify, seed: int) -> None:
    dice, chain = random.Random(seed), FakeChain()
    for _ in range(30):
        chain.mine(
            *(
                chain.tx(
                    *(
                        dice.choice([staked, minted])(dice.choice([POOL, MINE, OTHER]), ANN, 1)
                        for _ in range(dice.randrange(4))
                    ),
                    kind=dice.randrange(5),
                    reverted=dice.random() < 0.1,
                )
                for _ in range(dice.randrange(4))
            )
        )
    assert read(chain, Faults(), verify) == mined(chain)


@pytest.mark.parametrize(
    ("verify", "receipts"), [("all", 4), ("bloom", 3), ("found", 3), ("off", 3)]
)
def test_receipts_are_read_of_as_few_blocks_as_the_way_allows(
    verify: Verify, receipts: int
) -> None:
    faults = Faults()
    read(mixed_chain(), faults, verify)
    assert faults.calls["eth_getBlockReceipts"] == receipts
    searches = 1 if verify in BY_SEARCHING else 0
    assert faults.calls["eth_getLogs"] == searches
    assert faults.calls["eth_getBlockByNumber"] == 6 + searches


# --- what a node leaves out -------------------------------------------------------------------


@pytest.mark.parametrize("verify", PROVING)
def test_a_log_left_out_of_receipts_is_noticed_where_receipts_are_proven(verify: Verify) -> None:
    with pytest.raises(Violated, match="block 4: its receipts do not have the root"):
        read(mixed_chain(), Faults(omit_log_in={4}), verify)


@pytest.mark.parametrize("verify", EVERY_WAY)
def test_a_log_that_only_a_search_leaves_out_of_a_block_is_in_its_receipts(
    verify: Verify,
) -> None:
    faults, chain = Faults(), mixed_chain()

    def leave_one_of_two(found: list[Json]) -> list[Json]:
        return [log for log in found if log["blockNumber"] != "0x4" or log["logIndex"] == "0x1"]

    faults.logs.change = leave_one_of_two
    assert read(chain, faults, verify) == mined(chain)


@pytest.mark.parametrize("verify", EVERY_WAY)
def test_a_block_that_a_search_leaves_out_is_seen_only_where_absence_is_proven(
    verify: Verify,
) -> None:
    faults, chain = Faults(), mixed_chain()
    faults.logs.change = lambda found: [log for log in found if log["blockNumber"] != "0x4"]
    expected = mined(chain)
    if verify not in ABSENCE_PROVEN:
        before = expected[3]
        expected[3] = Block(before.number, before.hash, before.parent, before.time, ())
    assert read(chain, faults, verify) == expected


@pytest.mark.parametrize("verify", BY_SEARCHING)
def test_a_log_that_the_receipts_do_not_have_is_refused(verify: Verify) -> None:
    def invent(found: list[Json]) -> list[Json]:
        return [{**log, "data": "0x" + "00" * 31 + "63"} for log in found]

    faults = Faults()
    faults.logs.change = invent
    with pytest.raises(Violated, match="its receipts lack a log that eth_getLogs showed of it"):
        read(mixed_chain(), faults, verify)


def test_a_log_in_a_block_whose_bloom_excludes_it_is_refused() -> None:
    faults, chain = Faults(), mixed_chain()
    other = {"blockNumber": "0x2", "blockHash": "0x" + chain.block(2).hash.hex()}
    faults.logs.change = lambda found: [{**found[0], **other}]
    with pytest.raises(Violated, match="block 2: eth_getLogs showed a log that the block's bloom"):
        read(chain, faults, "found")


# --- where a log stands -----------------------------------------------------------------------


@pytest.mark.parametrize("verify", BY_SEARCHING)
def test_logs_in_another_order_or_twice_change_nothing(verify: Verify) -> None:
    faults, chain = Faults(), mixed_chain()
    faults.logs.change = lambda found: [*found[::-1], *found, found[1]]
    assert read(chain, faults, verify) == mined(chain)


@pytest.mark.parametrize("verify", BY_SEARCHING)
def test_two_logs_at_one_place_are_refused(verify: Verify) -> None:
    faults = Faults()
    faults.logs.change = lambda found: [*found, {**found[0], "data": "0x"}]
    with pytest.raises(Violated, match="two logs 1 of it"):
        read(mixed_chain(), faults, verify)


@pytest.mark.parametrize("verify", BY_SEARCHING)
@pytest.mark.parametrize(
    "change", [{"blockHash": "0x" + "11" * 32}, {"removed": True}], ids=["hash", "removed"]
)
def test_logs_of_another_fork_are_read_again(verify: Verify, change: Json) -> None:
    faults = Faults()
    faults.logs.change = lambda found: [{**log, **change} for log in found]
    with pytest.raises(Moved, match="another block 3 than the headers just read"):
        read(mixed_chain(), faults, verify)


@pytest.mark.parametrize("verify", BY_SEARCHING)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"blockNumber": "0x63"}, "it is of block 99, which was not asked for"),
        ({"blockNumber": None}, "blockNumber is missing"),
        ({"logIndex": "x"}, "logIndex is 'x'"),
        ({"topics": ["0x" + "11" * 32] * 5}, "it has 5 topics"),
        ({"data": "0x1"}, "data is '0x1'"),
        ({"address": 5}, "address is 5"),
        ({"transactionHash": "0x"}, "transactionHash is '0x'"),
    ],
)
def test_a_malformed_log_is_refused_by_its_field(verify: Verify, change: Json, reason: str) -> None:
    faults = Faults()
    faults.logs.change = lambda found: [{**log, **change} for log in found]
    with pytest.raises(Violated, match=reason):
        read(mixed_chain(), faults, verify)


@pytest.mark.parametrize("answer", [None, {}, "0x", ["0x"], [None]])
def test_an_answer_that_is_no_list_of_logs_is_refused(answer: object) -> None:
    faults = Faults()
    faults.logs.change = lambda _: answer
    with pytest.raises(Violated):
        read(mixed_chain(), faults, "found")


@pytest.mark.parametrize("verify", BY_SEARCHING)
def test_a_node_that_shows_more_than_it_was_asked_for_is_read_all_the_same(
    verify: Verify,
) -> None:
    faults, chain = Faults(), mixed_chain()

    def everything(_: list[Json]) -> list[Json]:
        return [
            log
            for block in chain.branch.blocks[1:]
            for receipt in block.receipts_json
            for log in receipt["logs"]
        ]

    faults.logs.change = everything
    assert read(chain, faults, verify) == mined(chain)


# --- chains that cannot be proven -------------------------------------------------------------


def unhashed(chain: FakeChain) -> FakeChain:
    """Give the headers fields of their own: they do not hash to their hashes any more."""
    for block in chain.branch.blocks:
        block.header_json.update({"l1BatchNumber": "0x1", "receiptsRoot": "0x" + "00" * 32})
    return chain


@pytest.mark.parametrize("verify", PROVING)
def test_what_does_not_recompute_is_not_proven(verify: Verify) -> None:
    with pytest.raises(Unprovable, match="list another one, and set agree = 2"):
        read(unhashed(mixed_chain()), Faults(), verify)


def test_what_does_not_recompute_is_read_where_nothing_is_to_be_proven() -> None:
    chain = unhashed(mixed_chain())
    assert read(chain, Faults(), "off") == mined(chain)


def test_receipts_of_transactions_that_no_block_lists_are_read_where_nothing_is_proven() -> None:
    chain = mixed_chain()
    for block in chain.branch.blocks:
        block.header_json["transactions"] = []
    with pytest.raises(Violated):
        read(chain, Faults(), "all")
    assert read(chain, Faults(), "off") == mined(chain)


def strange(change: Callable[[Json], None]) -> FakeChain:
    """Change the last receipt of block 3."""
    chain = mixed_chain()
    change(chain.block(3).receipts_json[-1])
    return chain


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda receipt: receipt.update(blockHash="0x" + "11" * 32), "blockHash is another"),
        (lambda receipt: receipt.update(transactionHash=None), "transactionHash is missing"),
        (lambda receipt: receipt.update(logs={}), "logs is {}, not a list"),
        (lambda receipt: receipt["logs"][0].update(transactionHash="0x" + "11" * 32), "its rec"),
        (lambda receipt: receipt["logs"][0].update(removed=True), "marked as removed"),
    ],
)
def test_receipts_that_contradict_themselves_are_refused_even_if_nothing_is_proven(
    change: Callable[[Json], None], reason: str
) -> None:
    with pytest.raises(Violated, match=reason):
        read(strange(change), Faults(), "off")


def test_two_receipts_of_one_transaction_are_refused_even_if_nothing_is_proven() -> None:
    chain = mixed_chain()
    chain.block(3).receipts_json.append(chain.block(3).receipts_json[0])
    with pytest.raises(Violated, match="two of its receipts are of one transaction"):
        read(chain, Faults(), "off")


@pytest.mark.parametrize("verify", EVERY_WAY)
def test_blocks_that_do_not_link_are_never_read(verify: Verify) -> None:
    chain, faults = mixed_chain(), Faults()
    other = FakeChain()
    other.fork_from(0)
    for block in chain.branch.blocks[1:]:
        other.mine(*block.txs)
    chain.branch.blocks[3] = other.block(3)
    chain.by_hash.update(other.by_hash)
    with pytest.raises(Moved, match="does not follow"):
        read(chain, faults, verify)
