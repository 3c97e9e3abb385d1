"""What the protocol gives is read with its proof: who made blocks and uncles, and withdrawals."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka.blocks import Withdrawal
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.numeric import U64, U256, Uint
from fakechain import FakeChain, Given, MinedBlock, staked
from fakenode import Faults, serve

from contracts.rewards import REWARD_KINDS, Reward
from daemon.chain.evidence import Moved, Violated, Watched
from daemon.chain.known_chains import Verify
from daemon.chain.node_json import Malformed
from daemon.chain.reading import Block, read_blocks
from daemon.chain.rewards import withdrawals_of
from daemon.chain.rpc import Node

POOL, ANN, BEN, CAT = b"\x01" * 20, b"\xa1" * 20, b"\xb1" * 20, b"\xc1" * 20
WATCHED: Watched = frozenset(REWARD_KINDS)
EVERY_WAY: tuple[Verify, ...] = ("all", "bloom", "found", "off")
PROVING: tuple[Verify, ...] = ("all", "bloom", "found")


def rewarding_chain() -> FakeChain:
    """Blocks 1 to 3: Ann's; Ben's with Cat's as its uncle; withdrawals to Ann, Ben and Ann."""
    chain = FakeChain()
    chain.mine(staked(POOL, ANN, 1), given=Given(miner=ANN))
    main = chain.branch
    chain.fork_from(0)
    uncle = chain.mine(given=Given(miner=CAT))
    chain.switch_to(main)
    chain.mine(given=Given(miner=BEN, uncles=(uncle,)))
    withdrawals = ((7, 70, ANN, 16_000_000), (8, 71, BEN, 0), (9, 2**40 + 1, ANN, 32 * 10**9))
    chain.mine(given=Given(miner=bytes(20), withdrawals=withdrawals))
    return chain


def read(
    chain: FakeChain,
    verify: Verify = "bloom",
    watched: Watched = WATCHED,
    faults: Faults | None = None,
) -> list[Block]:
    async def main() -> list[Block]:
        async with serve(chain, faults or Faults()) as url, Node(url) as node:
            return await read_blocks(node, 1, chain.head.number, watched, verify=verify)

    return asyncio.run(main())


def withdrawn(index: int, validator: int, wallet: bytes, gwei: int, position: int) -> Reward:
    return Reward("withdrawal", index.to_bytes(32), wallet, gwei, position, validator)


@pytest.mark.parametrize("verify", EVERY_WAY)
def test_blocks_uncles_and_withdrawals_are_read_by_every_way(verify: Verify) -> None:
    chain = rewarding_chain()
    first, second, third = (chain.block(number) for number in (1, 2, 3))
    assert [block.rewards for block in read(chain, verify)] == [
        (Reward("block", first.hash, ANN, 1),),
        (Reward("block", second.hash, BEN, 1), Reward("uncle", second.uncles[0].hash, CAT, 1)),
        (
            Reward("block", third.hash, bytes(20), 1),
            withdrawn(7, 70, ANN, 16_000_000, 0),
            withdrawn(8, 71, BEN, 0, 1),
            withdrawn(9, 2**40 + 1, ANN, 32 * 10**9, 2),
        ),
    ]


def test_only_what_is_watched_is_read_and_uncles_cost_no_calls_without() -> None:
    chain, faults = rewarding_chain(), Faults()
    blocks = read(chain, watched=frozenset({"withdrawal"}), faults=faults)
    assert [len(block.rewards) for block in blocks] == [0, 0, 3]
    assert [block.rewards for block in read(chain, watched=frozenset())] == [(), (), ()]
    assert faults.calls["eth_getUncleByBlockHashAndIndex"] == 0
    assert faults.calls["eth_getBlockReceipts"] == 0


Lie = Callable[[MinedBlock], object]


def lies() -> dict[str, tuple[int, Lie]]:
    """What a node may say of blocks under their true hashes: the block's number, and the lie."""

    def withdrawal(number: int, **said: str) -> Lie:
        return lambda block: block.header_json["withdrawals"][number].update(said)

    def of_uncle(**said: str) -> Lie:
        return lambda block: block.uncles[0].header_json.update(said)

    cats = "0x" + CAT.hex()
    return {
        "another maker": (1, lambda block: block.header_json.update(miner=cats)),
        "no maker": (1, lambda block: block.header_json.update(miner=None)),
        "more withdrawn": (3, withdrawal(0, amount="0xffffff")),
        "to another": (3, withdrawal(0, address=cats)),
        "another index": (3, withdrawal(0, index="0xff")),
        "another validator": (3, withdrawal(0, validatorIndex="0x1")),
        "too large a number": (3, withdrawal(0, amount=hex(2**64))),
        "one left out": (3, lambda block: block.header_json["withdrawals"].pop()),
        "all left out": (3, lambda block: block.header_json.update(withdrawals=[])),
        "no list": (3, lambda block: block.header_json.update(withdrawals="0x")),
        "one made up": (
            1,
            lambda block: block.header_json.update(
                withdrawals=[
                    {"index": "0x1", "validatorIndex": "0x1", "address": cats, "amount": "0x1"}
                ]
            ),
        ),
        "in another order": (3, lambda block: block.header_json["withdrawals"].reverse()),
        "another uncle's maker": (2, of_uncle(miner="0x" + ANN.hex())),
        "another uncle's hash": (2, of_uncle(hash="0x" + "11" * 32)),
        "no uncles": (2, lambda block: block.header_json.update(uncles=[])),
        "the uncle twice": (2, lambda block: block.header_json["uncles"].append("0x" + "11" * 32)),
        "too many uncles": (
            2,
            lambda block: block.header_json.update(uncles=["0x" + "11" * 32] * 9),
        ),
        "an uncle made up": (1, lambda block: block.header_json.update(uncles=["0x" + "11" * 32])),
    }


@pytest.mark.parametrize("name", lies())
@pytest.mark.parametrize("verify", PROVING)
def test_a_lie_about_what_the_protocol_gave_is_seen_through(name: str, verify: Verify) -> None:
    chain = rewarding_chain()
    number, lie = lies()[name]
    lie(chain.block(number))
    # Whoever lists more uncles than there are has to show some.
    for block in chain.by_hash.values():
        while 0 < len(block.uncles) < len(block.header_json["uncles"]) <= 8:
            object.__setattr__(block, "uncles", (*block.uncles, block.uncles[0]))
    if name == "an uncle made up":
        object.__setattr__(chain.block(1), "uncles", (chain.block(0),))
    with pytest.raises(Violated, match=f"block {number}: "):
        read(chain, verify)


def test_a_node_that_has_not_got_an_uncle_is_asked_again_later() -> None:
    with pytest.raises(Moved, match="uncle"):
        read(rewarding_chain(), faults=Faults(lost_uncles={1}))


def test_before_there_were_withdrawals_there_are_none_and_none_are_made_up() -> None:
    assert withdrawals_of({}) == []
    assert withdrawals_of({"withdrawals": None, "withdrawalsRoot": None}) == []
    listed = rewarding_chain().block(3).header_json["withdrawals"]
    with pytest.raises(Malformed, match="root"):
        withdrawals_of({"withdrawals": listed})
    with pytest.raises(Malformed, match="257 withdrawals"):
        withdrawals_of({"withdrawals": listed[:1] * 257}, proven=False)
    with pytest.raises(Malformed, match="same index"):
        withdrawals_of({"withdrawals": listed[:1] * 2}, proven=False)


def test_roots_and_hashes_are_those_of_the_specification() -> None:
    chain = rewarding_chain()
    trie: Trie[Any, Any] = Trie(secured=False, default=None)
    for position, reward in enumerate(read(chain)[2].rewards[1:]):
        withdrawal = Withdrawal(
            U64(int.from_bytes(reward.identity)),
            U64(reward.validator or 0),
            cast("Any", reward.wallet),
            U256(reward.amount),
        )
        trie_set(trie, rlp.encode(Uint(position)), rlp.encode(withdrawal))
    shown = chain.block(3).header_json
    assert shown["withdrawalsRoot"] == "0x" + bytes(root(trie)).hex()
    second = chain.block(2)
    ommers = rlp.encode([rlp.decode(second.uncles[0].header_rlp)])
    assert second.header_json["sha3Uncles"] == "0x" + bytes(keccak256(ommers)).hex()
