"""Ranges of `eth_getLogs`: every provider's way of refusing one is learned from, none is fatal."""

import asyncio
import json
from collections.abc import Callable

import pytest
from fakechain import FakeChain, staked
from fakelogs import LogFaults, Refusal, limited
from fakenode import Faults, Reset, Says, Silence, serve
from hypothesis import given
from hypothesis import strategies as st

from daemon.chain import rpc
from daemon.chain.evidence import bloom_masks
from daemon.chain.found_logs import METHOD_MISSING, Found, find_logs
from daemon.chain.log_range import (
    BLOCKS_AT_FIRST,
    BLOCKS_MAX,
    LogRange,
    blocks_allowed,
    says_beyond_head,
    says_too_much,
)
from daemon.chain.reading import Block, Moved, read_blocks, read_header
from daemon.chain.rpc import ATTEMPTS_MAX, Node, NodeRefused, NodeUnavailable

POOL, ANN = b"\x01" * 20, b"\xa1" * 20
WATCHED = frozenset({(POOL, staked(POOL, ANN, 1).topics[0])})
BLOCKS = 120
LIMIT = 7  # blocks that the node really allows

# What providers say, word for word where the numbers are not, and how many blocks it allows.
WITH_NUMBER: dict[str, tuple[str, int]] = {
    "infura, zksync": (
        "query returned more than 10000 results. Try with this block range [0x64, 0x6a].",
        7,
    ),
    "alchemy": (
        (
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block"
            " range and no limit on the response size, or you can request any block range with a"
            " cap of 10K logs in the response. Based on your parameters and the response size"
            " limit, this block range should work: [0x0, 0x6]"
        ),
        7,
    ),
    "alchemy, free": (
        (
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block"
            " range. Based on your parameters, this block range should work: [0x1, 0x7]."
        ),
        7,
    ),
    "quicknode": ("eth_getLogs is limited to a 10,000 range", 10_000),
    "quicknode, free": ("eth_getLogs is limited to a 5 range", 5),
    "1rpc": ("eth_getLogs is limited to a 7 block range", 7),
    "blockpi": ("eth_getLogs is limited to 1024 block range. Please check the parameter", 1_024),
    "cloudflare": ("Max range: 800", 800),
    "avalanche": ("requested too many blocks from 0 to 4999, maximum is set to 2048", 2_048),
    "thirdweb": ("Maximum allowed number of requested blocks is 1000", 1_000),
    "blast": ("block range 5000 exceeds the range allowed for your plan (5000 > 7).", 7),
    "coinbase": ("please limit the query to at most 1,000 blocks", 1_000),
    "publicnode": ("exceed maximum block range: 50000", 50_000),
    "hyperliquid": ("query exceeds max block range 7", 7),
    "somnia": ("block range exceeds 7", 7),
    "ankr, tac": ("maximum [from, to] blocks distance: 7", 7),
    "bsc": ("exceed max block range: 7", 7),
    "harmony": ("query must be smaller than size 7", 7),
    "aurora": ("up to a 7 block range", 7),
    "swell": ("block range greater than 7 max", 7),
    "moonriver": ("block range is too wide (maximum 7)", 7),
    "merkle": ("eth_getLogs range is too large, max is 1k blocks", 1_000),
    "drpc": ("ranges over 10000 blocks are not supported on freetier", 10_000),
}
WITHOUT_NUMBER = {
    "ankr": Refusal("block range is too wide", -32600),
    "chainstack": Refusal("Block range limit exceeded. See more details at https://…"),
    "base": Refusal("block range too large"),
    "optimism": Refusal("backend response too large"),
    "optimism, new": Refusal("Block range is too large"),
    "llamarpc": Refusal("query exceeds max results 20000, retry with the range …"),
    "arbitrum": Refusal("logs matched by query exceeds limit of 10000"),
    "zkevm, infura": Refusal("query returned more than 10000 results", -32005),
    "1rpc": Refusal("response size should not greater than 10000000 bytes"),
    "base, too": Refusal("no backend is currently healthy to serve traffic", -32011),
    "nobody yet": Refusal("the stars are not right"),
    "a limit that is none": Refusal("eth_getLogs is limited to a 0 range"),
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "BACKOFF_SECONDS", (0, 0, 0))


def chain_of_stakes(count: int = BLOCKS) -> FakeChain:
    chain = FakeChain()
    for number in range(1, count + 1):
        chain.mine(*[staked(POOL, ANN, number)] * (number % 3))
    return chain


def read(
    faults: Faults, chain: FakeChain, after: Callable[[Node], None] = lambda _: None
) -> list[Block]:
    """Read the chain by what its node finds."""

    async def main() -> list[Block]:
        async with serve(chain, faults) as url, Node(url, timeout_seconds=0.5) as node:
            found = await read_blocks(node, 1, chain.head.number, WATCHED, verify="found")
            after(node)
            return found

    return asyncio.run(main())


def widths(faults: LogFaults) -> list[int]:
    return [last - first + 1 for first, last in faults.asked]


@pytest.mark.parametrize(("message", "allowed"), WITH_NUMBER.values(), ids=WITH_NUMBER)
def test_a_refusal_that_names_how_many_blocks_are_allowed_is_understood(
    message: str, allowed: int
) -> None:
    assert blocks_allowed(message) == allowed


@pytest.mark.parametrize("refusal", WITHOUT_NUMBER.values(), ids=WITHOUT_NUMBER)
def test_no_number_of_something_else_is_taken_for_blocks(refusal: Refusal) -> None:
    assert blocks_allowed(refusal.message) in (None, 0)


@pytest.mark.parametrize(
    "message",
    [message for message, allowed in WITH_NUMBER.values() if allowed == LIMIT],
)
def test_the_range_is_what_the_node_allows_from_its_first_refusal_on(message: str) -> None:
    chain, faults = chain_of_stakes(), Faults()
    faults.logs.refuse = limited(LIMIT, Refusal(message))
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert widths(faults.logs) == [BLOCKS, *[LIMIT] * (BLOCKS // LIMIT), BLOCKS % LIMIT]


@pytest.mark.parametrize("refusal", WITHOUT_NUMBER.values(), ids=WITHOUT_NUMBER)
def test_the_range_is_halved_where_nothing_more_is_said_and_grows_slowly_again(
    refusal: Refusal,
) -> None:
    chain, faults = chain_of_stakes(), Faults()
    faults.logs.refuse = limited(LIMIT, refusal)
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    asked = widths(faults.logs)
    assert asked[:6] == [BLOCKS, 60, 30, 15, 7, 8]
    assert max(asked[4:]) == LIMIT + 1
    assert len(asked) < 2 * BLOCKS // 3


@pytest.mark.parametrize("message", [message for message, _ in WITH_NUMBER.values()])
def test_a_node_that_refuses_less_than_it_says_it_allows_is_read_all_the_same(
    message: str,
) -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.refuse = limited(2, Refusal(message))
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]


def test_what_a_node_refused_is_remembered_for_this_node() -> None:
    chain, faults = chain_of_stakes(), Faults()
    faults.logs.refuse = limited(LIMIT, Refusal("query exceeds max block range 7"))

    async def main() -> None:
        async with serve(chain, faults) as url, Node(url) as node, Node(url) as other:
            for _ in range(3):
                await read_blocks(node, 1, 50, WATCHED, verify="found")
            assert widths(faults.logs).count(50) == 1
            await read_blocks(other, 1, 50, WATCHED, verify="found")
            assert widths(faults.logs).count(50) == 2

    asyncio.run(main())


def test_a_block_that_cannot_be_searched_is_read_by_its_receipts() -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.refuse = limited(0, Refusal("response size should not greater than 1 bytes"))
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert faults.calls["eth_getBlockReceipts"] == 20


def test_a_node_without_eth_get_logs_is_asked_for_it_no_oftener_than_needed() -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.refuse = limited(0, Refusal("the method does not exist", METHOD_MISSING))
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert widths(faults.logs) == [20, *[1] * 19]


@pytest.mark.parametrize("code", [METHOD_MISSING, -32000])
def test_a_node_without_receipts_of_blocks_is_asked_for_those_of_transactions(code: int) -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.no_block_receipts = Refusal("not supported", code)
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert faults.calls["eth_getTransactionReceipt"] == sum(n % 3 for n in range(1, 21))


def test_an_answer_that_takes_too_long_is_asked_for_in_halves() -> None:
    chain, faults = chain_of_stakes(20), Faults()

    def fall_silent(methods: list[str]) -> None:
        if "eth_getLogs" in methods and len(faults.logs.asked) == 0 and not faults.failures:
            slow.append(methods)
            if len(slow) == 1:
                faults.failures.append(Silence())

    slow: list[list[str]] = []
    faults.before_request = fall_silent
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert widths(faults.logs)[0] == 10


def test_an_answer_that_is_too_large_is_asked_for_in_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain, faults = FakeChain(), Faults()
    for number in range(16):
        chain.mine(*[staked(POOL, ANN, number)] * 8)
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 20_000)  # about 40 logs
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]
    assert widths(faults.logs)[0] == 16
    assert min(widths(faults.logs)) >= 2


def test_a_node_at_its_rate_limit_is_not_asked_for_less() -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.refuse = limited(0, Refusal("daily request count exceeded", -32005))
    with pytest.raises(NodeRefused, match="daily request count"):
        read(faults, chain)
    assert widths(faults.logs) == [20]


def test_a_node_that_is_gone_is_not_asked_for_less() -> None:
    chain, faults = chain_of_stakes(20), Faults()

    def leave(methods: list[str]) -> None:
        if "eth_getLogs" in methods:
            faults.failures.append(Reset())

    faults.before_request = leave
    with pytest.raises(NodeUnavailable):
        read(faults, chain)
    asked = [methods for methods in faults.requests if "eth_getLogs" in methods]
    assert len(asked) == ATTEMPTS_MAX


@pytest.mark.parametrize(
    "message",
    [
        "block range extends beyond current head block",
        "BlockOutOfRangeError: block height is 5 but requested was 9",
        "unknown block",
    ],
)
def test_a_node_that_has_not_got_so_far_is_waited_for(message: str) -> None:
    chain, faults = chain_of_stakes(20), Faults()
    faults.logs.refuse = limited(0, Refusal(message, -32602))
    with pytest.raises(Moved, match="does not have the blocks yet"):
        read(faults, chain)
    assert says_beyond_head(message)


def test_a_backend_that_lags_behind_the_one_that_showed_the_headers_is_noticed() -> None:
    chain, faults = chain_of_stakes(20), Faults()

    def lag(methods: list[str]) -> None:
        faults.lag_blocks = 5 if "eth_getLogs" in methods else 0

    faults.before_request = lag
    with pytest.raises(Moved, match="has another block 20, or none"):
        read(faults, chain)


def test_a_node_that_takes_no_batches_is_asked_one_by_one() -> None:
    chain, faults = chain_of_stakes(20), Faults(batch_calls_max=1)
    assert read(faults, chain) == [block.seen_by([POOL]) for block in chain.branch.blocks[1:]]


def test_what_a_provider_says_beside_its_message_is_heard_too() -> None:
    said = {"code": -32602, "message": "no", "data": {"hint": "up to a 7 block range"}}
    faults = Faults()
    faults.failures.append(Says(json.dumps({"id": 1, "error": said}).encode()))

    async def main() -> None:
        async with serve(FakeChain(), faults) as url, Node(url) as node:
            with pytest.raises(NodeRefused) as caught:
                await node.call("eth_chainId")
            assert blocks_allowed(caught.value.details) == LIMIT

    asyncio.run(main())


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.sampled_from(
                [message for message, _ in WITH_NUMBER.values()]
                + [refusal.message for refusal in WITHOUT_NUMBER.values()]
            ),
        ),
        max_size=200,
    )
)
def test_a_range_is_never_empty_nor_beyond_what_a_reader_asks_for(
    answers: list[str | None],
) -> None:
    span = LogRange()
    assert span.blocks == BLOCKS_AT_FIRST
    for said in answers:
        before = span.blocks
        if said is None:
            span.answered(before)
            assert before <= span.blocks <= before + max(1, before // 20)
        else:
            assert span.refused(before, said) == (before > 1)
            assert span.blocks < before or before == 1
        assert 1 <= span.blocks <= BLOCKS_MAX


def test_nothing_is_asked_where_nothing_is_followed() -> None:
    chain, faults = chain_of_stakes(3), Faults()

    async def main() -> Found:
        async with serve(chain, faults) as url, Node(url) as node:
            header = await read_header(node, 1)
            assert header is not None
            return await find_logs(node, [header], bloom_masks([]), proven=True)

    assert asyncio.run(main()) == Found()
    assert faults.logs.asked == []


def test_the_codes_of_rate_limits_are_told_from_limits_of_size() -> None:
    assert says_too_much("query returned more than 10000 results")
    assert not says_too_much("daily request count exceeded, request rate limited")
