"""Receipts of types that Ethereum does not have: proven where their root comes out, else not."""

from dataclasses import replace
from typing import Any

import pytest
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.numeric import Uint
from fakechain import STAKED, TX_GAS, Event, FakeChain, MinedBlock, Tx, staked

from daemon.chain.evidence import (
    Header,
    Unprovable,
    Violated,
    bloom_masks,
    prove_header,
    prove_logs,
)

POOL = b"\x01" * 20
ANN = b"\xa1" * 20
MASKS = bloom_masks([(POOL, STAKED)])


def block_of(chain: FakeChain, *what: Tx | Event) -> tuple[Header, MinedBlock]:
    block = chain.mine(*what)
    return prove_header(block.header_json, block.number), block


@pytest.mark.parametrize("kind", ["0x5", "0x6a", "0x7e"])
def test_a_receipt_of_an_unknown_type_without_its_root_is_unprovable(kind: str) -> None:
    header, block = block_of(FakeChain(), staked(POOL, ANN, 1))
    receipts = [{**block.receipts_json[0], "type": kind}]
    with pytest.raises(Unprovable, match=f"unknown type {int(kind, 16)}"):
        prove_logs(header, receipts, MASKS)


@pytest.mark.parametrize("kind", [5, 0x64, 0x6A, 0x7D])
def test_a_receipt_of_an_unknown_type_is_proven_by_its_root(kind: int) -> None:
    chain = FakeChain()
    header, block = block_of(chain, chain.tx(staked(POOL, ANN, 1), kind=kind))
    assert prove_logs(header, block.receipts_json, MASKS) == block.logs


def test_no_receipt_has_a_type_that_no_transaction_can_have() -> None:
    header, block = block_of(FakeChain(), staked(POOL, ANN, 1))
    with pytest.raises(Violated, match="type is 255, which no transaction has"):
        prove_logs(header, [{**block.receipts_json[0], "type": "0xff"}], MASKS)


DEPOSIT = {"depositNonce": "0x9", "depositReceiptVersion": "0x1"}


def header_over(block: MinedBlock, receipt: bytes) -> Header:
    """Return the header as it would be, had the block this receipt alone."""
    header = prove_header(block.header_json, block.number)
    leaf: Trie[Any, Any] = Trie(secured=False, default=None)
    trie_set(leaf, rlp.encode(Uint(0)), receipt)
    return replace(header, receipts_root=bytes(root(leaf)))


@pytest.mark.parametrize("since_canyon", [True, False])
def test_a_deposit_of_the_op_stack_is_proven_as_its_fork_encodes_it(since_canyon: bool) -> None:
    chain = FakeChain()
    block = chain.mine(chain.tx(staked(POOL, ANN, 1), kind=0x7E))
    (shown,) = block.receipts_json
    (log,) = block.logs
    fields: list[Any] = [
        Uint(1),
        Uint(TX_GAS),
        bytes.fromhex(shown["logsBloom"][2:]),
        [[log.address, list(log.topics), log.data]],
    ]
    more = {"depositNonce": "0x9"}  # shown, but not in the root before Canyon
    if since_canyon:
        fields += [Uint(9), Uint(1)]
        more = DEPOSIT
    header = header_over(block, b"\x7e" + rlp.encode(fields))
    assert prove_logs(header, [{**shown, **more}], MASKS) == block.logs
    with pytest.raises(Unprovable):
        prove_logs(header, [{**shown, **DEPOSIT, "depositNonce": "0x8"}], MASKS)
