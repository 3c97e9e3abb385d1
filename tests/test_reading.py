import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest
from fakechain import (
    MINT,
    STAKED,
    WITHDRAWN,
    FakeChain,
    Tx,
    minted,
    staked,
    withdrawn,
)
from fakenode import Faults, Reset, Says, Status, Truncated, serve
from seen_blocks import seen

from daemon.chain import receipts, rpc
from daemon.chain.evidence import Kind
from daemon.chain.reading import (
    BLOCKS_PER_READ_MAX,
    Block,
    BlockRef,
    Moved,
    Unprovable,
    UnsupportedTag,
    Violated,
    read_blocks,
    read_chain_id,
    read_finalized,
    read_genesis,
    read_hash,
    read_head,
)
from daemon.chain.rpc import ATTEMPTS_MAX, Node, NodeRefused, NodeUnavailable

POOL, MINE, OTHER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
EVENTS = (STAKED, WITHDRAWN, MINT)
WATCHED = frozenset(product((POOL, MINE), EVENTS))
ANN, BEN = b"\xa1" * 20, b"\xb1" * 20
SEEDS = range(12)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "BACKOFF_SECONDS", (0, 0, 0))


def through(chain: FakeChain, faults: Faults, question: Callable[[Node], Awaitable[Any]]) -> Any:  # noqa: ANN401
    async def main() -> object:
        async with serve(chain, faults) as url, Node(url, timeout_seconds=5) as node:
            return await question(node)

    return asyncio.run(main())


def blocks(
    chain: FakeChain, faults: Faults, first: int, last: int, watched: frozenset[Kind] = WATCHED
) -> list[Block]:
    found: list[Block] = through(
        chain, faults, lambda node: read_blocks(node, first, last, watched)
    )
    return found


def busy_chain(count: int = 6) -> FakeChain:
    """Blocks 1 to `count`, each with a log of the pool between logs of others."""
    chain = FakeChain()
    for number in range(count):
        chain.mine(staked(OTHER, ANN, 1), staked(POOL, BEN, number), minted(OTHER, ANN, 2))
    return chain


def randomly_mined(chain: FakeChain, dice: random.Random, count: int) -> None:
    pool: list[Tx] = [tx for block in chain.branch.blocks for tx in block.txs]
    for _ in range(count):
        txs = [
            chain.tx(
                *(
                    dice.choice([staked, withdrawn, minted])(
                        dice.choice([POOL, MINE, OTHER]), dice.choice([ANN, BEN]), dice.randrange(9)
                    )
                    for _ in range(dice.randrange(4))
                ),
                kind=dice.randrange(5),
                reverted=dice.random() < 0.1,
            )
            for _ in range(dice.randrange(5))
        ]
        again = [tx for tx in dice.sample(pool, min(2, len(pool))) if dice.random() < 0.3]
        chain.mine(*txs, *again)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_mined_is_what_is_read_on_every_branch(seed: int) -> None:
    dice = random.Random(seed)
    chain = FakeChain()
    kinds = list(product((POOL, MINE, OTHER), EVENTS))
    watched = frozenset(dice.sample(kinds, dice.randrange(len(kinds))))

    async def main(node: Node) -> None:
        branches = []
        for _ in range(4):
            chain.fork_from(dice.randint(0, chain.head.number))
            randomly_mined(chain, dice, dice.randint(1, 30))
            branches.append(chain.branch)
        for _ in range(6):
            chain.switch_to(dice.choice(branches))
            first = dice.randint(0, chain.head.number)
            last = dice.randint(first, chain.head.number)
            expected = seen(chain.branch.blocks[first : last + 1], watched)
            assert await read_blocks(node, first, last, watched) == expected

    through(chain, Faults(reorder_batches=seed % 2 == 0), main)


def test_a_block_without_a_watched_log_costs_its_header_alone() -> None:
    chain = FakeChain()
    chain.mine_empty(20)
    chain.mine(staked(OTHER, ANN, 1))
    faults = Faults()
    assert [block.logs for block in blocks(chain, faults, 0, 21)] == [()] * 22
    assert faults.calls == {"eth_getBlockByNumber": 22}


def test_an_event_of_a_watched_contract_that_is_not_followed_costs_no_receipts() -> None:
    chain, faults = FakeChain(), Faults()
    chain.mine(minted(POOL, ANN, 1))
    chain.mine(staked(OTHER, ANN, 1))
    watched = frozenset({(POOL, STAKED), (MINE, MINT)})
    assert blocks(chain, faults, 1, 2, watched) == seen(chain.branch.blocks[1:], watched)
    assert faults.calls == {"eth_getBlockByNumber": 2}


@pytest.mark.parametrize(("most", "widths"), [(21, [7, 7, 1]), (20, [6, 6, 3]), (2, [1] * 15)])
def test_receipts_are_asked_for_in_batches_of_bounded_many_transactions(
    monkeypatch: pytest.MonkeyPatch, most: int, widths: list[int]
) -> None:
    monkeypatch.setattr(receipts, "TRANSACTIONS_PER_BATCH_MAX", most)
    chain, faults = busy_chain(15), Faults()  # of three transactions each
    assert all(block.logs for block in blocks(chain, faults, 1, chain.head.number))
    assert [len(methods) for methods in faults.requests[1:]] == widths


@pytest.mark.parametrize("bounds", [(1, 0), (-1, 0), (0, BLOCKS_PER_READ_MAX)])
def test_a_range_without_blocks_or_with_too_many_is_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="are not a range"):
        blocks(FakeChain(), Faults(), *bounds)


def test_the_longest_range_is_read_in_one_call() -> None:
    chain = FakeChain()
    chain.mine_empty(BLOCKS_PER_READ_MAX - 1)
    assert len(blocks(chain, Faults(), 0, BLOCKS_PER_READ_MAX - 1)) == BLOCKS_PER_READ_MAX


# --- what the node may have wrong: never a log missing in silence ---------------------------


@pytest.mark.parametrize(
    "faults",
    [
        Faults(omit_log_in={4}),
        Faults(empty_receipts_in={4}),
        Faults(strip_logs_in={4}),
        Faults(parents_receipts_in={4}),
        Faults(wrong_root_in={4}),
    ],
    ids=["log omitted", "no receipts", "no logs", "another block's receipts", "wrong root"],
)
def test_a_node_that_withholds_logs_is_caught(faults: Faults) -> None:
    with pytest.raises(Violated) as caught:
        blocks(busy_chain(), faults, 1, 6)
    assert caught.value.block_number == 4


def test_an_unwatched_log_left_out_is_caught_too() -> None:
    chain = FakeChain()
    chain.mine(staked(POOL, ANN, 1), staked(OTHER, ANN, 2))
    with pytest.raises(Violated, match="block 1: its receipts do not have the root"):
        blocks(chain, Faults(omit_log_in={1}), 1, 1)


@pytest.mark.parametrize("lost", [1, 3, 6])
def test_a_block_the_node_does_not_have_ends_the_read(lost: int) -> None:
    with pytest.raises(Moved, match=f"no block {lost}"):
        blocks(busy_chain(), Faults(lost_blocks={lost}), 1, 6)


def test_a_read_from_a_node_that_lags_is_tried_again_by_the_caller() -> None:
    chain, faults = busy_chain(), Faults(lag_blocks=2, lag_every=2)

    async def twice(node: Node) -> list[Block]:
        assert await read_head(node) == BlockRef(6, chain.head.hash)
        with pytest.raises(Moved, match="no block 5"):
            await read_blocks(node, 1, 6, WATCHED)
        return await read_blocks(node, 1, 6, WATCHED)

    expected = seen(chain.branch.blocks[1:], WATCHED)
    faults.lag_every = 2
    assert through(chain, faults, twice) == expected


def test_a_lagging_head_is_a_lower_head_and_nothing_else() -> None:
    chain, faults = busy_chain(), Faults(lag_blocks=5, lag_every=3)

    async def heads(node: Node) -> list[int]:
        return [(await read_head(node)).number for _ in range(6)]

    assert through(chain, faults, heads) == [6, 6, 1, 6, 6, 1]


def test_a_chain_that_moves_between_two_batches_of_headers_is_noticed() -> None:
    chain = FakeChain()
    chain.mine_empty(rpc.BATCH_CALLS_MAX + 50)
    first = chain.branch
    chain.fork_from(10)
    chain.mine_empty(rpc.BATCH_CALLS_MAX + 50)
    faults = Faults()

    def move(_: list[str]) -> None:
        if len(faults.requests) == 1:
            chain.switch_to(first)

    faults.before_request = move
    with pytest.raises(Moved, match="block 100 does not follow"):
        blocks(chain, faults, 0, 149)


def test_a_chain_that_moves_before_the_receipts_are_read_gives_the_blocks_it_showed() -> None:
    chain, faults = busy_chain(), Faults()
    expected = seen(chain.branch.blocks, WATCHED)

    def move(methods: list[str]) -> None:
        if "eth_getBlockReceipts" in methods:
            chain.fork_from(2)
            chain.mine(staked(POOL, ANN, 99))

    faults.before_request = move
    assert blocks(chain, faults, 0, 6) == expected


def test_receipts_that_are_gone_with_their_block_end_the_read() -> None:
    chain, faults = busy_chain(), Faults()

    def forget(methods: list[str]) -> None:
        if "eth_getBlockReceipts" in methods:
            faults.lost_blocks = {5}

    faults.before_request = forget
    with pytest.raises(Moved, match="no longer has the receipts of block 5"):
        blocks(chain, faults, 1, 6)


@pytest.mark.parametrize(
    "failure", [Reset(), Truncated(), Truncated(announced=True), Status(500), Status(429)]
)
@pytest.mark.parametrize("healthy_requests", [0, 1])
def test_a_transport_that_keeps_failing_makes_the_node_unavailable(
    failure: Any,  # noqa: ANN401 - one of many
    healthy_requests: int,
) -> None:
    faults = Faults()

    def fail(_: list[str]) -> None:
        if len(faults.requests) == healthy_requests:
            faults.failures.extend([failure] * ATTEMPTS_MAX)

    faults.before_request = fail
    with pytest.raises(NodeUnavailable):
        blocks(busy_chain(), faults, 1, 6)


@pytest.mark.parametrize(
    "failure", [Reset(), Truncated(), Truncated(announced=True), Status(500), Status(429)]
)
def test_a_transport_that_fails_now_and_then_changes_nothing(failure: Any) -> None:  # noqa: ANN401
    chain, faults = busy_chain(), Faults()
    faults.before_request = lambda _: faults.failures.extend(
        [failure] if len(faults.requests) % 2 == 0 else []
    )
    assert blocks(chain, faults, 1, 6) == seen(chain.branch.blocks[1:], WATCHED)


def test_batch_answers_in_another_order_change_nothing() -> None:
    chain = busy_chain()
    expected = seen(chain.branch.blocks, WATCHED)
    assert blocks(chain, Faults(reorder_batches=True), 0, 6) == expected


def test_a_batch_that_lacks_an_answer_is_no_answer() -> None:
    with pytest.raises(NodeUnavailable, match="answers to"):
        blocks(busy_chain(), Faults(drop_from_batches=True), 1, 6)


def test_a_node_that_takes_no_batches_is_read_all_the_same() -> None:
    chain = busy_chain()
    expected = seen(chain.branch.blocks, WATCHED)
    assert blocks(chain, Faults(batch_calls_max=1), 0, 6) == expected


def test_a_chain_whose_headers_have_no_blooms_is_unprovable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = busy_chain(3)
    unbloomed = FakeChain()
    monkeypatch.setattr(unbloomed, "_bloom", lambda _: 0)
    for block in chain.branch.blocks[1:]:
        unbloomed.mine(*block.txs)
    with pytest.raises(Unprovable, match="block 1: its bloom does not hold"):
        blocks(unbloomed, Faults(), 1, 3)


def test_a_chain_of_a_later_fork_is_unprovable() -> None:
    chain = busy_chain(2)
    header = chain.head.header_json
    header.update({"slotNumber": "0x5", "hash": "0x" + "77" * 32})
    with pytest.raises(Unprovable, match="slotNumber"):
        blocks(chain, Faults(), 1, 2)


# --- the rest of what a chain tells -----------------------------------------------------------


def test_a_chain_is_its_id_and_its_genesis() -> None:
    chain = FakeChain(5)

    async def identity(node: Node) -> tuple[int, bytes]:
        return await read_chain_id(node), await read_genesis(node)

    assert through(chain, Faults(), identity) == (5, chain.block(0).hash)
    assert through(chain, Faults(chain_id=6), identity) == (6, chain.block(0).hash)
    assert FakeChain(6).block(0).hash != chain.block(0).hash


def test_a_node_without_a_genesis_is_not_believed() -> None:
    with pytest.raises(Violated, match="block 0: the node does not have it"):
        through(FakeChain(), Faults(lost_blocks={0}), read_genesis)


def test_the_finalized_block_is_the_one_the_node_names() -> None:
    chain = busy_chain()
    assert through(chain, Faults(), read_finalized) == BlockRef(0, chain.block(0).hash)
    chain.finalize(4)
    assert through(chain, Faults(), read_finalized) == BlockRef(4, chain.block(4).hash)
    chain.finality_depth = 1
    assert through(chain, Faults(), read_finalized) == BlockRef(5, chain.block(5).hash)


def test_a_node_without_the_finalized_tag_says_so_and_no_block_stands_in() -> None:
    with pytest.raises(UnsupportedTag, match="tag not supported"):
        through(busy_chain(), Faults(finalized_tag=False), read_finalized)
    with pytest.raises(UnsupportedTag, match="null"):
        through(busy_chain(), Faults(lost_blocks={0}), read_finalized)


def test_a_rate_limit_is_not_taken_for_a_missing_tag() -> None:
    faults = Faults()
    limit = b'{"id":1,"error":{"code":-32005,"message":"slow down"}}'
    faults.failures.append(Says(limit))
    with pytest.raises(NodeRefused, match="slow down"):
        through(busy_chain(), faults, read_finalized)


def test_the_hash_of_a_height_follows_the_branch_and_is_none_above_the_head() -> None:
    chain = busy_chain()
    before = chain.branch

    async def main(node: Node) -> None:
        a = chain.block(5).hash
        assert await read_hash(node, 5) == a
        chain.fork_from(3)
        assert await read_hash(node, 5) is None
        chain.mine_empty(2)
        b = chain.block(5).hash
        assert await read_hash(node, 5) == b != a
        chain.switch_to(before)
        assert await read_hash(node, 5) == a

    through(chain, Faults(), main)


@pytest.mark.parametrize("read", [read_head, read_finalized, read_genesis])
def test_no_header_is_believed_whoever_asks_for_it(read: Callable[[Node], Awaitable[Any]]) -> None:
    with pytest.raises(Violated, match="its header hashes to"):
        through(FakeChain(), Faults(wrong_root_in={0}), read)
