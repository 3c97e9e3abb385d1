"""Blooms: what they exclude is not in the block, by the executable specification."""

from collections.abc import Iterable
from itertools import product

import pytest
from ethereum.forks.osaka.blocks import Log as SpecLog
from ethereum.forks.osaka.bloom import logs_bloom
from fakechain import MINT, STAKED, Event, FakeChain, MinedBlock, Tx, staked
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.chain.evidence import (
    Header,
    Kind,
    Unprovable,
    bloom_mask,
    bloom_masks,
    may_have_logs,
    prove_header,
    prove_logs,
)

POOL, MINE, OTHER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
ANN = b"\xa1" * 20

addresses = st.sampled_from([POOL, MINE, OTHER]) | st.binary(min_size=20, max_size=20)
words = st.binary(min_size=32, max_size=32)
events = st.builds(
    Event, addresses, st.lists(words, max_size=4).map(tuple), st.binary(max_size=200)
)


def masks_of(contracts: Iterable[bytes]) -> dict[Kind, int]:
    """All that the tests' contracts emit."""
    return bloom_masks(product(contracts, (STAKED, MINT)))


def block_of(chain: FakeChain, *what: Tx | Event) -> tuple[Header, MinedBlock]:
    block = chain.mine(*what)
    return prove_header(block.header_json, block.number), block


@given(events)
def test_blooms_are_those_of_the_specification(event: Event) -> None:
    log = SpecLog(event.address, event.topics, event.data)  # type: ignore[arg-type] # plain bytes
    bloom = int.from_bytes(logs_bloom((log,)))
    expected = 0
    for item in (event.address, *event.topics):
        expected |= bloom_mask(item)
    assert bloom == expected


def test_a_bloom_that_lacks_a_log_of_the_block_proves_nothing() -> None:
    header, block = block_of(FakeChain(), staked(POOL, ANN, 1), staked(MINE, ANN, 2))
    bloom = bloom_mask(POOL) | bloom_mask(STAKED)
    lacking = Header(
        header.number, header.hash, header.parent, header.time, header.receipts_root, bloom,
        header.transactions,
    )  # fmt: skip
    with pytest.raises(Unprovable, match="bloom"):
        prove_logs(lacking, block.receipts_json, masks_of([POOL, MINE]))


def test_a_bloom_excludes_who_has_no_log_and_nobody_else() -> None:
    header, _ = block_of(FakeChain(), staked(POOL, ANN, 1))
    assert may_have_logs(header, masks_of([POOL]))
    assert may_have_logs(header, masks_of([OTHER, POOL]))
    assert not may_have_logs(header, masks_of([OTHER]))
    assert not may_have_logs(header, bloom_masks([(POOL, MINT)]))
    assert not may_have_logs(header, bloom_masks([(OTHER, STAKED)]))
    assert not may_have_logs(header, {})


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(events, max_size=4), max_size=30),
    st.lists(st.tuples(addresses, words), max_size=5),
)
def test_a_bloom_holds_every_kind_of_log_there_is_as_the_specification_has_it(
    blocks: list[list[Event]], others: list[Kind]
) -> None:
    chain = FakeChain()
    header, block = block_of(chain, *(chain.tx(*found) for found in blocks))
    logs = [SpecLog(log.address, log.topics, log.data) for log in block.logs]  # type: ignore[arg-type]
    bloom = int.from_bytes(logs_bloom(tuple(logs)))
    there = {(log.address, log.topics[0]) for log in block.logs if log.topics}
    for kind in (*there, *others, *product({address for address, _ in there}, [STAKED])):
        items = [int.from_bytes(logs_bloom((SpecLog(kind[0], (kind[1],), b""),)))]  # type: ignore[arg-type]
        held = header.bloom != 0 and all(bloom & item == item for item in items)
        may = may_have_logs(header, bloom_masks([kind]))
        assert may == (held or (header.bloom == 0 and len(blocks) > 0))
        assert may or kind not in there


def test_an_all_zero_bloom_over_receipts_is_looked_into() -> None:
    chain = FakeChain()
    with_tx, _ = block_of(chain, chain.tx())
    without, _ = block_of(chain)
    assert may_have_logs(with_tx, masks_of([POOL]))
    assert not may_have_logs(without, masks_of([POOL]))
